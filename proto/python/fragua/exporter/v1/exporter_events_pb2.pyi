from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportPublished(_message.Message):
    __slots__ = ("export", "branch", "adapter", "bundle")
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    export: str
    branch: str
    adapter: str
    bundle: _artifact_pb2.Bundle
    def __init__(self, export: _Optional[str] = ..., branch: _Optional[str] = ..., adapter: _Optional[str] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...
