import datetime

from buf.validate import validate_pb2 as _validate_pb2
from fragua.dataset.v1 import branch_policy_pb2 as _branch_policy_pb2
from fragua.dataset.v1 import dataset_pb2 as _dataset_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateBranchRequest(_message.Message):
    __slots__ = ("branch_id", "display_name")
    BRANCH_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    branch_id: str
    display_name: str
    def __init__(self, branch_id: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class GetBranchRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListBranchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBranchesResponse(_message.Message):
    __slots__ = ("branches", "next_page_token")
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    branches: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.Branch]
    next_page_token: str
    def __init__(self, branches: _Optional[_Iterable[_Union[_dataset_pb2.Branch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ImportDatasetRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImportDatasetHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImportDatasetHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportDatasetHeader(_message.Message):
    __slots__ = ("parent", "request_id", "filename", "size_bytes", "sha256", "options", "resumable", "offset")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    filename: str
    size_bytes: int
    sha256: str
    options: _dataset_pb2.ImportOptions
    resumable: bool
    offset: int
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ..., filename: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., options: _Optional[_Union[_dataset_pb2.ImportOptions, _Mapping]] = ..., resumable: _Optional[bool] = ..., offset: _Optional[int] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("parent", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("received_bytes", "expire_time")
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    received_bytes: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, received_bytes: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ImportDatasetObjectRequest(_message.Message):
    __slots__ = ("parent", "request_id", "object_uri", "sha256", "options")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_URI_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    object_uri: str
    sha256: str
    options: _dataset_pb2.ImportOptions
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ..., object_uri: _Optional[str] = ..., sha256: _Optional[str] = ..., options: _Optional[_Union[_dataset_pb2.ImportOptions, _Mapping]] = ...) -> None: ...

class GetDatasetVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListDatasetVersionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetVersionsResponse(_message.Message):
    __slots__ = ("dataset_versions", "next_page_token")
    DATASET_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset_versions: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetVersion]
    next_page_token: str
    def __init__(self, dataset_versions: _Optional[_Iterable[_Union[_dataset_pb2.DatasetVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListDatasetProblemsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetProblemsResponse(_message.Message):
    __slots__ = ("problems", "next_page_token", "count_by_code")
    class CountByCodeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COUNT_BY_CODE_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetProblem]
    next_page_token: str
    count_by_code: _containers.ScalarMap[str, int]
    def __init__(self, problems: _Optional[_Iterable[_Union[_dataset_pb2.DatasetProblem, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., count_by_code: _Optional[_Mapping[str, int]] = ...) -> None: ...

class WatchDatasetVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelDatasetImportRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class FixDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "request_id", "dataset", "fixers", "profile")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FIXERS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    dataset: str
    fixers: _containers.RepeatedScalarFieldContainer[_dataset_pb2.Fixer]
    profile: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., dataset: _Optional[str] = ..., fixers: _Optional[_Iterable[_Union[_dataset_pb2.Fixer, str]]] = ..., profile: _Optional[str] = ...) -> None: ...

class FilterDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "request_id", "dataset", "filter")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    dataset: str
    filter: _dataset_pb2.RowFilter
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., dataset: _Optional[str] = ..., filter: _Optional[_Union[_dataset_pb2.RowFilter, _Mapping]] = ...) -> None: ...

class SplitDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "request_id", "dataset", "validation_fraction", "split_seed", "group_field", "stratum_field")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    dataset: str
    validation_fraction: float
    split_seed: int
    group_field: str
    stratum_field: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., dataset: _Optional[str] = ..., validation_fraction: _Optional[float] = ..., split_seed: _Optional[int] = ..., group_field: _Optional[str] = ..., stratum_field: _Optional[str] = ...) -> None: ...

class MergeDatasetVersionsRequest(_message.Message):
    __slots__ = ("parent", "request_id", "names", "options")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    names: _containers.RepeatedScalarFieldContainer[str]
    options: _dataset_pb2.ImportOptions
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., options: _Optional[_Union[_dataset_pb2.ImportOptions, _Mapping]] = ...) -> None: ...

class SynthesizeDatasetRequest(_message.Message):
    __slots__ = ("parent", "request_id", "spec", "options")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    request_id: str
    spec: _dataset_pb2.SynthesisSpec
    options: _dataset_pb2.ImportOptions
    def __init__(self, parent: _Optional[str] = ..., request_id: _Optional[str] = ..., spec: _Optional[_Union[_dataset_pb2.SynthesisSpec, _Mapping]] = ..., options: _Optional[_Union[_dataset_pb2.ImportOptions, _Mapping]] = ...) -> None: ...

class ListDatasetRowsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "side")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    side: _dataset_pb2.DatasetSide
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., side: _Optional[_Union[_dataset_pb2.DatasetSide, str]] = ...) -> None: ...

