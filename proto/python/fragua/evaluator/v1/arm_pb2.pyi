from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Arm(_message.Message):
    __slots__ = ("name", "base_model", "base_of", "adapter", "exported", "ollama", "endpoint", "outputs", "prompting")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    BASE_OF_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_FIELD_NUMBER: _ClassVar[int]
    OLLAMA_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PROMPTING_FIELD_NUMBER: _ClassVar[int]
    name: str
    base_model: str
    base_of: str
    adapter: AdapterModel
    exported: ExportedModel
    ollama: EndpointModel
    endpoint: EndpointModel
    outputs: _artifact_pb2.Artifact
    prompting: Prompting
    def __init__(self, name: _Optional[str] = ..., base_model: _Optional[str] = ..., base_of: _Optional[str] = ..., adapter: _Optional[_Union[AdapterModel, _Mapping]] = ..., exported: _Optional[_Union[ExportedModel, _Mapping]] = ..., ollama: _Optional[_Union[EndpointModel, _Mapping]] = ..., endpoint: _Optional[_Union[EndpointModel, _Mapping]] = ..., outputs: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ..., prompting: _Optional[_Union[Prompting, _Mapping]] = ...) -> None: ...

class AdapterModel(_message.Message):
    __slots__ = ("adapter", "merged")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    merged: bool
    def __init__(self, adapter: _Optional[str] = ..., merged: _Optional[bool] = ...) -> None: ...

class ExportedModel(_message.Message):
    __slots__ = ("export", "file")
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    export: str
    file: str
    def __init__(self, export: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class EndpointModel(_message.Message):
    __slots__ = ("url", "model", "key_variable")
    URL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KEY_VARIABLE_FIELD_NUMBER: _ClassVar[int]
    url: str
    model: str
    key_variable: str
    def __init__(self, url: _Optional[str] = ..., model: _Optional[str] = ..., key_variable: _Optional[str] = ...) -> None: ...

class Prompting(_message.Message):
    __slots__ = ("system", "demonstrations")
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    DEMONSTRATIONS_FIELD_NUMBER: _ClassVar[int]
    system: str
    demonstrations: _containers.RepeatedCompositeFieldContainer[Demonstration]
    def __init__(self, system: _Optional[str] = ..., demonstrations: _Optional[_Iterable[_Union[Demonstration, _Mapping]]] = ...) -> None: ...

class Demonstration(_message.Message):
    __slots__ = ("question", "answer")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    question: str
    answer: str
    def __init__(self, question: _Optional[str] = ..., answer: _Optional[str] = ...) -> None: ...
