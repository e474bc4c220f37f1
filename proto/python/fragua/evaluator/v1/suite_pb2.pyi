from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Suite(_message.Message):
    __slots__ = ("name", "yaml", "dataset_version", "metrics", "max_items", "max_new_tokens")
    NAME_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    name: str
    yaml: str
    dataset_version: str
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    max_items: int
    max_new_tokens: int
    def __init__(self, name: _Optional[str] = ..., yaml: _Optional[str] = ..., dataset_version: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., max_items: _Optional[int] = ..., max_new_tokens: _Optional[int] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "options_yaml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_YAML_FIELD_NUMBER: _ClassVar[int]
    name: str
    options_yaml: str
    def __init__(self, name: _Optional[str] = ..., options_yaml: _Optional[str] = ...) -> None: ...

class SuiteDescription(_message.Message):
    __slots__ = ("name", "description", "kind", "asks_rows", "case_count", "metrics", "yaml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ASKS_ROWS_FIELD_NUMBER: _ClassVar[int]
    CASE_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    kind: str
    asks_rows: bool
    case_count: int
    metrics: _containers.RepeatedScalarFieldContainer[str]
    yaml: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., kind: _Optional[str] = ..., asks_rows: _Optional[bool] = ..., case_count: _Optional[int] = ..., metrics: _Optional[_Iterable[str]] = ..., yaml: _Optional[str] = ...) -> None: ...

class MetricDescription(_message.Message):
    __slots__ = ("name", "description", "graded", "needs_expected_answer", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    GRADED_FIELD_NUMBER: _ClassVar[int]
    NEEDS_EXPECTED_ANSWER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    graded: bool
    needs_expected_answer: bool
    options: _containers.RepeatedCompositeFieldContainer[MetricOption]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., graded: _Optional[bool] = ..., needs_expected_answer: _Optional[bool] = ..., options: _Optional[_Iterable[_Union[MetricOption, _Mapping]]] = ...) -> None: ...

class MetricOption(_message.Message):
    __slots__ = ("name", "type", "default_value", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    default_value: str
    description: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., default_value: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class GatePolicyDescription(_message.Message):
    __slots__ = ("name", "description", "yaml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    yaml: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., yaml: _Optional[str] = ...) -> None: ...
