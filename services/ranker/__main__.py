"""``python -P -m services.ranker``."""

from services.ranker.server import main
from snowmelt.runtime.lifecycle import run_async

run_async("ranker", main)
