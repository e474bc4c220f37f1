"""Evaluations, and what there is to evaluate with, as the protos tell them."""

from __future__ import annotations

from collections.abc import Mapping

from fragua.evaluator.v1 import decision_pb2, evaluator_pb2, suite_pb2
from fragua_evaluator.api.orders import order_to_message
from fragua_evaluator.application.records import EvaluationRecord
from fragua_evaluator.domain.decision import Decision, verification_status
from fragua_evaluator.domain.evaluation_order import ResolvedOrder
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.metric_catalog import MetricDescription
from fragua_evaluator.domain.suite_catalog import Rows, SuiteTemplate
from fragua_evaluator.domain.votes import Preference, Vote
from fragua_evaluator.result_messages import (
    outcome_to_message,
    result_to_message,
    verdict_to_message,
    verification_status_to_message,
)
from fragua_evaluator.work import bundle_of, report_of
from fragua_platform.jobs.events import status_to_message
from fragua_platform.messages import bundle_to_message
from fragua_platform.yaml_text import write_yaml

_PREFERENCES = {
    decision_pb2.PREFERENCE_LEFT: Preference.LEFT,
    decision_pb2.PREFERENCE_RIGHT: Preference.RIGHT,
    decision_pb2.PREFERENCE_TIE: Preference.TIE,
}


def evaluation_to_message(record: EvaluationRecord) -> evaluator_pb2.Evaluation:
    job = record.job
    resolved, bundle = ResolvedOrder.model_validate(job.spec), bundle_of(job)
    message = order_to_message(resolved.order)
    message.name = job.name
    message.status.CopyFrom(status_to_message(job))
    status = verification_status(record.decisions)
    if bundle is not None:
        message.result.CopyFrom(result_to_message(report_of(job)))
        message.bundle.CopyFrom(bundle_to_message(bundle))
        message.verification_status = verification_status_to_message(status)
    message.decisions.extend(_decision_to_message(decision) for decision in record.decisions)
    return message


def _decision_to_message(decision: Decision) -> decision_pb2.Decision:
    message = decision_pb2.Decision(
        outcome=outcome_to_message(decision.outcome),
        verdict=verdict_to_message(decision.verdict),
        overridden=decision.overridden,
        decided_by=decision.decided_by,
        reason=decision.reason,
    )
    message.decide_time.FromDatetime(decision.decided)
    return message


def vote_from_message(message: decision_pb2.Vote) -> Vote:
    """Raises ValidationError when it compares an arm with itself."""
    return Vote(
        suite=message.suite,
        item=message.item,
        left=message.left,
        right=message.right,
        preferred=_PREFERENCES[message.preference],
        blind=message.blind,
        note=message.note,
    )


def suite_to_message(template: SuiteTemplate) -> suite_pb2.SuiteDescription:
    return suite_pb2.SuiteDescription(
        name=template.name,
        description=template.description,
        kind=template.kind.value,
        asks_rows=template.rows is not Rows.NONE,
        case_count=len(template.cases),
        metrics=[metric.name for metric in template.metrics],
        yaml=write_yaml(template.model_dump(mode="json", exclude_defaults=True)),
    )


def metric_to_message(metric: MetricDescription) -> suite_pb2.MetricDescription:
    return suite_pb2.MetricDescription(
        name=metric.name,
        description=metric.description,
        graded=metric.graded,
        needs_expected_answer=metric.needs_expected,
        options=[
            suite_pb2.MetricOption(
                name=option.name,
                type=" | ".join(option.words) or option.type.value,
                default_value="" if option.required else write_yaml(option.default).strip(),
                description=option.meaning + (" (required)" if option.required else ""),
            )
            for option in metric.options
        ],
    )


def policy_to_message(policy: GatePolicy) -> suite_pb2.GatePolicyDescription:
    fields: Mapping[str, object] = policy.model_dump(mode="json", exclude_defaults=True)
    return suite_pb2.GatePolicyDescription(name=policy.name, description=policy.description, yaml=write_yaml(fields))
