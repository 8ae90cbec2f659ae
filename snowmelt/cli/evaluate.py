"""``snowmelt evaluate``: quality by a fixed protocol, without anything running."""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from snowmelt.contracts.errors import ExitCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _evaluate() -> None:
    """Measures quality by a fixed protocol, through the code that serves."""


@app.command("retail-month")
def retail_month(
    *,
    data: Annotated[Path, typer.Option(help="Online Retail: its parquet file, or CSV with the original columns")],
    validation: Annotated[bool, typer.Option(help="the months for tuning instead of the test months")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Online Retail by month: what users buy next, discovery only, the whole catalogue ranked."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from snowmelt.datasets import retail
    from snowmelt.datasets.rows import catalogue_rows, event_rows
    from snowmelt.embedded.console import Reporter
    from snowmelt.evaluation import report
    from snowmelt.evaluation import retail_month as protocol
    from snowmelt.features.defaults import default_views
    from snowmelt.training.errors import BadDataError
    from snowmelt.training.labels import choices, first_touches, parse_rules
    from snowmelt.training.past import Past

    reporter, views = Reporter(), default_views()
    progress = (lambda *_: None) if as_json else reporter.progress
    months = protocol.VALIDATION_MONTHS if validation else protocol.TEST_MONTHS
    try:
        with nullcontext() if as_json else reporter:
            shop = retail.load(data, progress)
            past = Past(views, event_rows(shop, views), None, catalogue_rows(shop))
            rules, types = parse_rules(retail.EVENT_TYPE, views.event_types), views.event_types
            bought = choices(past.events, rules, types)
            made = protocol.run(past, first_touches(past.events, rules, types), bought, months, progress)
    except BadDataError as error:
        sys.stderr.write(f"snowmelt: {error}\n")
        raise typer.Exit(ExitCode.BAD_DATA) from None
    document = report.retail_month(made, len(set(shop.catalogue["item_id"].to_pylist())))
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        for line in report.lines(document):
            reporter.say(line)
