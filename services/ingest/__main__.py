"""``python -P -m services.ingest``."""

import sys

sys.modules["pandas"] = None  # type: ignore[assignment]  # Arrow would import it: 0.8 s and 50 MB, to no end

from services.ingest.server import main  # noqa: E402
from snowmelt.runtime.lifecycle import run  # noqa: E402

run("ingest", main)
