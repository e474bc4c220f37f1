"""What one import is asked to do (`ImportSpec`) and what it found (`ImportReport`)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_platform.errors import InvalidInput, Violation

Container = Literal["jsonl", "json", "csv"]
Shape = Literal["alpaca", "messages", "prompt_completion", "sharegpt", "multiple_choice"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImportSpec(_Frozen):
    """How to read one uploaded file and how to divide it into a training and a held-out part."""

    format: Literal[Container, "auto"] = "auto"
    """The container, plain or in gzip or zstd; `auto` looks at the first bytes.

    jsonl: one object on each line. json: one array of objects. csv: a row with the column names first, fields divided
    by commas, semicolons or tabs and quoted as in RFC 4180.
    """

    shape: Literal[Shape, "auto"] = "auto"
    """How a row tells question and answer; `auto` goes by the field names of each row.

    alpaca: `instruction`, optional `input`, `output`. messages: OpenAI's list of `role` and `content`.
    prompt_completion: `prompt`, `completion`. sharegpt: `conversations`, a list of `from` and `value`.
    multiple_choice: `question`, `choices` and `answer`: the index from 0, the letter or the text of the right choice.
    All but messages take an optional `system`. Every other field of a row is kept under `metadata`.
    """

    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The expected share of groups that is held out. Chance decides per group, so a few rows more or less;
    0 holds out nothing."""

    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another seed holds out other groups; the same seed holds out the same ones, whatever rows are added."""

    group_field: Annotated[str, Field(min_length=1, max_length=128)] = "group"
    """Rows with the same value of this field (of the row or of its `metadata`) never land on both sides.

    A row without it belongs to its first user message, normalised, so that one question is never
    both learnt and asked.
    """

    min_examples: Annotated[int, Field(ge=1, le=100_000_000)] = 1
    """Fewer distinct examples make the version invalid."""

    min_answer_chars: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Shorter answers (without surrounding white space) are errors."""

    max_rows: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    max_line_bytes: Annotated[int, Field(ge=64, le=64 * 2**20)] = 2**20
    """The longest row, as it is written in the file."""
    max_unpacked_bytes: Annotated[int, Field(ge=1, le=2**40)] = 16 * 2**30
    """What an archive may hold."""
    max_unpacked_ratio: Annotated[int, Field(ge=1, le=100_000)] = 200
    """How many times its own size an archive may unpack to; the first 16 MiB are free."""
    max_messages: Annotated[int, Field(ge=2, le=10_000)] = 256
    """The longest conversation of one row."""
    max_depth: Annotated[int, Field(ge=3, le=200)] = 32
    """How deep objects and lists of a row may nest; a `messages` row is 3 deep."""


class Severity(StrEnum):
    ERROR = "ERROR"
    """The row cannot be used as it is; one is enough to make the version invalid."""
    WARNING = "WARNING"
    """The row is left out or the result is unusual; the version stays valid."""


class ProblemCode(StrEnum):
    """What can be wrong. Clients switch on these: a code never changes its meaning."""

    INVALID_UTF8 = "INVALID_UTF8"
    NUL_CHARACTER = "NUL_CHARACTER"
    LONE_SURROGATE = "LONE_SURROGATE"
    LINE_TOO_LONG = "LINE_TOO_LONG"
    INVALID_JSON = "INVALID_JSON"
    INVALID_CSV = "INVALID_CSV"
    """Quotes that do not match, or cells that do not match the column names."""
    DUPLICATE_KEY = "DUPLICATE_KEY"
    NOT_A_JSON_NUMBER = "NOT_A_JSON_NUMBER"
    """NaN, Infinity, or a number that no double can hold."""
    TOO_DEEP = "TOO_DEEP"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    UNKNOWN_SHAPE = "UNKNOWN_SHAPE"
    AMBIGUOUS_SHAPE = "AMBIGUOUS_SHAPE"
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
    ANSWER_TOO_SHORT = "ANSWER_TOO_SHORT"
    METADATA_CONFLICT = "METADATA_CONFLICT"
    INVALID_GROUP = "INVALID_GROUP"
    TOO_FEW_EXAMPLES = "TOO_FEW_EXAMPLES"
    DUPLICATE_EXAMPLE = "DUPLICATE_EXAMPLE"
    SINGLE_GROUP = "SINGLE_GROUP"
    MOJIBAKE = "MOJIBAKE"
    """Text that was UTF-8 and read as something else, such as `Ã±` for `ñ`."""

    @property
    def severity(self) -> Severity:
        warnings = (ProblemCode.DUPLICATE_EXAMPLE, ProblemCode.SINGLE_GROUP, ProblemCode.MOJIBAKE)
        return Severity.WARNING if self in warnings else Severity.ERROR


class Problem(_Frozen):
    """One thing that is wrong, where, and what to do about it."""

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


class FileReport(_Frozen):
    bytes: int
    sha256: str


class SplitReport(_Frozen):
    validation_fraction: float
    seed: int
    forced: Literal["train", "validation"] | None
    """The side that chance had left empty and that was given one group."""


class ImportReport(_Frozen):
    """`outputs/report.json`."""

    valid: bool
    rows: int
    """Records of the file, good or bad."""
    train_rows: int
    validation_rows: int
    problem_counts: dict[ProblemCode, int]
    """All problems, listed or not."""
    problems: list[Problem]
    """The first ones by line; errors are listed before warnings when there are too many."""
    source: FileReport
    files: dict[str, FileReport]
    split: SplitReport
    spec: ImportSpec


def parse_import_spec(fields: Mapping[str, Any]) -> ImportSpec:
    """Raises InvalidInput with one violation per problem."""
    try:
        return ImportSpec.model_validate(fields)
    except ValidationError as invalid:
        violations = [
            Violation(".".join(str(part) for part in error["loc"]), error["msg"]) for error in invalid.errors()
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"the import specification is invalid: {listed}", violations=violations) from invalid
