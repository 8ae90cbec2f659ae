"""The public door: a slate for a user, events and items into Kafka; gRPC and REST from the same use cases."""
