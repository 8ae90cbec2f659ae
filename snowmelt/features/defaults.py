"""The views of feature_repo as it stands, for what has no repository of its own: drills, their benchmarks, evaluation.

``default_views.json`` is compiled from feature_repo, where every feature is defined and nowhere else (``make views``).
"""

from functools import cache
from pathlib import Path

from snowmelt.features.views import CompiledViews


@cache
def default_views() -> CompiledViews:
    """The compiled views.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where the file is missing or damaged: ``make views`` makes it anew.
    """
    return CompiledViews.load(Path(__file__).with_name("default_views.json"))
