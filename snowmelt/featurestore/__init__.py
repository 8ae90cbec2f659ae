"""State in Redis, fenced; its replica in process; and Feast's plug-ins over the same bytes."""
