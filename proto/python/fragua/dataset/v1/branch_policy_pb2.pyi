import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PersonalDataRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERSONAL_DATA_RULE_UNSPECIFIED: _ClassVar[PersonalDataRule]
    PERSONAL_DATA_RULE_ALLOW: _ClassVar[PersonalDataRule]
    PERSONAL_DATA_RULE_WARN: _ClassVar[PersonalDataRule]
    PERSONAL_DATA_RULE_REFUSE: _ClassVar[PersonalDataRule]
PERSONAL_DATA_RULE_UNSPECIFIED: PersonalDataRule
PERSONAL_DATA_RULE_ALLOW: PersonalDataRule
PERSONAL_DATA_RULE_WARN: PersonalDataRule
PERSONAL_DATA_RULE_REFUSE: PersonalDataRule

class BranchPolicy(_message.Message):
    __slots__ = ("name", "etag", "min_attempt_accuracy", "min_rating", "requires_approval", "sample_size", "personal_data", "profile", "consolidation_schedule", "trusted_keys", "update_time")
    class TrustedKeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    MIN_ATTEMPT_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MIN_RATING_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PERSONAL_DATA_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    CONSOLIDATION_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_KEYS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    min_attempt_accuracy: float
    min_rating: int
    requires_approval: bool
    sample_size: int
    personal_data: PersonalDataRule
    profile: str
    consolidation_schedule: str
    trusted_keys: _containers.ScalarMap[str, bytes]
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., min_attempt_accuracy: _Optional[float] = ..., min_rating: _Optional[int] = ..., requires_approval: _Optional[bool] = ..., sample_size: _Optional[int] = ..., personal_data: _Optional[_Union[PersonalDataRule, str]] = ..., profile: _Optional[str] = ..., consolidation_schedule: _Optional[str] = ..., trusted_keys: _Optional[_Mapping[str, bytes]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
