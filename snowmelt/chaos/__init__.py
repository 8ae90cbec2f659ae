"""Drills: real parts broken on purpose, under load, and a checker that works from the acknowledgements."""
