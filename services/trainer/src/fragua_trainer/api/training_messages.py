"""Between `fragua.trainer.v1.TrainingJob` and the trainer's orders and jobs."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fragua.trainer.v1 import trainer_pb2
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
from fragua_trainer.domain.registry import Adapter
from fragua_trainer.domain.spec_layers import Layer, read_layers
from fragua_trainer.domain.training_order import ResolvedOrder, TrainingOrder
from fragua_trainer.domain.training_spec import Precision, Quantization, TrainingSpec, invalid_specification
from fragua_trainer.presets import Preset, presets
from fragua_trainer.spec_yaml import read_spec_yaml, write_spec_yaml

_LOGGING_FIELDS = ("log_steps", "save_steps", "eval_steps", "keep_checkpoints")
"""What the message has in its schedule and the specification in `logging`."""
_ENUMS = {
    trainer_pb2.LoraBias.DESCRIPTOR: "LORA_BIAS_",
    trainer_pb2.Scheduler.DESCRIPTOR: "SCHEDULER_",
    trainer_pb2.Precision.DESCRIPTOR: "PRECISION_",
    trainer_pb2.Quantization.DESCRIPTOR: "QUANTIZATION_",
    trainer_pb2.Optimizer.DESCRIPTOR: "OPTIMIZER_",
    trainer_pb2.SubstitutionPolicy.DESCRIPTOR: "SUBSTITUTION_POLICY_",
}


def order_from_message(message: trainer_pb2.TrainingJob) -> TrainingOrder:
    """A preset, under the client's YAML, under the fields that the client set; every problem of them at once."""
    layers, violations = [], []
    if message.preset:
        if (preset := presets().get(message.preset)) is not None:
            layers.append(Layer("training_job.preset", preset.values))
        else:
            known = ", ".join(presets())
            violations.append(Violation("training_job.preset", f"{message.preset!r} is not one of {known}"))
    try:
        layers.append(Layer("training_job.spec_yaml", read_spec_yaml(message.spec_yaml)))
    except InvalidInput as unreadable:
        violations.append(Violation("training_job.spec_yaml", unreadable.message))
    layers.append(Layer("training_job", _spec_fields(message)))
    spec, problems = read_layers(layers)
    if violations or problems:
        raise invalid_specification(violations + problems)
    return TrainingOrder(
        dataset_version=message.dataset_version,
        base_model=message.base_model,
        spec=spec,
        preset=message.preset,
        evaluate_after=message.evaluate_after,
    )


def job_to_message(job: Job, adapter: Adapter | None) -> trainer_pb2.TrainingJob:
    resolved = ResolvedOrder.model_validate(job.spec)
    order, spec = resolved.order, resolved.order.spec
    message = trainer_pb2.TrainingJob(
        name=job.name,
        dataset_version=order.dataset_version,
        base_model=order.base_model,
        preset=order.preset,
        evaluate_after=order.evaluate_after,
        priority=job.priority,
        resolved_spec_yaml=write_spec_yaml(spec),
        notices=[*resolved.notices, *job.result.get("notices", ())],
        status=status_to_message(job),
        adapter=adapter.name if adapter else "",
    )
    _fill_spec(message, spec)
    return message


def preset_to_message(preset: Preset) -> trainer_pb2.TrainingPreset:
    return trainer_pb2.TrainingPreset(name=preset.name, description=preset.description, spec_yaml=preset.spec_yaml)


def _spec_fields(message: trainer_pb2.TrainingJob) -> dict[str, Any]:
    """What the client set, with the keys of the specification."""
    values = {name: value for name, value in _set_fields(message).items() if name in TrainingSpec.model_fields}
    schedule = values.get("schedule", {})
    if logging := {name: schedule.pop(name) for name in _LOGGING_FIELDS if name in schedule}:
        values["logging"] = logging
    return values


def _set_fields(message: Message) -> dict[str, Any]:
    return {field.name: _plain(field, value) for field, value in message.ListFields()}


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type in _ENUMS:
        return field.enum_type.values_by_number[value].name.removeprefix(_ENUMS[field.enum_type]).lower()
    if field.is_repeated:
        return list(value)
    return _set_fields(value) if field.message_type else value


def _fill_spec(message: trainer_pb2.TrainingJob, spec: TrainingSpec) -> None:
    """The specification as fields, as far as the message has one for it; `resolved_spec_yaml` has all of it."""
    values = spec.model_dump(mode="json", exclude_none=True)
    values["schedule"] |= values["logging"]
    values["precision"] = spec.base_precision.value
    # Absent is how the message says these.
    if spec.base_precision is Precision.AUTO:
        del values["precision"]
    if spec.quantization not in (Quantization.BNB4, Quantization.INT8):
        del values["quantization"]
    _fill(message, values)


def _fill(message: Message, values: dict[str, Any]) -> None:
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            continue
        if field.enum_type in _ENUMS:
            number = field.enum_type.values_by_name[f"{_ENUMS[field.enum_type]}{value.upper()}"].number
            setattr(message, name, number)
        elif field.is_repeated:
            getattr(message, name).extend(value)
        elif field.message_type:
            _fill(getattr(message, name), value)
        else:
            setattr(message, name, value)
