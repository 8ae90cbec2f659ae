"""How a release is trained."""

from dataclasses import dataclass, field

from snowmelt.contracts.clock import DAY_MS
from snowmelt.ranking.trees import TreeParams
from snowmelt.training.labels import DEFAULT_RULES


@dataclass(frozen=True)
class TrainingConfig:
    """The knobs of one training.

    Attributes:
        positives: which events are choices, as ``labels.parse_rules`` reads it.
        label_share: of all choices, in time order, the share that the trees learn from.
        test_share: the share after that, the newest, on which the release is judged.
        blocks: the label window falls into so many parts, each seen through tables built at its start.
        horizon_ms: what a user chose up to so long after a query's instant is its truth.
        per_user: at most so many queries a user and window.
        max_queries, max_test_queries: at most so many in all.
        min_test_queries: fewer are no evaluation.
        candidates: proposed for each query, as in serving.
        negatives: kept of each query's candidates that were not chosen; 200 were .0013 better in NDCG@10 on the
            validation months of ``retail-month`` (.1547), and take nearly twice the time.
        trees: as chosen on those months.
    """

    positives: str = DEFAULT_RULES
    label_share: float = 0.2
    test_share: float = 0.1
    blocks: int = 2
    horizon_ms: int = DAY_MS
    per_user: int = 4
    max_queries: int = 1_200
    max_test_queries: int = 400
    min_test_queries: int = 20
    candidates: int = 500
    negatives: int = 100
    trees: TreeParams = field(default_factory=TreeParams)
