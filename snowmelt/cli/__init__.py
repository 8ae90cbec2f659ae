"""The ``snowmelt`` command: one verb a file."""
