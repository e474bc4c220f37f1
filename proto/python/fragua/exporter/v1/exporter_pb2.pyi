from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
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
    QUANTIZATION_F32: _ClassVar[Quantization]
    QUANTIZATION_F16: _ClassVar[Quantization]
    QUANTIZATION_BF16: _ClassVar[Quantization]
    QUANTIZATION_Q8_0: _ClassVar[Quantization]
QUANTIZATION_UNSPECIFIED: Quantization
QUANTIZATION_F32: Quantization
QUANTIZATION_F16: Quantization
QUANTIZATION_BF16: Quantization
QUANTIZATION_Q8_0: Quantization

class Export(_message.Message):
    __slots__ = ("name", "adapter", "quantizations", "system_prompt", "probe_prompt", "status", "files", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATIONS_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROBE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    adapter: str
    quantizations: _containers.RepeatedScalarFieldContainer[Quantization]
    system_prompt: str
    probe_prompt: str
    status: _job_pb2.JobStatus
    files: _containers.RepeatedCompositeFieldContainer[ExportFile]
    bundle: _artifact_pb2.Bundle
    def __init__(self, name: _Optional[str] = ..., adapter: _Optional[str] = ..., quantizations: _Optional[_Iterable[_Union[Quantization, str]]] = ..., system_prompt: _Optional[str] = ..., probe_prompt: _Optional[str] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., files: _Optional[_Iterable[_Union[ExportFile, _Mapping]]] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...

class ExportFile(_message.Message):
    __slots__ = ("artifact", "quantization", "verification")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    artifact: _artifact_pb2.Artifact
    quantization: Quantization
    verification: Verification
    def __init__(self, artifact: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("token_ids_equal", "max_kl_divergence", "top1_agreement", "answer", "answer_stopped")
    TOKEN_IDS_EQUAL_FIELD_NUMBER: _ClassVar[int]
    MAX_KL_DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    TOP1_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_STOPPED_FIELD_NUMBER: _ClassVar[int]
    token_ids_equal: bool
    max_kl_divergence: float
    top1_agreement: float
    answer: str
    answer_stopped: bool
    def __init__(self, token_ids_equal: _Optional[bool] = ..., max_kl_divergence: _Optional[float] = ..., top1_agreement: _Optional[float] = ..., answer: _Optional[str] = ..., answer_stopped: _Optional[bool] = ...) -> None: ...
