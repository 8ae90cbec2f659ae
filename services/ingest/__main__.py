"""``python -P -m services.ingest``."""

from services.ingest.server import main
from snowmelt.runtime.lifecycle import run

run("ingest", main)
