"""The field's words: what every other room speaks, pure and without I/O."""
