"""A process without pandas makes Arrow's arrays all the same."""

import subprocess
import sys


def test_arrow_goes_on_without_pandas() -> None:
    program = """
import sys
from snowmelt.runtime.no_pandas import do_without_pandas
do_without_pandas()
import pyarrow as pa
assert pa.array(["a"]).to_pylist() == ["a"]
import pyarrow.dataset
assert "pandas" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
