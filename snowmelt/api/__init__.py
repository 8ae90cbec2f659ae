"""Generated stubs; the protos say what they mean."""
