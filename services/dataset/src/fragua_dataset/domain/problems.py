"""What can be wrong with examples: stable codes, where each was found, and how bad it is."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Severity(StrEnum):
    ERROR = "ERROR"
    """The row cannot be used as it is; one is enough to make the version invalid."""
    WARNING = "WARNING"
    """The row is left out or the matter is worth a look; the version stays valid."""


class ProblemCode(StrEnum):
    """What can be wrong. Clients switch on these: a code never changes its meaning."""

    # A row that cannot be read.
    INVALID_UTF8 = "INVALID_UTF8"
    NUL_CHARACTER = "NUL_CHARACTER"
    LONE_SURROGATE = "LONE_SURROGATE"
    LINE_TOO_LONG = "LINE_TOO_LONG"
    INVALID_JSON = "INVALID_JSON"
    INVALID_CSV = "INVALID_CSV"
    """Quotes that do not match, or cells that do not match the column names."""
    INVALID_PARQUET = "INVALID_PARQUET"
    """A value that Parquet holds and JSON cannot, such as bytes."""
    DUPLICATE_KEY = "DUPLICATE_KEY"
    NOT_A_JSON_NUMBER = "NOT_A_JSON_NUMBER"
    """NaN, Infinity, or a number that no double can hold."""
    TOO_DEEP = "TOO_DEEP"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    # A row that is no example.
    UNKNOWN_SHAPE = "UNKNOWN_SHAPE"
    AMBIGUOUS_SHAPE = "AMBIGUOUS_SHAPE"
    SHAPE_NOT_ALLOWED = "SHAPE_NOT_ALLOWED"
    """The profile takes other shapes."""
    MISSING_FIELD = "MISSING_FIELD"
    UNSUPPORTED_FIELD = "UNSUPPORTED_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    EMPTY_TEXT = "EMPTY_TEXT"
    UNKNOWN_ROLE = "UNKNOWN_ROLE"
    WRONG_ROLE_ORDER = "WRONG_ROLE_ORDER"
    TOO_MANY_MESSAGES = "TOO_MANY_MESSAGES"
    INVALID_CHOICES = "INVALID_CHOICES"
    WRONG_ANSWER = "WRONG_ANSWER"
    """The answer names none of the choices, or two."""
    METADATA_CONFLICT = "METADATA_CONFLICT"
    INVALID_GROUP = "INVALID_GROUP"
    # The content of an example.
    QUESTION_LENGTH = "QUESTION_LENGTH"
    ANSWER_TOO_SHORT = "ANSWER_TOO_SHORT"
    ANSWER_TOO_LONG = "ANSWER_TOO_LONG"
    BARE_ANSWER = "BARE_ANSWER"
    """A yes, a no or the like, and nothing else."""
    MOJIBAKE = "MOJIBAKE"
    """Text that was UTF-8 and read as something else, such as `Ã±` for `ñ`."""
    SECRET = "SECRET"
    """A key, token or password. The message never quotes it."""
    PERSONAL_DATA = "PERSONAL_DATA"
    """An e-mail address, telephone number, DNI or NIE. The message never quotes it."""
    # Requirement records.
    TEXT_LENGTH = "TEXT_LENGTH"
    """A text of a record that is shorter or longer than the profile allows."""
    INVALID_YAML = "INVALID_YAML"
    """A section that does not read as a YAML list."""
    NOT_A_YAML_STRING = "NOT_A_YAML_STRING"
    """A section that is a JSON list or object; the fixer `yaml-strings` writes it as YAML."""
    TOO_FEW_ITEMS = "TOO_FEW_ITEMS"
    ID_FORMAT = "ID_FORMAT"
    """An id such as `FR01` where `FR001` is expected; the fixer `pad-ids` pads it."""
    DUPLICATE_ID = "DUPLICATE_ID"
    ID_SEQUENCE = "ID_SEQUENCE"
    """Ids of a section that do not count 1, 2, 3…"""
    # One row beside the others.
    DUPLICATE_EXAMPLE = "DUPLICATE_EXAMPLE"
    NEAR_DUPLICATE = "NEAR_DUPLICATE"
    INCONSISTENT_ANSWER = "INCONSISTENT_ANSWER"
    """One question, different answers."""
    CROSS_DATASET_DUPLICATE = "CROSS_DATASET_DUPLICATE"
    """Another dataset of the branch holds the row, or nearly."""
    EVALUATION_LEAK = "EVALUATION_LEAK"
    """A row to train on that a dataset for evaluation holds, or the other way round."""
    TRUNCATED_ANSWER = "TRUNCATED_ANSWER"
    """With a named tokenizer and its maximum length the row loses its answer, or the end of it."""
    NOT_COMPARED = "NOT_COMPARED"
    """A dataset of the branch that could not be looked into: rows in common with it are not known."""
    # The whole.
    TOO_FEW_EXAMPLES = "TOO_FEW_EXAMPLES"
    SINGLE_GROUP = "SINGLE_GROUP"


_WARNINGS = frozenset(
    {
        ProblemCode.BARE_ANSWER,
        ProblemCode.MOJIBAKE,
        ProblemCode.SECRET,
        ProblemCode.PERSONAL_DATA,
        ProblemCode.DUPLICATE_EXAMPLE,
        ProblemCode.NEAR_DUPLICATE,
        ProblemCode.INCONSISTENT_ANSWER,
        ProblemCode.CROSS_DATASET_DUPLICATE,
        ProblemCode.TRUNCATED_ANSWER,
        ProblemCode.NOT_COMPARED,
        ProblemCode.SINGLE_GROUP,
        ProblemCode.ID_SEQUENCE,
    }
)

OPTIONAL_CODES = _WARNINGS | {
    ProblemCode.QUESTION_LENGTH,
    ProblemCode.ANSWER_TOO_SHORT,
    ProblemCode.ANSWER_TOO_LONG,
    ProblemCode.TEXT_LENGTH,
    ProblemCode.INVALID_YAML,
    ProblemCode.NOT_A_YAML_STRING,
    ProblemCode.TOO_FEW_ITEMS,
    ProblemCode.ID_FORMAT,
    ProblemCode.DUPLICATE_ID,
    ProblemCode.EVALUATION_LEAK,
}
"""What a profile may weigh: the row can be read, so whether it is good enough is a matter of policy."""


def default_severity(code: ProblemCode) -> Severity:
    return Severity.WARNING if code in _WARNINGS else Severity.ERROR


class Problem(BaseModel):
    """One thing that is wrong, where, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int | None
    """Where the row begins, counted from 1, blank lines included; None speaks of the whole file."""
    pointer: str
    """JSON pointer (RFC 6901) into the row, or into the array that the file is; empty means all of it."""
    code: ProblemCode
    severity: Severity
    message: str
    hint: str

    @property
    def place(self) -> str:
        where = "file" if self.line is None else f"line {self.line}"
        return f"{where}, {self.pointer}" if self.pointer else where
