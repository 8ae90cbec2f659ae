"""``python -P -m services.retrieval``."""

from services.retrieval.server import main
from snowmelt.runtime.lifecycle import run_async

run_async("retrieval", main)
