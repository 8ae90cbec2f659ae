"""Kafka as this house uses it: producer, consumer, administration, lag, and a real node on this machine."""
