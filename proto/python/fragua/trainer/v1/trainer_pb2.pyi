import datetime

from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scheduler(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULER_UNSPECIFIED: _ClassVar[Scheduler]
    SCHEDULER_COSINE: _ClassVar[Scheduler]
    SCHEDULER_LINEAR: _ClassVar[Scheduler]
    SCHEDULER_CONSTANT: _ClassVar[Scheduler]

class Precision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRECISION_UNSPECIFIED: _ClassVar[Precision]
    PRECISION_FP32: _ClassVar[Precision]
    PRECISION_BF16: _ClassVar[Precision]

class AdapterState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADAPTER_STATE_UNSPECIFIED: _ClassVar[AdapterState]
    ADAPTER_STATE_PENDING_TRAINING: _ClassVar[AdapterState]
    ADAPTER_STATE_TRAINING: _ClassVar[AdapterState]
    ADAPTER_STATE_READY: _ClassVar[AdapterState]
    ADAPTER_STATE_FAILED: _ClassVar[AdapterState]
SCHEDULER_UNSPECIFIED: Scheduler
SCHEDULER_COSINE: Scheduler
SCHEDULER_LINEAR: Scheduler
SCHEDULER_CONSTANT: Scheduler
PRECISION_UNSPECIFIED: Precision
PRECISION_FP32: Precision
PRECISION_BF16: Precision
ADAPTER_STATE_UNSPECIFIED: AdapterState
ADAPTER_STATE_PENDING_TRAINING: AdapterState
ADAPTER_STATE_TRAINING: AdapterState
ADAPTER_STATE_READY: AdapterState
ADAPTER_STATE_FAILED: AdapterState

class BaseModel(_message.Message):
    __slots__ = ("name", "architecture", "bundle", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    architecture: str
    bundle: _artifact_pb2.Bundle
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., architecture: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TrainingJob(_message.Message):
    __slots__ = ("name", "dataset_version", "base_model", "lora", "schedule", "precision", "evaluate_after", "status", "adapter")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    dataset_version: str
    base_model: str
    lora: LoraSpec
    schedule: Schedule
    precision: Precision
    evaluate_after: bool
    status: _job_pb2.JobStatus
    adapter: str
    def __init__(self, name: _Optional[str] = ..., dataset_version: _Optional[str] = ..., base_model: _Optional[str] = ..., lora: _Optional[_Union[LoraSpec, _Mapping]] = ..., schedule: _Optional[_Union[Schedule, _Mapping]] = ..., precision: _Optional[_Union[Precision, str]] = ..., evaluate_after: _Optional[bool] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., adapter: _Optional[str] = ...) -> None: ...

class LoraSpec(_message.Message):
    __slots__ = ("rank", "alpha", "dropout", "target_modules")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    rank: int
    alpha: float
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rank: _Optional[int] = ..., alpha: _Optional[float] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("epochs", "max_steps", "batch_size", "gradient_accumulation", "learning_rate", "warmup_steps", "weight_decay", "scheduler", "max_length", "seed", "save_steps", "eval_steps")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_ACCUMULATION_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    WARMUP_STEPS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SAVE_STEPS_FIELD_NUMBER: _ClassVar[int]
    EVAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    epochs: float
    max_steps: int
    batch_size: int
    gradient_accumulation: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    scheduler: Scheduler
    max_length: int
    seed: int
    save_steps: int
    eval_steps: int
    def __init__(self, epochs: _Optional[float] = ..., max_steps: _Optional[int] = ..., batch_size: _Optional[int] = ..., gradient_accumulation: _Optional[int] = ..., learning_rate: _Optional[float] = ..., warmup_steps: _Optional[int] = ..., weight_decay: _Optional[float] = ..., scheduler: _Optional[_Union[Scheduler, str]] = ..., max_length: _Optional[int] = ..., seed: _Optional[int] = ..., save_steps: _Optional[int] = ..., eval_steps: _Optional[int] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("name", "state", "training_job", "dataset_version", "base_model", "bundle", "trainable_parameters", "final_loss", "validation_loss", "create_time", "ready_time", "scores")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JOB_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FINAL_LOSS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    READY_TIME_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: AdapterState
    training_job: str
    dataset_version: str
    base_model: str
    bundle: _artifact_pb2.Bundle
    trainable_parameters: int
    final_loss: float
    validation_loss: float
    create_time: _timestamp_pb2.Timestamp
    ready_time: _timestamp_pb2.Timestamp
    scores: _containers.RepeatedCompositeFieldContainer[AdapterScore]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[AdapterState, str]] = ..., training_job: _Optional[str] = ..., dataset_version: _Optional[str] = ..., base_model: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., trainable_parameters: _Optional[int] = ..., final_loss: _Optional[float] = ..., validation_loss: _Optional[float] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scores: _Optional[_Iterable[_Union[AdapterScore, _Mapping]]] = ...) -> None: ...

class AdapterScore(_message.Message):
    __slots__ = ("evaluation", "metric", "base_score", "tuned_score", "item_count")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    BASE_SCORE_FIELD_NUMBER: _ClassVar[int]
    TUNED_SCORE_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    evaluation: str
    metric: str
    base_score: float
    tuned_score: float
    item_count: int
    def __init__(self, evaluation: _Optional[str] = ..., metric: _Optional[str] = ..., base_score: _Optional[float] = ..., tuned_score: _Optional[float] = ..., item_count: _Optional[int] = ...) -> None: ...

class TrainingMetric(_message.Message):
    __slots__ = ("attempt", "step", "name", "value", "record_time")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    step: int
    name: str
    value: float
    record_time: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[int] = ..., step: _Optional[int] = ..., name: _Optional[str] = ..., value: _Optional[float] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
