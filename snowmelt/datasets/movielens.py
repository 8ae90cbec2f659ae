"""MovieLens-100k out of the recbole wheel: real films, real people; fetched at run time, never kept in the project."""

import csv
import io
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from snowmelt.datasets import data_set
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.training.errors import BadDataError

LOCK = Path(__file__).resolve().parents[2] / "demo-data.lock"
FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
SOURCE = "MovieLens-100k (GroupLens), read out of the recbole wheel of the Python package registry"
TERMS = "research use only, no commercial use, no redistribution (https://grouplens.org/datasets/movielens/100k/)"
EVENT_TYPE = "rating"
FETCH_TIMEOUT_SECONDS = 60


class UnreachableError(Exception):
    """The package registry did not give the wheel, and it is not cached."""


def cache_folder() -> Path:
    """Where fetched data sets lie: SNOWMELT_CACHE_DIR, else .cache in the working folder."""
    return Path(os.environ.get("SNOWMELT_CACHE_DIR") or ".cache") / "datasets"


def fetch(folder: Path, progress: Progress = data_set.silent) -> Path:
    """The wheel's path; downloads it, held to the hash of demo-data.lock, where it is not cached yet.

    Raises:
        UnreachableError: the registry cannot be reached, or what it gives has another hash.
    """
    cached = sorted(folder.glob("recbole-*.whl"))
    if cached:
        return cached[-1]
    progress("fetch MovieLens-100k", 0, 1)
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--retries", "1", "--timeout", "10", "-q")
    command = (sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(LOCK))
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreachableError(f"pip download did not end: {error}") from error
    cached = sorted(folder.glob("recbole-*.whl"))
    if ended.returncode or not cached:
        last = ended.stderr.strip().splitlines()
        raise UnreachableError(last[-1] if last else "pip download left no wheel")
    progress("fetch MovieLens-100k", 1, 1)
    return cached[-1]


def read(wheel: Path) -> DataSet:
    """The data set of a wheel: ratings are events of type ``rating``, genres are categories.

    A film counts as offered since its release year (1970 where it is older or unknown), or since its first rating
    where that is earlier.

    Raises:
        BadDataError: the wheel is no zip file, or lacks the data.
    """
    try:
        with zipfile.ZipFile(wheel) as opened:
            inter, item, user = (_rows(opened, f"{FOLDER}.{kind}") for kind in ("inter", "item", "user"))
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise BadDataError(
            f"{wheel.name}: not the wheel that was expected ({error}); delete it to fetch it anew"
        ) from error
    times = (np.array([float(row["timestamp"]) for row in inter]) * 1000).astype(np.int64)
    genres = {row["item_id"]: row["class"].split() for row in item}
    items = [row["item_id"] for row in inter]
    events = data_set.table(
        data_set.EVENTS,
        {
            "event_id": [f"ml100k-{row['user_id']}-{row['item_id']}" for row in inter],
            "user_id": [row["user_id"] for row in inter],
            "session_id": [""] * len(inter),
            "item_id": items,
            "type": [EVENT_TYPE] * len(inter),
            "value": np.array([float(row["rating"]) for row in inter]),
            "event_time_ms": times,
            "categories": data_set.category_lists(genres, items),
            "price": np.full(len(inter), None),
        },
    )
    start = int(times.min())
    firsts = dict(
        zip(reversed(events["item_id"].to_pylist()), reversed(events["event_time_ms"].to_pylist()), strict=True)
    )
    tables = (_catalogue(item, genres, firsts, start), _users(user, start), events)
    return data_set.from_tables("MovieLens-100k", SOURCE, TERMS, tables)


def _rows(opened: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    """A tab-separated file whose header says ``name:type``."""
    lines = csv.reader(io.StringIO(opened.read(name).decode()), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = [column.split(":")[0] for column in next(lines)]
    return [dict(zip(header, line, strict=True)) for line in lines]


def _catalogue(
    item: list[dict[str, str]], genres: dict[str, list[str]], firsts: dict[str, int], start: int
) -> pa.Table:
    years = [_year(row["release_year"]) for row in item]
    titles = [row["movie_title"] + (f" ({year})" if year else "") for row, year in zip(item, years, strict=True)]
    offered = [
        min(int(datetime(max(year, 1970), 1, 1, tzinfo=UTC).timestamp()) * 1000, firsts.get(row["item_id"], start))
        for row, year in zip(item, years, strict=True)
    ]
    return data_set.table(
        data_set.CATALOGUE,
        {
            "item_id": [row["item_id"] for row in item],
            "title": titles,
            "text": [" ".join(genres[row["item_id"]]) for row in item],
            "categories": [genres[row["item_id"]] for row in item],
            "price": np.full(len(item), None),
            "available_from_ms": offered,
            "attributes": data_set.attributes([{"release_year": str(year)} if year else {} for year in years]),
            "event_time_ms": [start] * len(item),
        },
    )


def _year(text: str) -> int:
    """A release year; 0 for the two films that have ``unkonwn`` and ``V``."""
    return int(text) if text.isdigit() else 0


def _users(user: list[dict[str, str]], start: int) -> pa.Table:
    words = [{k: v for k, v in row.items() if k != "user_id" and v} for row in user]
    return data_set.table(
        data_set.USERS,
        {
            "user_id": [row["user_id"] for row in user],
            "attributes": data_set.attributes(words),
            "event_time_ms": [start] * len(user),
        },
    )
