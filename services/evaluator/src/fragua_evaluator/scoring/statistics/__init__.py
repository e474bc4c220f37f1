"""How sure the numbers are: intervals, paired tests, effect sizes, power. Over items, never over answers."""

from fragua_evaluator.scoring.statistics.comparison import adjust, compare_arms
from fragua_evaluator.scoring.statistics.expectations import Expectation, Expectations, expectations
from fragua_evaluator.scoring.statistics.intervals import mean_interval

__all__ = ["Expectation", "Expectations", "adjust", "compare_arms", "expectations", "mean_interval"]
