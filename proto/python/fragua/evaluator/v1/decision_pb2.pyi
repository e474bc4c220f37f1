import datetime

from buf.validate import validate_pb2 as _validate_pb2
from fragua.evaluator.v1 import result_pb2 as _result_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerificationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_STATUS_UNSPECIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_PENDING: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_VERIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_REJECTED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_UNDECIDED: _ClassVar[VerificationStatus]

class Preference(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREFERENCE_UNSPECIFIED: _ClassVar[Preference]
    PREFERENCE_LEFT: _ClassVar[Preference]
    PREFERENCE_RIGHT: _ClassVar[Preference]
    PREFERENCE_TIE: _ClassVar[Preference]
VERIFICATION_STATUS_UNSPECIFIED: VerificationStatus
VERIFICATION_STATUS_PENDING: VerificationStatus
VERIFICATION_STATUS_VERIFIED: VerificationStatus
VERIFICATION_STATUS_REJECTED: VerificationStatus
VERIFICATION_STATUS_UNDECIDED: VerificationStatus
PREFERENCE_UNSPECIFIED: Preference
PREFERENCE_LEFT: Preference
PREFERENCE_RIGHT: Preference
PREFERENCE_TIE: Preference

class Decision(_message.Message):
    __slots__ = ("outcome", "verdict", "overridden", "decided_by", "reason", "decide_time")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    outcome: _result_pb2.VerdictOutcome
    verdict: _result_pb2.Verdict
    overridden: bool
    decided_by: str
    reason: str
    decide_time: _timestamp_pb2.Timestamp
    def __init__(self, outcome: _Optional[_Union[_result_pb2.VerdictOutcome, str]] = ..., verdict: _Optional[_Union[_result_pb2.Verdict, _Mapping]] = ..., overridden: _Optional[bool] = ..., decided_by: _Optional[str] = ..., reason: _Optional[str] = ..., decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("suite", "item", "left", "right", "preference", "blind", "note")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    BLIND_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    suite: str
    item: str
    left: str
    right: str
    preference: Preference
    blind: bool
    note: str
    def __init__(self, suite: _Optional[str] = ..., item: _Optional[str] = ..., left: _Optional[str] = ..., right: _Optional[str] = ..., preference: _Optional[_Union[Preference, str]] = ..., blind: _Optional[bool] = ..., note: _Optional[str] = ...) -> None: ...
