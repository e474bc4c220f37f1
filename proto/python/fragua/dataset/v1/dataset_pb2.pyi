import datetime

from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DatasetVersionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_VERSION_STATE_UNSPECIFIED: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_VALIDATING: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_INVALID: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_READY: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_AWAITING_APPROVAL: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_REJECTED: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_ARCHIVED: _ClassVar[DatasetVersionState]

class DatasetOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_ORIGIN_UNSPECIFIED: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_IMPORT: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_FIX: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_FILTER: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_SPLIT: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_MERGE: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_CONSOLIDATION: _ClassVar[DatasetOrigin]
    DATASET_ORIGIN_SYNTHESIS: _ClassVar[DatasetOrigin]

class DatasetPurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_PURPOSE_UNSPECIFIED: _ClassVar[DatasetPurpose]
    DATASET_PURPOSE_TRAINING: _ClassVar[DatasetPurpose]
    DATASET_PURPOSE_EVALUATION: _ClassVar[DatasetPurpose]

class Fixer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIXER_UNSPECIFIED: _ClassVar[Fixer]
    FIXER_PAD_IDS: _ClassVar[Fixer]
    FIXER_YAML_STRINGS: _ClassVar[Fixer]
    FIXER_REPAIR_MOJIBAKE: _ClassVar[Fixer]
    FIXER_TRIM: _ClassVar[Fixer]
    FIXER_DROP_DUPLICATES: _ClassVar[Fixer]

class DatasetSide(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_SIDE_UNSPECIFIED: _ClassVar[DatasetSide]
    DATASET_SIDE_TRAIN: _ClassVar[DatasetSide]
    DATASET_SIDE_VALIDATION: _ClassVar[DatasetSide]

class ConversionFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONVERSION_FORMAT_UNSPECIFIED: _ClassVar[ConversionFormat]
    CONVERSION_FORMAT_CHAT_JSONL: _ClassVar[ConversionFormat]
    CONVERSION_FORMAT_ALPACA: _ClassVar[ConversionFormat]
    CONVERSION_FORMAT_PARQUET: _ClassVar[ConversionFormat]
    CONVERSION_FORMAT_HF_FOLDER: _ClassVar[ConversionFormat]

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_JSONL: _ClassVar[FileFormat]
    FILE_FORMAT_JSON: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]
    FILE_FORMAT_PARQUET: _ClassVar[FileFormat]

