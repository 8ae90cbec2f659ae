"""``python -P -m services.gateway``."""

from services.gateway.server import main
from snowmelt.runtime.lifecycle import run_async

run_async("gateway", main)
