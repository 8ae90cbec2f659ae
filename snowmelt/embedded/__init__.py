"""The one-command mode: broker, Redis, collector and supervisor on this machine, for the same services."""