class RowShape(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROW_SHAPE_UNSPECIFIED: _ClassVar[RowShape]
    ROW_SHAPE_ALPACA: _ClassVar[RowShape]
    ROW_SHAPE_MESSAGES: _ClassVar[RowShape]
    ROW_SHAPE_PROMPT_COMPLETION: _ClassVar[RowShape]
    ROW_SHAPE_SHAREGPT: _ClassVar[RowShape]
    ROW_SHAPE_MULTIPLE_CHOICE: _ClassVar[RowShape]
    ROW_SHAPE_REQUIREMENTS: _ClassVar[RowShape]

class ProblemSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBLEM_SEVERITY_UNSPECIFIED: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_ERROR: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_WARNING: _ClassVar[ProblemSeverity]
DATASET_VERSION_STATE_UNSPECIFIED: DatasetVersionState
DATASET_VERSION_STATE_VALIDATING: DatasetVersionState
DATASET_VERSION_STATE_INVALID: DatasetVersionState
DATASET_VERSION_STATE_READY: DatasetVersionState
DATASET_VERSION_STATE_AWAITING_APPROVAL: DatasetVersionState
DATASET_VERSION_STATE_REJECTED: DatasetVersionState
DATASET_VERSION_STATE_ARCHIVED: DatasetVersionState
DATASET_ORIGIN_UNSPECIFIED: DatasetOrigin
DATASET_ORIGIN_IMPORT: DatasetOrigin
DATASET_ORIGIN_FIX: DatasetOrigin
DATASET_ORIGIN_FILTER: DatasetOrigin
DATASET_ORIGIN_SPLIT: DatasetOrigin
DATASET_ORIGIN_MERGE: DatasetOrigin
DATASET_ORIGIN_CONSOLIDATION: DatasetOrigin
DATASET_ORIGIN_SYNTHESIS: DatasetOrigin
DATASET_PURPOSE_UNSPECIFIED: DatasetPurpose
DATASET_PURPOSE_TRAINING: DatasetPurpose
DATASET_PURPOSE_EVALUATION: DatasetPurpose
FIXER_UNSPECIFIED: Fixer
FIXER_PAD_IDS: Fixer
FIXER_YAML_STRINGS: Fixer
FIXER_REPAIR_MOJIBAKE: Fixer
FIXER_TRIM: Fixer
FIXER_DROP_DUPLICATES: Fixer
DATASET_SIDE_UNSPECIFIED: DatasetSide
DATASET_SIDE_TRAIN: DatasetSide
DATASET_SIDE_VALIDATION: DatasetSide
CONVERSION_FORMAT_UNSPECIFIED: ConversionFormat
CONVERSION_FORMAT_CHAT_JSONL: ConversionFormat
CONVERSION_FORMAT_ALPACA: ConversionFormat
CONVERSION_FORMAT_PARQUET: ConversionFormat
CONVERSION_FORMAT_HF_FOLDER: ConversionFormat
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_JSONL: FileFormat
FILE_FORMAT_JSON: FileFormat
FILE_FORMAT_CSV: FileFormat
FILE_FORMAT_PARQUET: FileFormat
ROW_SHAPE_UNSPECIFIED: RowShape
ROW_SHAPE_ALPACA: RowShape
ROW_SHAPE_MESSAGES: RowShape
ROW_SHAPE_PROMPT_COMPLETION: RowShape
ROW_SHAPE_SHAREGPT: RowShape
ROW_SHAPE_MULTIPLE_CHOICE: RowShape
ROW_SHAPE_REQUIREMENTS: RowShape
PROBLEM_SEVERITY_UNSPECIFIED: ProblemSeverity
PROBLEM_SEVERITY_ERROR: ProblemSeverity
PROBLEM_SEVERITY_WARNING: ProblemSeverity

class Branch(_message.Message):
    __slots__ = ("name", "display_name", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DatasetVersion(_message.Message):
    __slots__ = ("name", "state", "status", "source_filename", "source_sha256", "source_size_bytes", "options", "row_count", "train_row_count", "validation_row_count", "problem_count", "bundle", "origin", "purpose", "parents", "profile", "review", "signatures", "truncation", "fixes", "selection")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILENAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PARENTS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    FIXES_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: DatasetVersionState
    status: _job_pb2.JobStatus
    source_filename: str
    source_sha256: str
    source_size_bytes: int
    options: ImportOptions
    row_count: int
    train_row_count: int
    validation_row_count: int
    problem_count: int
    bundle: _artifact_pb2.Bundle
    origin: DatasetOrigin
    purpose: DatasetPurpose
    parents: _containers.RepeatedScalarFieldContainer[str]
    profile: str
    review: DatasetReview
    signatures: _containers.RepeatedCompositeFieldContainer[DatasetSignature]
    truncation: _containers.RepeatedCompositeFieldContainer[TruncationReport]
    fixes: FixReport
    selection: FilterReport
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[DatasetVersionState, str]] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., source_filename: _Optional[str] = ..., source_sha256: _Optional[str] = ..., source_size_bytes: _Optional[int] = ..., options: _Optional[_Union[ImportOptions, _Mapping]] = ..., row_count: _Optional[int] = ..., train_row_count: _Optional[int] = ..., validation_row_count: _Optional[int] = ..., problem_count: _Optional[int] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., origin: _Optional[_Union[DatasetOrigin, str]] = ..., purpose: _Optional[_Union[DatasetPurpose, str]] = ..., parents: _Optional[_Iterable[str]] = ..., profile: _Optional[str] = ..., review: _Optional[_Union[DatasetReview, _Mapping]] = ..., signatures: _Optional[_Iterable[_Union[DatasetSignature, _Mapping]]] = ..., truncation: _Optional[_Iterable[_Union[TruncationReport, _Mapping]]] = ..., fixes: _Optional[_Union[FixReport, _Mapping]] = ..., selection: _Optional[_Union[FilterReport, _Mapping]] = ...) -> None: ...

