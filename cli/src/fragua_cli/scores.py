"""An evaluation's result as a table: base beside tuned, with their uncertainty."""

from __future__ import annotations

from fragua.evaluator.v1 import evaluator_pb2
from fragua_cli.output import Output


def show_scores(output: Output, evaluation: evaluator_pb2.Evaluation) -> None:
    metric = evaluator_pb2.Metric.Name(evaluation.metric).removeprefix("METRIC_").lower().replace("_", " ")
    arms = {"base": evaluation.result.base, "tuned": evaluation.result.tuned}
    output.table(
        {
            "MODEL": list(arms),
            metric.upper(): [f"{arm.score:.1%}" for arm in arms.values()],
            "95 % INTERVAL": [f"{arm.score_low:.1%} to {arm.score_high:.1%}" for arm in arms.values()],
            "QUESTIONS": [str(arm.item_count) for arm in arms.values()],
            "TOKENS/S": [f"{arm.tokens_per_second:,.0f}" for arm in arms.values()],
            "ENDED BY ITSELF": [f"{arm.stopped_rate:.0%}" for arm in arms.values()],
        }
    )
    paired = evaluation.result.paired
    output.say(
        f"question by question: {paired.improved} better, {paired.worsened} worse, {paired.tied} equal; "
        f"{paired.test} p = {paired.p_value:.2g}"
    )
