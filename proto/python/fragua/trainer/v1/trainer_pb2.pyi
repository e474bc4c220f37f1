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

class Quantization(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUANTIZATION_UNSPECIFIED: _ClassVar[Quantization]
    QUANTIZATION_BNB4: _ClassVar[Quantization]
    QUANTIZATION_INT8: _ClassVar[Quantization]

class Optimizer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZER_UNSPECIFIED: _ClassVar[Optimizer]
    OPTIMIZER_ADAMW: _ClassVar[Optimizer]
    OPTIMIZER_ADAMW_8BIT: _ClassVar[Optimizer]
    OPTIMIZER_PAGED_ADAMW_8BIT: _ClassVar[Optimizer]

class SubstitutionPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBSTITUTION_POLICY_UNSPECIFIED: _ClassVar[SubstitutionPolicy]
    SUBSTITUTION_POLICY_REFUSE: _ClassVar[SubstitutionPolicy]
    SUBSTITUTION_POLICY_ALLOW: _ClassVar[SubstitutionPolicy]

class LoraBias(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LORA_BIAS_UNSPECIFIED: _ClassVar[LoraBias]
    LORA_BIAS_NONE: _ClassVar[LoraBias]
    LORA_BIAS_ALL: _ClassVar[LoraBias]
    LORA_BIAS_LORA_ONLY: _ClassVar[LoraBias]

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
QUANTIZATION_UNSPECIFIED: Quantization
QUANTIZATION_BNB4: Quantization
QUANTIZATION_INT8: Quantization
OPTIMIZER_UNSPECIFIED: Optimizer
OPTIMIZER_ADAMW: Optimizer
OPTIMIZER_ADAMW_8BIT: Optimizer
OPTIMIZER_PAGED_ADAMW_8BIT: Optimizer
SUBSTITUTION_POLICY_UNSPECIFIED: SubstitutionPolicy
SUBSTITUTION_POLICY_REFUSE: SubstitutionPolicy
SUBSTITUTION_POLICY_ALLOW: SubstitutionPolicy
LORA_BIAS_UNSPECIFIED: LoraBias
LORA_BIAS_NONE: LoraBias
LORA_BIAS_ALL: LoraBias
LORA_BIAS_LORA_ONLY: LoraBias
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
    __slots__ = ("name", "architecture", "bundle", "create_time", "source", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    architecture: str
    bundle: _artifact_pb2.Bundle
    create_time: _timestamp_pb2.Timestamp
    source: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., architecture: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class TrainingJob(_message.Message):
    __slots__ = ("name", "dataset_version", "base_model", "lora", "schedule", "precision", "evaluate_after", "preset", "spec_yaml", "quantization", "optimizer", "early_stopping", "limits", "warm_start", "priority", "substitution", "retry_smaller", "shard_base", "status", "adapter", "resolved_spec_yaml", "notices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    WARM_START_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTION_FIELD_NUMBER: _ClassVar[int]
    RETRY_SMALLER_FIELD_NUMBER: _ClassVar[int]
    SHARD_BASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    dataset_version: str
    base_model: str
    lora: LoraSpec
    schedule: Schedule
    precision: Precision
    evaluate_after: bool
    preset: str
    spec_yaml: str
    quantization: Quantization
    optimizer: Optimizer
    early_stopping: EarlyStopping
    limits: Limits
    warm_start: str
    priority: int
    substitution: SubstitutionPolicy
    retry_smaller: bool
    shard_base: bool
    status: _job_pb2.JobStatus
    adapter: str
    resolved_spec_yaml: str
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., dataset_version: _Optional[str] = ..., base_model: _Optional[str] = ..., lora: _Optional[_Union[LoraSpec, _Mapping]] = ..., schedule: _Optional[_Union[Schedule, _Mapping]] = ..., precision: _Optional[_Union[Precision, str]] = ..., evaluate_after: _Optional[bool] = ..., preset: _Optional[str] = ..., spec_yaml: _Optional[str] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., optimizer: _Optional[_Union[Optimizer, str]] = ..., early_stopping: _Optional[_Union[EarlyStopping, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., warm_start: _Optional[str] = ..., priority: _Optional[int] = ..., substitution: _Optional[_Union[SubstitutionPolicy, str]] = ..., retry_smaller: _Optional[bool] = ..., shard_base: _Optional[bool] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., adapter: _Optional[str] = ..., resolved_spec_yaml: _Optional[str] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class EarlyStopping(_message.Message):
    __slots__ = ("patience", "min_delta", "metric", "rows", "answer_tokens")
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    patience: int
    min_delta: float
    metric: str
    rows: int
    answer_tokens: int
    def __init__(self, patience: _Optional[int] = ..., min_delta: _Optional[float] = ..., metric: _Optional[str] = ..., rows: _Optional[int] = ..., answer_tokens: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("train_rows", "validation_rows", "max_seconds")
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    train_rows: int
    validation_rows: int
    max_seconds: int
    def __init__(self, train_rows: _Optional[int] = ..., validation_rows: _Optional[int] = ..., max_seconds: _Optional[int] = ...) -> None: ...

class TrainingEstimate(_message.Message):
    __slots__ = ("trainable_parameters", "base_parameters", "targets", "mask", "tokens_per_epoch", "steps", "memory_bytes", "disk_bytes", "seconds_per_step", "seconds", "notices")
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    BASE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_STEP_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    trainable_parameters: int
    base_parameters: int
    targets: _containers.RepeatedCompositeFieldContainer[TargetMatch]
    mask: MaskProof
    tokens_per_epoch: int
    steps: int
    memory_bytes: int
    disk_bytes: int
    seconds_per_step: float
    seconds: float
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trainable_parameters: _Optional[int] = ..., base_parameters: _Optional[int] = ..., targets: _Optional[_Iterable[_Union[TargetMatch, _Mapping]]] = ..., mask: _Optional[_Union[MaskProof, _Mapping]] = ..., tokens_per_epoch: _Optional[int] = ..., steps: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., seconds_per_step: _Optional[float] = ..., seconds: _Optional[float] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class TargetMatch(_message.Message):
    __slots__ = ("target", "layers", "shape")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    target: str
    layers: int
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, target: _Optional[str] = ..., layers: _Optional[int] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class MaskProof(_message.Message):
    __slots__ = ("rows", "tokens", "supervised_tokens", "shortest_answer_tokens", "longest_row_tokens", "rows_with_end_of_turn", "rows_too_long")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SUPERVISED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SHORTEST_ANSWER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_ROW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ROWS_WITH_END_OF_TURN_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOO_LONG_FIELD_NUMBER: _ClassVar[int]
    rows: int
    tokens: int
    supervised_tokens: int
    shortest_answer_tokens: int
    longest_row_tokens: int
    rows_with_end_of_turn: int
    rows_too_long: int
    def __init__(self, rows: _Optional[int] = ..., tokens: _Optional[int] = ..., supervised_tokens: _Optional[int] = ..., shortest_answer_tokens: _Optional[int] = ..., longest_row_tokens: _Optional[int] = ..., rows_with_end_of_turn: _Optional[int] = ..., rows_too_long: _Optional[int] = ...) -> None: ...

class TrainingPreset(_message.Message):
    __slots__ = ("name", "description", "spec_yaml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    spec_yaml: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., spec_yaml: _Optional[str] = ...) -> None: ...

class LoraSpec(_message.Message):
    __slots__ = ("rank", "alpha", "dropout", "target_modules", "bias", "rslora", "dora", "lora_plus_ratio")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    RSLORA_FIELD_NUMBER: _ClassVar[int]
    DORA_FIELD_NUMBER: _ClassVar[int]
    LORA_PLUS_RATIO_FIELD_NUMBER: _ClassVar[int]
    rank: int
    alpha: float
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    bias: LoraBias
    rslora: bool
    dora: bool
    lora_plus_ratio: float
    def __init__(self, rank: _Optional[int] = ..., alpha: _Optional[float] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ..., bias: _Optional[_Union[LoraBias, str]] = ..., rslora: _Optional[bool] = ..., dora: _Optional[bool] = ..., lora_plus_ratio: _Optional[float] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("epochs", "max_steps", "batch_size", "gradient_accumulation", "learning_rate", "warmup_steps", "weight_decay", "scheduler", "max_length", "seed", "save_steps", "eval_steps", "log_steps", "warmup_ratio", "neftune_alpha", "packing", "gradient_checkpointing", "keep_checkpoints")
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
    LOG_STEPS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RATIO_FIELD_NUMBER: _ClassVar[int]
    NEFTUNE_ALPHA_FIELD_NUMBER: _ClassVar[int]
    PACKING_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_CHECKPOINTING_FIELD_NUMBER: _ClassVar[int]
    KEEP_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
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
    log_steps: int
    warmup_ratio: float
    neftune_alpha: float
    packing: bool
    gradient_checkpointing: bool
    keep_checkpoints: int
    def __init__(self, epochs: _Optional[float] = ..., max_steps: _Optional[int] = ..., batch_size: _Optional[int] = ..., gradient_accumulation: _Optional[int] = ..., learning_rate: _Optional[float] = ..., warmup_steps: _Optional[int] = ..., weight_decay: _Optional[float] = ..., scheduler: _Optional[_Union[Scheduler, str]] = ..., max_length: _Optional[int] = ..., seed: _Optional[int] = ..., save_steps: _Optional[int] = ..., eval_steps: _Optional[int] = ..., log_steps: _Optional[int] = ..., warmup_ratio: _Optional[float] = ..., neftune_alpha: _Optional[float] = ..., packing: _Optional[bool] = ..., gradient_checkpointing: _Optional[bool] = ..., keep_checkpoints: _Optional[int] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("name", "state", "training_job", "dataset_version", "base_model", "bundle", "trainable_parameters", "final_loss", "validation_loss", "create_time", "ready_time", "scores", "failure_class")
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
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
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
    failure_class: _job_pb2.FailureClass
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[AdapterState, str]] = ..., training_job: _Optional[str] = ..., dataset_version: _Optional[str] = ..., base_model: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., trainable_parameters: _Optional[int] = ..., final_loss: _Optional[float] = ..., validation_loss: _Optional[float] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scores: _Optional[_Iterable[_Union[AdapterScore, _Mapping]]] = ..., failure_class: _Optional[_Union[_job_pb2.FailureClass, str]] = ...) -> None: ...

class AdapterScore(_message.Message):
    __slots__ = ("evaluation", "metric", "base_score", "tuned_score", "item_count", "suite", "verdict", "verification_status", "reasons")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    BASE_SCORE_FIELD_NUMBER: _ClassVar[int]
    TUNED_SCORE_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    evaluation: str
    metric: str
    base_score: float
    tuned_score: float
    item_count: int
    suite: str
    verdict: str
    verification_status: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, evaluation: _Optional[str] = ..., metric: _Optional[str] = ..., base_score: _Optional[float] = ..., tuned_score: _Optional[float] = ..., item_count: _Optional[int] = ..., suite: _Optional[str] = ..., verdict: _Optional[str] = ..., verification_status: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

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
