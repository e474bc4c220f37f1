from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.evaluator.v1 import decision_pb2 as _decision_pb2
from fragua.evaluator.v1 import evaluator_pb2 as _evaluator_pb2
from fragua.evaluator.v1 import result_pb2 as _result_pb2
from fragua.evaluator.v1 import suite_pb2 as _suite_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateEvaluationRequest(_message.Message):
    __slots__ = ("parent", "evaluation", "request_id", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    evaluation: _evaluator_pb2.Evaluation
    request_id: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., evaluation: _Optional[_Union[_evaluator_pb2.Evaluation, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class GetEvaluationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListEvaluationsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEvaluationsResponse(_message.Message):
    __slots__ = ("evaluations", "next_page_token")
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evaluations: _containers.RepeatedCompositeFieldContainer[_evaluator_pb2.Evaluation]
    next_page_token: str
    def __init__(self, evaluations: _Optional[_Iterable[_Union[_evaluator_pb2.Evaluation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchEvaluationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelEvaluationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseEvaluationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeEvaluationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DecideGoNoGoRequest(_message.Message):
    __slots__ = ("name", "decided_by", "reason", "override_outcome", "override_signature")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    decided_by: str
    reason: str
    override_outcome: _result_pb2.VerdictOutcome
    override_signature: bytes
    def __init__(self, name: _Optional[str] = ..., decided_by: _Optional[str] = ..., reason: _Optional[str] = ..., override_outcome: _Optional[_Union[_result_pb2.VerdictOutcome, str]] = ..., override_signature: _Optional[bytes] = ...) -> None: ...

class SubmitVoteRequest(_message.Message):
    __slots__ = ("name", "voter", "votes", "report_digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    REPORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    voter: str
    votes: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Vote]
    report_digest: str
    def __init__(self, name: _Optional[str] = ..., voter: _Optional[str] = ..., votes: _Optional[_Iterable[_Union[_decision_pb2.Vote, _Mapping]]] = ..., report_digest: _Optional[str] = ...) -> None: ...

class SubmitVoteResponse(_message.Message):
    __slots__ = ("vote_count",)
    VOTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    vote_count: int
    def __init__(self, vote_count: _Optional[int] = ...) -> None: ...

class UploadOutputsRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadOutputsHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadOutputsHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadOutputsHeader(_message.Message):
    __slots__ = ("parent", "sha256")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    parent: str
    sha256: str
    def __init__(self, parent: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class UploadOutputsResponse(_message.Message):
    __slots__ = ("outputs",)
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    outputs: _artifact_pb2.Artifact
    def __init__(self, outputs: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ...) -> None: ...

class DownloadEvaluationFileRequest(_message.Message):
    __slots__ = ("name", "file", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    file: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., file: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadEvaluationFileResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class ListSuitesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSuitesResponse(_message.Message):
    __slots__ = ("suites",)
    SUITES_FIELD_NUMBER: _ClassVar[int]
    suites: _containers.RepeatedCompositeFieldContainer[_suite_pb2.SuiteDescription]
    def __init__(self, suites: _Optional[_Iterable[_Union[_suite_pb2.SuiteDescription, _Mapping]]] = ...) -> None: ...

class ListMetricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMetricsResponse(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[_suite_pb2.MetricDescription]
    def __init__(self, metrics: _Optional[_Iterable[_Union[_suite_pb2.MetricDescription, _Mapping]]] = ...) -> None: ...

class ListGatePoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListGatePoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[_suite_pb2.GatePolicyDescription]
    def __init__(self, policies: _Optional[_Iterable[_Union[_suite_pb2.GatePolicyDescription, _Mapping]]] = ...) -> None: ...
