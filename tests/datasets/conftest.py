"""Where the real data sets lie on a machine that has them."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SNOWMELT_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.fixture(scope="session")
def online_retail() -> Path:
    path = DATA / "online_retail" / "online_retail.parquet"
    if not path.exists():
        pytest.skip("Online Retail is not here; set SNOWMELT_TEST_DATA to the folder that holds online_retail/")
    return path
