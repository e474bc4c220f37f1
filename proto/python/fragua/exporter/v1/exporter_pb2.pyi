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
    QUANTIZATION_F32: _ClassVar[Quantization]
    QUANTIZATION_F16: _ClassVar[Quantization]
    QUANTIZATION_BF16: _ClassVar[Quantization]
    QUANTIZATION_Q8_0: _ClassVar[Quantization]
    QUANTIZATION_Q6_K: _ClassVar[Quantization]
    QUANTIZATION_Q5_K_M: _ClassVar[Quantization]
    QUANTIZATION_Q4_K_M: _ClassVar[Quantization]
    QUANTIZATION_Q4_0: _ClassVar[Quantization]
QUANTIZATION_UNSPECIFIED: Quantization
QUANTIZATION_F32: Quantization
QUANTIZATION_F16: Quantization
QUANTIZATION_BF16: Quantization
QUANTIZATION_Q8_0: Quantization
QUANTIZATION_Q6_K: Quantization
QUANTIZATION_Q5_K_M: Quantization
QUANTIZATION_Q4_K_M: Quantization
QUANTIZATION_Q4_0: Quantization

class Export(_message.Message):
    __slots__ = ("name", "adapter", "quantizations", "system_prompt", "probe_prompt", "merged_model", "adapter_gguf", "parameters", "license", "importance_dataset", "task_dataset", "task_rows", "status", "files", "bundle", "signatures", "publications", "reused")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATIONS_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROBE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    MERGED_MODEL_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_GGUF_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_DATASET_FIELD_NUMBER: _ClassVar[int]
    TASK_DATASET_FIELD_NUMBER: _ClassVar[int]
    TASK_ROWS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    adapter: str
    quantizations: _containers.RepeatedScalarFieldContainer[Quantization]
    system_prompt: str
    probe_prompt: str
    merged_model: bool
    adapter_gguf: bool
    parameters: SamplingParameters
    license: str
    importance_dataset: str
    task_dataset: str
    task_rows: int
    status: _job_pb2.JobStatus
    files: _containers.RepeatedCompositeFieldContainer[ExportFile]
    bundle: _artifact_pb2.Bundle
    signatures: _containers.RepeatedCompositeFieldContainer[ExportSignature]
    publications: _containers.RepeatedCompositeFieldContainer[OllamaPublication]
    reused: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., adapter: _Optional[str] = ..., quantizations: _Optional[_Iterable[_Union[Quantization, str]]] = ..., system_prompt: _Optional[str] = ..., probe_prompt: _Optional[str] = ..., merged_model: _Optional[bool] = ..., adapter_gguf: _Optional[bool] = ..., parameters: _Optional[_Union[SamplingParameters, _Mapping]] = ..., license: _Optional[str] = ..., importance_dataset: _Optional[str] = ..., task_dataset: _Optional[str] = ..., task_rows: _Optional[int] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., files: _Optional[_Iterable[_Union[ExportFile, _Mapping]]] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., signatures: _Optional[_Iterable[_Union[ExportSignature, _Mapping]]] = ..., publications: _Optional[_Iterable[_Union[OllamaPublication, _Mapping]]] = ..., reused: _Optional[_Iterable[str]] = ...) -> None: ...

class SamplingParameters(_message.Message):
    __slots__ = ("temperature", "top_p", "top_k", "num_ctx")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    NUM_CTX_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_p: float
    top_k: int
    num_ctx: int
    def __init__(self, temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., num_ctx: _Optional[int] = ...) -> None: ...

class ExportSignature(_message.Message):
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

class OllamaPublication(_message.Message):
    __slots__ = ("model", "quantization", "digest", "publish_time")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    model: str
    quantization: Quantization
    digest: str
    publish_time: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[str] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., digest: _Optional[str] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExportEstimate(_message.Message):
    __slots__ = ("disk_bytes", "memory_bytes", "disk_free_bytes", "memory_free_bytes", "files")
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    disk_bytes: int
    memory_bytes: int
    disk_free_bytes: int
    memory_free_bytes: int
    files: _containers.RepeatedCompositeFieldContainer[FileEstimate]
    def __init__(self, disk_bytes: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., files: _Optional[_Iterable[_Union[FileEstimate, _Mapping]]] = ...) -> None: ...

class FileEstimate(_message.Message):
    __slots__ = ("quantization", "size_bytes")
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    quantization: Quantization
    size_bytes: int
    def __init__(self, quantization: _Optional[_Union[Quantization, str]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ExportVerification(_message.Message):
    __slots__ = ("intact", "faults", "signatures")
    INTACT_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    intact: bool
    faults: _containers.RepeatedScalarFieldContainer[str]
    signatures: _containers.RepeatedCompositeFieldContainer[ExportSignatureCheck]
    def __init__(self, intact: _Optional[bool] = ..., faults: _Optional[_Iterable[str]] = ..., signatures: _Optional[_Iterable[_Union[ExportSignatureCheck, _Mapping]]] = ...) -> None: ...

class ExportSignatureCheck(_message.Message):
    __slots__ = ("signer", "public_key", "valid")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    signer: str
    public_key: bytes
    valid: bool
    def __init__(self, signer: _Optional[str] = ..., public_key: _Optional[bytes] = ..., valid: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("token_ids_equal", "max_kl_divergence", "top1_agreement", "answer", "answer_stopped", "mean_kl_divergence", "answer_tokens_equal", "answer_tokens", "task_score", "task_score_delta", "fallback_tensors")
    TOKEN_IDS_EQUAL_FIELD_NUMBER: _ClassVar[int]
    MAX_KL_DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    TOP1_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_STOPPED_FIELD_NUMBER: _ClassVar[int]
    MEAN_KL_DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TOKENS_EQUAL_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TASK_SCORE_FIELD_NUMBER: _ClassVar[int]
    TASK_SCORE_DELTA_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_TENSORS_FIELD_NUMBER: _ClassVar[int]
    token_ids_equal: bool
    max_kl_divergence: float
    top1_agreement: float
    answer: str
    answer_stopped: bool
    mean_kl_divergence: float
    answer_tokens_equal: int
    answer_tokens: int
    task_score: float
    task_score_delta: float
    fallback_tensors: int
    def __init__(self, token_ids_equal: _Optional[bool] = ..., max_kl_divergence: _Optional[float] = ..., top1_agreement: _Optional[float] = ..., answer: _Optional[str] = ..., answer_stopped: _Optional[bool] = ..., mean_kl_divergence: _Optional[float] = ..., answer_tokens_equal: _Optional[int] = ..., answer_tokens: _Optional[int] = ..., task_score: _Optional[float] = ..., task_score_delta: _Optional[float] = ..., fallback_tensors: _Optional[int] = ...) -> None: ...
