"""Fixtures of the featurestore's tests."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
