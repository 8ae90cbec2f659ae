"""``python -P -m services.ingest``."""

from snowmelt.runtime.no_pandas import do_without_pandas

do_without_pandas()  # Arrow would import it, to no end

from services.ingest.server import main  # noqa: E402
from snowmelt.runtime.lifecycle import run  # noqa: E402

run("ingest", main)
