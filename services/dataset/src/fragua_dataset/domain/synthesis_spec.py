"""How examples are generated: what is asked of which model, how the answers are scored, and when it is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.spec_problems import parse_spec
from fragua_dataset.domain.version_spec import VersionSpec

Form = Literal["alpaca", "multiple_choice", "requirements"]
"""The shape of the row that an answer is read as."""
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Template = Annotated[str, Field(min_length=1, max_length=64 * 1024)]

PLACEHOLDERS: Final = ("concept", "domain", "audience", "complexity", "language")
"""What `{…}` in a template may name."""
DEFAULT_MAX_REQUESTS: Final = 1_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(_Frozen):
    """What the model is asked. Every text is a template, see `PLACEHOLDERS`."""

    name: str
    form: Form
    system: str = Field(default="", max_length=64 * 1024)
    concept: Template = "{concept}"
    """Of a requirement record: the concept as the row tells it, with what it was varied by."""
    wordings: tuple[Template, ...] = Field(min_length=1, max_length=16)
    """The same request in other words: one variant after the other gets the next, so that the answers differ."""


class Variations(_Frozen):
    """What each concept is varied over."""

    domains: tuple[Text, ...] = Field(min_length=1, max_length=64)
    audiences: tuple[Text, ...] = Field(min_length=1, max_length=64)
    complexities: tuple[Text, ...] = Field(min_length=1, max_length=16)


class Generator(_Frozen):
    """Where the answers come from."""

    kind: Literal["openai", "ollama", "gguf", "adapter"]
    """openai, ollama: `endpoint` is asked. gguf: `inputs/model/*.gguf`. adapter: `inputs/adapter` on `inputs/base`."""
    endpoint: str = ""
    model: str = Field(min_length=1, max_length=200)
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=0, ge=0, le=32768)
    """Of one answer; 0 leaves it to the endpoint, and is 2,048 for a model of our own."""
    request_seconds: float = Field(default=300.0, gt=0, le=3600)
    """How long one answer may take; an endpoint without a GPU needs minutes for a long one."""
    patience_seconds: float = Field(default=600.0, ge=0, le=86_400)
    """How long a request is asked again while the endpoint is busy or away."""


class Budget(_Frozen):
    """A synthesis ends when one of these is used up; 0 means no such limit."""

    max_requests: int = Field(default=DEFAULT_MAX_REQUESTS, ge=1)
    """Questions; one that is asked again because the endpoint was busy counts once."""
    max_tokens: int = Field(default=0, ge=0)
    """Of prompts and answers together, as the generator counts them."""
    max_seconds: int = Field(default=0, ge=0)
    """Spent on asking, in all attempts together."""
    max_examples: int = Field(default=0, ge=0)
    """Of different examples that are good enough; until then variants are asked for again in other words."""


class SynthesisSpec(_Frozen):
    concepts: tuple[Text, ...] = Field(min_length=1, max_length=1000)
    variations: Variations
    variants_per_concept: int = Field(default=4, ge=1, le=50)
    prompt: Prompt
    language: str = Field(pattern=r"^[a-z]{2}$")
    generator: Generator
    metric: str = Field(min_length=1, max_length=200)
    """A name of `METRICS`, or `module:function`: that is called with the row and returns a number from 0 to 1."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Examples that score less are left out and counted."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides which variants are asked for, in which order."""
    budget: Budget = Budget()


class SynthesisJobSpec(_Frozen):
    """The engine's specification: generate, then make a version of what was kept."""

    synthesis: SynthesisSpec
    version: VersionSpec


METRICS: Final[Mapping[str, str]] = {
    "completeness": "share of the fields that are there and not empty",
    "length": "how far the texts are within the lengths that the profile asks for",
    "yaml-valid": "share of a record's sections that read as a YAML list",
    "requirements": "completeness, texts and sections of a record, weighed together",
}
METRICS_OF_RECORDS: Final = frozenset({"yaml-valid", "requirements"})


class SynthesisReport(_Frozen):
    """`outputs/synthesis.json`: what became of everything that was asked."""

    stopped_by: Literal["requests", "tokens", "seconds", "examples", "plan"]
    """The budget that was used up first; `plan` when everything planned was asked."""
    asked: int
    answered: int
    unanswered: dict[str, int]
    """By reason: what came back was no answer."""
    unparsable: dict[str, int]
    """By reason: the answer was no example."""
    unscored: int
    """The metric failed on them."""
    below_score: int
    left_out: dict[str, int]
    """By the first thing that the profile has against them."""
    repeated: int
    """The same messages as an example before."""
    kept: int
    mean_score: float | None
    """Of all examples with a score; None when there is none."""
    tokens: int | None
    """None when the generator does not count them."""
    seconds: float
    metric: str
    min_score: float
    generator: str
    model: str


def parse_synthesis_job_spec(fields: Mapping[str, Any]) -> SynthesisJobSpec:
    """Raises InvalidInput with one violation per problem."""
    return parse_spec(SynthesisJobSpec, fields, "the synthesis'")
