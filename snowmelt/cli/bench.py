"""``snowmelt bench``: speed, as ratios against named rivals in one run, and what the floors say of it.

A missed floor is a result: a bench that has measured ends with 0. It ends with 1 where values that must be equal are
not, and under ``--check`` where a floor is missed or its figure does not count.
"""

import typer

from snowmelt.cli.bench_features import bench_features
from snowmelt.cli.bench_ingest import bench_ingest
from snowmelt.cli.bench_rebuild import bench_rebuild
from snowmelt.cli.bench_serve import bench_serve

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Measure speed against named rivals")
app.command("serve", help="recommendations beside the sum of their kernels, on the running system")(bench_serve)
app.command("features", help="online and historical reads beside Feast's own stores")(bench_features)
app.command("ingest", help="both lanes on a real Kafka, and the time from event to online")(bench_ingest)
app.command("rebuild", help="the online state out of the lake beside the live feature lane")(bench_rebuild)
