"""How a process starts, is seen, is protected and stops."""
