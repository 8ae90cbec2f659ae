"""Fixtures that every room may use: the real parts."""

pytest_plugins = ["tests.fixtures.redis", "tests.fixtures.kafka"]
