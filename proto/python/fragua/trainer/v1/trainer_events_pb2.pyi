from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdapterPublished(_message.Message):
    __slots__ = ("adapter", "branch", "training_job", "dataset_version", "base_model", "bundle", "evaluate")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JOB_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    branch: str
    training_job: str
    dataset_version: str
    base_model: str
    bundle: _artifact_pb2.Bundle
    evaluate: bool
    def __init__(self, adapter: _Optional[str] = ..., branch: _Optional[str] = ..., training_job: _Optional[str] = ..., dataset_version: _Optional[str] = ..., base_model: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., evaluate: _Optional[bool] = ...) -> None: ...