class ListDatasetRowsResponse(_message.Message):
    __slots__ = ("rows", "next_page_token")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetRow]
    next_page_token: str
    def __init__(self, rows: _Optional[_Iterable[_Union[_dataset_pb2.DatasetRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SampleDatasetRowsRequest(_message.Message):
    __slots__ = ("name", "size", "seed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    seed: int
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class SampleDatasetRowsResponse(_message.Message):
    __slots__ = ("rows", "seed")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetRow]
    seed: int
    def __init__(self, rows: _Optional[_Iterable[_Union[_dataset_pb2.DatasetRow, _Mapping]]] = ..., seed: _Optional[int] = ...) -> None: ...

class GetDatasetAuditRequest(_message.Message):
    __slots__ = ("name", "side")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    name: str
    side: _dataset_pb2.DatasetSide
    def __init__(self, name: _Optional[str] = ..., side: _Optional[_Union[_dataset_pb2.DatasetSide, str]] = ...) -> None: ...

class DiffDatasetVersionsRequest(_message.Message):
    __slots__ = ("base", "target", "page_size", "page_token")
    BASE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    base: str
    target: str
    page_size: int
    page_token: str
    def __init__(self, base: _Optional[str] = ..., target: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class DiffDatasetVersionsResponse(_message.Message):
    __slots__ = ("rows", "next_page_token", "added", "removed", "changed", "moved", "unchanged")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetRowDiff]
    next_page_token: str
    added: int
    removed: int
    changed: int
    moved: int
    unchanged: int
    def __init__(self, rows: _Optional[_Iterable[_Union[_dataset_pb2.DatasetRowDiff, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ..., moved: _Optional[int] = ..., unchanged: _Optional[int] = ...) -> None: ...

class ApproveDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "reviewer", "reason", "sample_seed", "sample_size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    reviewer: str
    reason: str
    sample_seed: int
    sample_size: int
    def __init__(self, name: _Optional[str] = ..., reviewer: _Optional[str] = ..., reason: _Optional[str] = ..., sample_seed: _Optional[int] = ..., sample_size: _Optional[int] = ...) -> None: ...

class RejectDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "reviewer", "reason", "sample_seed", "sample_size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    reviewer: str
    reason: str
    sample_seed: int
    sample_size: int
    def __init__(self, name: _Optional[str] = ..., reviewer: _Optional[str] = ..., reason: _Optional[str] = ..., sample_seed: _Optional[int] = ..., sample_size: _Optional[int] = ...) -> None: ...

class ArchiveDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "reviewer", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reviewer: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reviewer: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SignDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "signer", "public_key", "signature")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    signer: str
    public_key: bytes
    signature: bytes
    def __init__(self, name: _Optional[str] = ..., signer: _Optional[str] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class VerifyDatasetVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ConvertDatasetVersionRequest(_message.Message):
    __slots__ = ("name", "format")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: _dataset_pb2.ConversionFormat
    def __init__(self, name: _Optional[str] = ..., format: _Optional[_Union[_dataset_pb2.ConversionFormat, str]] = ...) -> None: ...

class GetDatasetConversionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListDatasetConversionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetConversionsResponse(_message.Message):
    __slots__ = ("dataset_conversions", "next_page_token")
    DATASET_CONVERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset_conversions: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetConversion]
    next_page_token: str
    def __init__(self, dataset_conversions: _Optional[_Iterable[_Union[_dataset_pb2.DatasetConversion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelDatasetConversionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchDatasetConversionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DownloadDatasetFileRequest(_message.Message):
    __slots__ = ("name", "path", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadDatasetFileResponse(_message.Message):
    __slots__ = ("chunk", "size_bytes", "sha256")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    size_bytes: int
    sha256: str
    def __init__(self, chunk: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class GetBranchPolicyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UpdateBranchPolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _branch_policy_pb2.BranchPolicy
    def __init__(self, policy: _Optional[_Union[_branch_policy_pb2.BranchPolicy, _Mapping]] = ...) -> None: ...
