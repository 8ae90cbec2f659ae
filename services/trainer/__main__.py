"""Starts the trainer."""

import os

# Read when numpy is first imported: many small matrices are slower on several threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from services.trainer.server import main

main()