class DatasetReview(_message.Message):
    __slots__ = ("reviewer", "reason", "review_time", "sample_seed", "sample_size")
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REVIEW_TIME_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    reviewer: str
    reason: str
    review_time: _timestamp_pb2.Timestamp
    sample_seed: int
    sample_size: int
    def __init__(self, reviewer: _Optional[str] = ..., reason: _Optional[str] = ..., review_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sample_seed: _Optional[int] = ..., sample_size: _Optional[int] = ...) -> None: ...

class DatasetSignature(_message.Message):
    __slots__ = ("signer", "public_key", "signature", "sign_time")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGN_TIME_FIELD_NUMBER: _ClassVar[int]
    signer: str
    public_key: bytes
    signature: bytes
    sign_time: _timestamp_pb2.Timestamp
    def __init__(self, signer: _Optional[str] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., sign_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TruncationReport(_message.Message):
    __slots__ = ("tokenizer", "max_length", "longest", "rows_cut", "rows_without_answer")
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    LONGEST_FIELD_NUMBER: _ClassVar[int]
    ROWS_CUT_FIELD_NUMBER: _ClassVar[int]
    ROWS_WITHOUT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    tokenizer: str
    max_length: int
    longest: int
    rows_cut: int
    rows_without_answer: int
    def __init__(self, tokenizer: _Optional[str] = ..., max_length: _Optional[int] = ..., longest: _Optional[int] = ..., rows_cut: _Optional[int] = ..., rows_without_answer: _Optional[int] = ...) -> None: ...

class FixReport(_message.Message):
    __slots__ = ("rows_changed", "changes_by_fixer")
    class ChangesByFixerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_BY_FIXER_FIELD_NUMBER: _ClassVar[int]
    rows_changed: int
    changes_by_fixer: _containers.ScalarMap[str, int]
    def __init__(self, rows_changed: _Optional[int] = ..., changes_by_fixer: _Optional[_Mapping[str, int]] = ...) -> None: ...

class FilterReport(_message.Message):
    __slots__ = ("rows_kept", "rows_left_out")
    class RowsLeftOutEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_KEPT_FIELD_NUMBER: _ClassVar[int]
    ROWS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    rows_kept: int
    rows_left_out: _containers.ScalarMap[str, int]
    def __init__(self, rows_kept: _Optional[int] = ..., rows_left_out: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ImportOptions(_message.Message):
    __slots__ = ("shape", "validation_fraction", "split_seed", "group_field", "format", "profile", "profile_yaml", "purpose", "stratum_field", "tokenizers")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_YAML_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_FIELD_NUMBER: _ClassVar[int]
    TOKENIZERS_FIELD_NUMBER: _ClassVar[int]
    shape: RowShape
    validation_fraction: float
    split_seed: int
    group_field: str
    format: FileFormat
    profile: str
    profile_yaml: str
    purpose: DatasetPurpose
    stratum_field: str
    tokenizers: _containers.RepeatedCompositeFieldContainer[TokenizerUse]
    def __init__(self, shape: _Optional[_Union[RowShape, str]] = ..., validation_fraction: _Optional[float] = ..., split_seed: _Optional[int] = ..., group_field: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., profile: _Optional[str] = ..., profile_yaml: _Optional[str] = ..., purpose: _Optional[_Union[DatasetPurpose, str]] = ..., stratum_field: _Optional[str] = ..., tokenizers: _Optional[_Iterable[_Union[TokenizerUse, _Mapping]]] = ...) -> None: ...

class TokenizerUse(_message.Message):
    __slots__ = ("base_model", "max_length")
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    base_model: str
    max_length: int
    def __init__(self, base_model: _Optional[str] = ..., max_length: _Optional[int] = ...) -> None: ...

class RowFilter(_message.Message):
    __slots__ = ("metrics", "question_chars", "answer_chars", "profile", "profile_yaml", "min_examples")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Bounds
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Bounds, _Mapping]] = ...) -> None: ...
    METRICS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_CHARS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_CHARS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_YAML_FIELD_NUMBER: _ClassVar[int]
    MIN_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.MessageMap[str, Bounds]
    question_chars: Bounds
    answer_chars: Bounds
    profile: str
    profile_yaml: str
    min_examples: int
    def __init__(self, metrics: _Optional[_Mapping[str, Bounds]] = ..., question_chars: _Optional[_Union[Bounds, _Mapping]] = ..., answer_chars: _Optional[_Union[Bounds, _Mapping]] = ..., profile: _Optional[str] = ..., profile_yaml: _Optional[str] = ..., min_examples: _Optional[int] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class DatasetRow(_message.Message):
    __slots__ = ("id", "origin_id", "side", "messages", "choices", "answer", "record", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    origin_id: str
    side: DatasetSide
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    choices: _containers.RepeatedScalarFieldContainer[str]
    answer: int
    record: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., origin_id: _Optional[str] = ..., side: _Optional[_Union[DatasetSide, str]] = ..., messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., choices: _Optional[_Iterable[str]] = ..., answer: _Optional[int] = ..., record: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class DatasetRowDiff(_message.Message):
    __slots__ = ("change", "base_id", "target_id", "base_side", "target_side", "fields")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHANGE_UNSPECIFIED: _ClassVar[DatasetRowDiff.Change]
        CHANGE_ADDED: _ClassVar[DatasetRowDiff.Change]
        CHANGE_REMOVED: _ClassVar[DatasetRowDiff.Change]
        CHANGE_CHANGED: _ClassVar[DatasetRowDiff.Change]
        CHANGE_MOVED: _ClassVar[DatasetRowDiff.Change]
    CHANGE_UNSPECIFIED: DatasetRowDiff.Change
    CHANGE_ADDED: DatasetRowDiff.Change
    CHANGE_REMOVED: DatasetRowDiff.Change
    CHANGE_CHANGED: DatasetRowDiff.Change
    CHANGE_MOVED: DatasetRowDiff.Change
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    BASE_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_SIDE_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIDE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    change: DatasetRowDiff.Change
    base_id: str
    target_id: str
    base_side: DatasetSide
    target_side: DatasetSide
    fields: _containers.RepeatedCompositeFieldContainer[FieldDiff]
    def __init__(self, change: _Optional[_Union[DatasetRowDiff.Change, str]] = ..., base_id: _Optional[str] = ..., target_id: _Optional[str] = ..., base_side: _Optional[_Union[DatasetSide, str]] = ..., target_side: _Optional[_Union[DatasetSide, str]] = ..., fields: _Optional[_Iterable[_Union[FieldDiff, _Mapping]]] = ...) -> None: ...

class FieldDiff(_message.Message):
    __slots__ = ("pointer", "before", "after")
    POINTER_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    pointer: str
    before: str
    after: str
    def __init__(self, pointer: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class DatasetAudit(_message.Message):
    __slots__ = ("total_examples", "id_format_issues", "min_requirements_violations", "yaml_validation_errors", "valid_examples", "field_completeness", "findings_by_code")
    class FieldCompletenessEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class FindingsByCodeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTAL_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    ID_FORMAT_ISSUES_FIELD_NUMBER: _ClassVar[int]
    MIN_REQUIREMENTS_VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    YAML_VALIDATION_ERRORS_FIELD_NUMBER: _ClassVar[int]
    VALID_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    FIELD_COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_BY_CODE_FIELD_NUMBER: _ClassVar[int]
    total_examples: int
    id_format_issues: IdFormatIssues
    min_requirements_violations: int
    yaml_validation_errors: int
    valid_examples: int
    field_completeness: _containers.ScalarMap[str, float]
    findings_by_code: _containers.ScalarMap[str, int]
    def __init__(self, total_examples: _Optional[int] = ..., id_format_issues: _Optional[_Union[IdFormatIssues, _Mapping]] = ..., min_requirements_violations: _Optional[int] = ..., yaml_validation_errors: _Optional[int] = ..., valid_examples: _Optional[int] = ..., field_completeness: _Optional[_Mapping[str, float]] = ..., findings_by_code: _Optional[_Mapping[str, int]] = ...) -> None: ...

class IdFormatIssues(_message.Message):
    __slots__ = ("count", "affected_ids")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_IDS_FIELD_NUMBER: _ClassVar[int]
    count: int
    affected_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, count: _Optional[int] = ..., affected_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DatasetConversion(_message.Message):
    __slots__ = ("name", "format", "status", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: ConversionFormat
    status: _job_pb2.JobStatus
    bundle: _artifact_pb2.Bundle
    def __init__(self, name: _Optional[str] = ..., format: _Optional[_Union[ConversionFormat, str]] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...

class DatasetVerification(_message.Message):
    __slots__ = ("intact", "faults", "rows_checked", "signatures")
    INTACT_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    intact: bool
    faults: _containers.RepeatedScalarFieldContainer[str]
    rows_checked: int
    signatures: _containers.RepeatedCompositeFieldContainer[SignatureCheck]
    def __init__(self, intact: _Optional[bool] = ..., faults: _Optional[_Iterable[str]] = ..., rows_checked: _Optional[int] = ..., signatures: _Optional[_Iterable[_Union[SignatureCheck, _Mapping]]] = ...) -> None: ...

class SignatureCheck(_message.Message):
    __slots__ = ("signer", "public_key", "valid", "trusted")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    signer: str
    public_key: bytes
    valid: bool
    trusted: bool
    def __init__(self, signer: _Optional[str] = ..., public_key: _Optional[bytes] = ..., valid: _Optional[bool] = ..., trusted: _Optional[bool] = ...) -> None: ...

class SynthesisSpec(_message.Message):
    __slots__ = ("concepts", "domains", "audiences", "complexities", "variants_per_concept", "prompt", "prompt_text", "language", "generator", "metric", "min_score", "seed", "budget")
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITIES_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_PER_CONCEPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    concepts: _containers.RepeatedScalarFieldContainer[str]
    domains: _containers.RepeatedScalarFieldContainer[str]
    audiences: _containers.RepeatedScalarFieldContainer[str]
    complexities: _containers.RepeatedScalarFieldContainer[str]
    variants_per_concept: int
    prompt: str
    prompt_text: str
    language: str
    generator: GeneratorModel
    metric: str
    min_score: float
    seed: int
    budget: SynthesisBudget
    def __init__(self, concepts: _Optional[_Iterable[str]] = ..., domains: _Optional[_Iterable[str]] = ..., audiences: _Optional[_Iterable[str]] = ..., complexities: _Optional[_Iterable[str]] = ..., variants_per_concept: _Optional[int] = ..., prompt: _Optional[str] = ..., prompt_text: _Optional[str] = ..., language: _Optional[str] = ..., generator: _Optional[_Union[GeneratorModel, _Mapping]] = ..., metric: _Optional[str] = ..., min_score: _Optional[float] = ..., seed: _Optional[int] = ..., budget: _Optional[_Union[SynthesisBudget, _Mapping]] = ...) -> None: ...

class GeneratorModel(_message.Message):
    __slots__ = ("kind", "endpoint", "model", "key_variable", "temperature", "max_tokens")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[GeneratorModel.Kind]
        KIND_OPENAI_COMPATIBLE: _ClassVar[GeneratorModel.Kind]
        KIND_OLLAMA: _ClassVar[GeneratorModel.Kind]
        KIND_GGUF: _ClassVar[GeneratorModel.Kind]
        KIND_ADAPTER: _ClassVar[GeneratorModel.Kind]
    KIND_UNSPECIFIED: GeneratorModel.Kind
    KIND_OPENAI_COMPATIBLE: GeneratorModel.Kind
    KIND_OLLAMA: GeneratorModel.Kind
    KIND_GGUF: GeneratorModel.Kind
    KIND_ADAPTER: GeneratorModel.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KEY_VARIABLE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    kind: GeneratorModel.Kind
    endpoint: str
    model: str
    key_variable: str
    temperature: float
    max_tokens: int
    def __init__(self, kind: _Optional[_Union[GeneratorModel.Kind, str]] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., key_variable: _Optional[str] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class SynthesisBudget(_message.Message):
    __slots__ = ("max_requests", "max_tokens", "max_seconds", "max_examples")
    MAX_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    max_requests: int
    max_tokens: int
    max_seconds: int
    max_examples: int
    def __init__(self, max_requests: _Optional[int] = ..., max_tokens: _Optional[int] = ..., max_seconds: _Optional[int] = ..., max_examples: _Optional[int] = ...) -> None: ...

class DatasetProblem(_message.Message):
    __slots__ = ("line", "pointer", "code", "message", "hint", "severity")
    LINE_FIELD_NUMBER: _ClassVar[int]
    POINTER_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    line: int
    pointer: str
    code: str
    message: str
    hint: str
    severity: ProblemSeverity
    def __init__(self, line: _Optional[int] = ..., pointer: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., severity: _Optional[_Union[ProblemSeverity, str]] = ...) -> None: ...
