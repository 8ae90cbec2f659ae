"""Snowmelt: a real-time recommender backend, and the stream engine for Feast."""
