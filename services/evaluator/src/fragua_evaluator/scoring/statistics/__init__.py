"""How sure the numbers are: intervals, paired tests, effect sizes, power. Over items, never over answers."""

from fragua_evaluator.scoring.statistics.comparison import adjust, compare_arms
from fragua_evaluator.scoring.statistics.intervals import mean_interval

__all__ = ["adjust", "compare_arms", "mean_interval"]
