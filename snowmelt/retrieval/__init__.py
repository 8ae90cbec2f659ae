"""Candidates for a user: sources with quotas over item vectors, neighbours, popularity and content."""

from snowmelt.retrieval.config import RetrievalConfig, SourceConfig
from snowmelt.retrieval.query import RetrievalQuery
from snowmelt.retrieval.retriever import Retriever
from snowmelt.retrieval.spans import SparseRows
from snowmelt.retrieval.tables import FoldIn, RetrievalTables
from snowmelt.retrieval.text import TextEncoder

__all__ = [
    "FoldIn",
    "RetrievalConfig",
    "RetrievalQuery",
    "RetrievalTables",
    "Retriever",
    "SourceConfig",
    "SparseRows",
    "TextEncoder",
]
