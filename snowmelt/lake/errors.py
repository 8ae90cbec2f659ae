"""Turns what deltalake and the file system raise into the house's one error."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError

from snowmelt.contracts.errors import Reason, SnowmeltError


@contextmanager
def lake_errors() -> Iterator[None]:
    """Around what reads the lake, or writes what can be written again.

    Raises:
        SnowmeltError: UNAVAILABLE where the lake does not answer, or a file of it is damaged.
    """
    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        detail = f"the lake does not answer: mend its storage or SNOWMELT_LAKE_URL: {error}"
        raise SnowmeltError(Reason.UNAVAILABLE, detail) from error
