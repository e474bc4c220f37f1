"""One answer against the expected one."""

import pytest

from fragua_evaluator.domain.evaluation_spec import Metric
from fragua_evaluator.scoring.metrics import score_answer


@pytest.mark.parametrize(
    ("metric", "answer", "expected", "score"),
    [
        (Metric.EXACT_MATCH, " La man\u0303ana\n es  azul. ", "La mañana es azul.", 1.0),
        (Metric.EXACT_MATCH, "la mañana es azul.", "La mañana es azul.", 0.0),
        (Metric.EXACT_MATCH, "", "a", 0.0),
        (Metric.CONTAINS, "Creo que es MADRID, sí.", "Madrid", 1.0),
        (Metric.CONTAINS, "Madri", "Madrid", 0.0),
        (Metric.TOKEN_F1, "el año nuevo", "Nuevo el AÑO", 1.0),
        (Metric.TOKEN_F1, "el gato", "el perro", 0.5),
        (Metric.TOKEN_F1, "el el el", "el", 0.5),
        (Metric.TOKEN_F1, "", "el", 0.0),
        (Metric.TOKEN_F1, "x += 1", "x += 1", 1.0),
    ],
)
# R69
def test_an_answer_gets_the_score_that_its_metric_means(
    metric: Metric, answer: str, expected: str, score: float
) -> None:
    assert score_answer(metric, answer, expected) == pytest.approx(score)
