"""From scored candidates to a slate: what may be shown, in which order, how mixed, and why; pure."""

from snowmelt.blending.blend import Place, arrange, blend
from snowmelt.blending.content import Content
from snowmelt.blending.diversity import Diversity
from snowmelt.blending.reasons import History, Reason
from snowmelt.blending.rules import Rules, eligible

__all__ = ["Content", "Diversity", "History", "Place", "Reason", "Rules", "arrange", "blend", "eligible"]
