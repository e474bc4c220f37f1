"""A profile: which shapes a dataset may have, which checks its rows go through, and how severe each finding is."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from fragua_dataset.domain.problems import OPTIONAL_CODES, ProblemCode, Severity, default_severity

Shape = Literal["alpaca", "messages", "prompt_completion", "sharegpt", "multiple_choice", "requirements"]
Weight = Literal["error", "warning", "off"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]

_LONGEST_BARE_ANSWER = 80
_AROUND_BARE_ANSWERS = " \t\r\n.,;:!¡¿?…\"'«»“”*()"


def _as_compared(words: str) -> str:
    return unicodedata.normalize("NFC", words).strip(_AROUND_BARE_ANSWERS).casefold()


BareAnswer = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_as_compared)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextLimits(_Frozen):
    """How long a text may be, in characters without the white space around it."""

    min_chars: int = Field(default=0, ge=0)
    max_chars: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _right_way_round(self) -> TextLimits:
        if self.max_chars is not None and self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is above max_chars {self.max_chars}: no text fits")
        return self

    def broken_by(self, text: str) -> str:
        """`3 characters, expected at least 10`; empty when the text fits."""
        length = len(text.strip())
        if length < self.min_chars:
            return f"{length} characters, expected at least {self.min_chars}"
        if self.max_chars is not None and length > self.max_chars:
            return f"{length} characters, expected at most {self.max_chars}"
        return ""


class SectionRule(_Frozen):
    """What one list of a requirement record has to hold, such as its functional requirements."""

    min_items: int = Field(default=1, ge=0, le=10_000)
    id_prefix: str = Field(default="", pattern=r"^[A-Z]{0,8}$")
    """Items are numbered `<prefix>001`, `<prefix>002`…; empty means that they have no ids."""
    id_digits: int = Field(default=3, ge=1, le=9)

    @property
    def id_pattern(self) -> str:
        return rf"{self.id_prefix}[0-9]{{{self.id_digits}}}"

    def id_of(self, number: int) -> str:
        return f"{self.id_prefix}{number:0{self.id_digits}}"


class RecordRules(_Frozen):
    """What a requirement record has to look like."""

    texts: dict[str, TextLimits] = Field(default_factory=dict)
    """By field name, such as `title`."""
    sections: dict[str, SectionRule] = Field(default_factory=dict)
    """By field name, such as `functional_requirements`: text that reads as a YAML list."""
    unique_ids: bool = True
    sequential_ids: bool = True


class Profile(_Frozen):
    name: Name
    description: str = Field(default="", max_length=500)
    shapes: tuple[Shape, ...] = ()
    """Rows of another shape are errors; empty allows all."""
    checks: dict[ProblemCode, Weight] = Field(default_factory=dict)
    """What is not named here keeps the weight of `default_severity`. Rows that cannot be read at all are always errors,
    so only the codes of `OPTIONAL_CODES` may be named."""
    question: TextLimits = TextLimits()
    answer: TextLimits = TextLimits(min_chars=1)
    bare_answers: tuple[BareAnswer, ...] = ("sí", "si", "no", "yes", "true", "false", "verdadero", "falso", "ok", "n/a")
    """An answer that is one of these words and nothing else explains nothing (`BARE_ANSWER`)."""
    near_duplicate_jaccard: float = Field(default=0.8, ge=0.5, le=1)
    """Rows whose texts share at least this part of their word triples are near-duplicates."""
    min_examples: int = Field(default=1, ge=1, le=100_000_000)
    """Fewer distinct examples make the version invalid."""
    record: RecordRules | None = None

    @field_validator("checks")
    @classmethod
    def _only_optional_checks(cls, checks: dict[ProblemCode, Weight]) -> dict[ProblemCode, Weight]:
        if fixed := sorted(checks.keys() - OPTIONAL_CODES):
            raise ValueError(f"{', '.join(fixed)}: always an error; a profile weighs only checks of content")
        return checks

    def severity(self, code: ProblemCode) -> Severity | None:
        """None: nobody wants to know."""
        weight = self.checks.get(code)
        if weight is None:
            return default_severity(code)
        return None if weight == "off" else Severity(weight.upper())

    def is_bare(self, answer: str) -> bool:
        return len(answer) <= _LONGEST_BARE_ANSWER and _as_compared(answer) in self.bare_answers
