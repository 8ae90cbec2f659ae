"""Kafka into its two sinks, each exactly once: the lake lane into Delta, the feature lane into Redis."""
