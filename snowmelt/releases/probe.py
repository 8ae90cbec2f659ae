"""Opens a release in a process of its own and asks it golden queries: ``python -P -m snowmelt.releases.probe FOLDER``.

What is damaged or crafted kills, fills or hangs this process and not the one that serves. Exit code 0: it answered as
published; 65: it did not, with one line on stderr; anything else: it could not be opened at all.
"""

import resource
import sys
from pathlib import Path

import numpy as np

from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.retrieval.tables import RetrievalTables

GiB = 1024**3
CPU_S = 120
QUERIES, NEAREST = 8, 10


def probe(folder: Path) -> None:
    """Opens both halves of a release and asks them.

    Raises:
        SnowmeltError: RELEASE_INVALID where an answer is not the published one.
    """
    RankerArtefact.load(folder / RANKER).check_golden(folder / RANKER)
    _ask(RetrievalTables.load(folder / RETRIEVAL))


def _ask(tables: RetrievalTables) -> None:
    """The index must give back, for vectors of its own, places that are there and their inner products."""
    vectors = tables.item_vectors
    queries = np.ascontiguousarray(vectors[:: max(1, len(vectors) // QUERIES)][:QUERIES], np.float32)
    if not len(queries):
        return
    scores, places = tables.item_index.search(queries, min(NEAREST, len(vectors)))
    row, column = np.nonzero(places >= 0)
    products = np.sum(queries[row] * vectors[places[row, column]], axis=1)
    if not np.allclose(scores[row, column], products, rtol=1e-4, atol=1e-4):
        raise SnowmeltError(Reason.RELEASE_INVALID, "the index does not belong to its vectors")


def _limit(folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    memory = 4 * GiB + 8 * size
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


def main() -> int:
    """The exit code for the folder that the command line names."""
    folder = Path(sys.argv[1])
    _limit(folder)
    try:
        probe(folder)
    except SnowmeltError as error:
        sys.stderr.write(error.detail + "\n")
        return ExitCode.BAD_DATA
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
