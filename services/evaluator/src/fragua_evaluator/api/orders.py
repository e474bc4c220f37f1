"""Between the messages of an order and the evaluator's own data."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fragua.common.v1 import artifact_pb2
from fragua.evaluator.v1 import arm_pb2, evaluator_pb2, suite_pb2
from fragua_evaluator.domain.arm import (
    Decoding,
    EndpointModel,
    Limits,
    Message,
    OllamaModel,
    Prompting,
    Role,
)
from fragua_evaluator.domain.evaluation_order import (
    AdapterArm,
    ArmOrder,
    BaseModelArm,
    BaseOfArm,
    EvaluationOrder,
    ExportedArm,
    OrderedModel,
    OutputsArm,
    SuiteOrder,
)
from fragua_evaluator.domain.suite import MetricChoice
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.yaml_text import InvalidYaml, read_yaml, write_yaml

_DECODING = ("max_new_tokens", "temperature", "top_p")
_LIMITS = ("request_seconds", "max_failed_share", "metric_seconds", "metric_memory_mib")


def order_from_message(message: evaluator_pb2.Evaluation) -> EvaluationOrder:
    """Absent fields take the defaults of the specification, which are documented there."""
    given: dict[str, Any] = {"repeats": message.repeats} if message.HasField("repeats") else {}
    return EvaluationOrder(
        adapter=message.adapter,
        dataset_version=message.dataset_version,
        arms=tuple(_arm_from_message(arm) for arm in message.arms),
        suites=tuple(_suite_from_message(place, suite) for place, suite in enumerate(message.suites)),
        decoding=Decoding(seed=message.seed, **_present(message.decoding, _DECODING)),
        seed=message.seed,
        policy_name=message.policy.name,
        policy_yaml=message.policy.yaml,
        limits=Limits(**_present(message.limits, _LIMITS)),
        **given,
    )


def order_to_message(order: EvaluationOrder) -> evaluator_pb2.Evaluation:
    return evaluator_pb2.Evaluation(
        adapter=order.adapter,
        dataset_version=order.dataset_version,
        arms=[_arm_to_message(arm) for arm in order.arms],
        suites=[_suite_to_message(suite) for suite in order.suites],
        decoding=evaluator_pb2.Decoding(**{name: getattr(order.decoding, name) for name in _DECODING}),
        repeats=order.repeats,
        seed=order.seed,
        policy=_policy_to_message(order),
        limits=evaluator_pb2.Limits(**{name: getattr(order.limits, name) for name in _LIMITS}),
    )


def _present(message: evaluator_pb2.Decoding | evaluator_pb2.Limits, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


# --- arms


def _arm_from_message(message: arm_pb2.Arm) -> ArmOrder:
    return ArmOrder(name=message.name, model=_model_from_message(message), prompting=_prompting(message.prompting))


def _model_from_message(message: arm_pb2.Arm) -> OrderedModel:
    match message.WhichOneof("model"):
        case "base_model":
            return BaseModelArm(base_model=message.base_model)
        case "base_of":
            return BaseOfArm(adapter=message.base_of)
        case "adapter":
            return AdapterArm(adapter=message.adapter.adapter, merged=message.adapter.merged)
        case "exported":
            return ExportedArm(export=message.exported.export, file=message.exported.file)
        case "ollama":
            return OllamaModel(url=message.ollama.url, model=message.ollama.model)
        case "endpoint":
            asked = message.endpoint
            return EndpointModel(url=asked.url, model=asked.model, key_variable=asked.key_variable or None)
        case _:
            outputs = message.outputs
            return OutputsArm(key=outputs.key, size=outputs.size_bytes, sha256=outputs.sha256)


def _prompting(message: arm_pb2.Prompting) -> Prompting:
    turns = [
        Message(role=role, content=content)
        for shown in message.demonstrations
        for role, content in ((Role.USER, shown.question), (Role.ASSISTANT, shown.answer))
    ]
    return Prompting(system=message.system, demonstrations=tuple(turns))


def _arm_to_message(arm: ArmOrder) -> arm_pb2.Arm:
    turns = arm.prompting.demonstrations
    message = arm_pb2.Arm(
        name=arm.name,
        prompting=arm_pb2.Prompting(
            system=arm.prompting.system,
            demonstrations=[
                arm_pb2.Demonstration(question=question.content, answer=answer.content)
                for question, answer in zip(turns[::2], turns[1::2], strict=True)
            ],
        ),
    )
    match arm.model:
        case BaseModelArm(base_model=name):
            message.base_model = name
        case BaseOfArm(adapter=name):
            message.base_of = name
        case AdapterArm(adapter=name, merged=merged):
            message.adapter.CopyFrom(arm_pb2.AdapterModel(adapter=name, merged=merged))
        case ExportedArm(export=name, file=file):
            message.exported.CopyFrom(arm_pb2.ExportedModel(export=name, file=file))
        case OllamaModel(url=url, model=model):
            message.ollama.CopyFrom(arm_pb2.EndpointModel(url=url, model=model))
        case EndpointModel(url=url, model=model, key_variable=key):
            message.endpoint.CopyFrom(arm_pb2.EndpointModel(url=url, model=model, key_variable=key or ""))
        case OutputsArm(key=key, size=size, sha256=sha256):
            message.outputs.CopyFrom(artifact_pb2.Artifact(key=key, size_bytes=size, sha256=sha256))
    return message


# --- suites and policy


def _suite_from_message(place: int, message: suite_pb2.Suite) -> SuiteOrder:
    return SuiteOrder(
        name=message.name,
        yaml=message.yaml,
        dataset_version=message.dataset_version,
        metrics=tuple(
            _metric_from_message(f"evaluation.suites[{place}].metrics[{number}]", metric)
            for number, metric in enumerate(message.metrics)
        ),
        max_items=message.max_items if message.HasField("max_items") else None,
        max_new_tokens=message.max_new_tokens if message.HasField("max_new_tokens") else None,
    )


def _metric_from_message(place: str, message: suite_pb2.Metric) -> MetricChoice:
    try:
        options = read_yaml(message.options_yaml) if message.options_yaml else {}
        return MetricChoice(name=message.name, options=options)
    except (InvalidYaml, ValidationError) as invalid:
        problem = "the options of a metric are a YAML map of names to values"
        raise InvalidInput(f"{place}: {problem}", violations=[Violation(f"{place}.options_yaml", problem)]) from invalid


def _suite_to_message(suite: SuiteOrder) -> suite_pb2.Suite:
    chosen = {"yaml": suite.yaml} if suite.yaml else {"name": suite.name}
    return suite_pb2.Suite(
        **chosen,
        dataset_version=suite.dataset_version,
        metrics=[
            suite_pb2.Metric(name=metric.name, options_yaml=write_yaml(metric.options) if metric.options else "")
            for metric in suite.metrics
        ],
        max_items=suite.max_items,
        max_new_tokens=suite.max_new_tokens,
    )


def _policy_to_message(order: EvaluationOrder) -> evaluator_pb2.GatePolicyChoice | None:
    if order.policy_yaml:
        return evaluator_pb2.GatePolicyChoice(yaml=order.policy_yaml)
    return evaluator_pb2.GatePolicyChoice(name=order.policy_name) if order.policy_name else None
