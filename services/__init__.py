"""One process each, thin: a door to one part of the library and nothing more."""
