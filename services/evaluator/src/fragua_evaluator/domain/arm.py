"""The arms of an evaluation: which model answers, and how it is asked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fragua_evaluator.domain.frozen import Frozen, Slug

MAX_PROMPT_CHARS = 64 * 1024

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
RelativePath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=256)
]
"""Below `inputs/` of the job directory."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(Frozen):
    role: Role
    content: str


class Prompting(Frozen):
    """What is said before the question, in place of what the item itself says there."""

    system: Text = ""
    """Replaces the item's own system message; empty leaves that as it is."""
    demonstrations: tuple[Message, ...] = Field(default=(), max_length=64)
    """Turns of user and assistant that stand between the system message and the question."""


class LocalModel(Frozen):
    """A model directory that transformers loads, alone or with an adapter on it."""

    kind: Literal["model"] = "model"
    base: RelativePath
    adapter: RelativePath | None = None
    merged: bool = False
    """Whether the adapter's update is added to the weights before the first answer, as an export does."""


class GgufModel(Frozen):
    """A GGUF file that llama.cpp loads."""

    kind: Literal["gguf"] = "gguf"
    file: RelativePath


class OllamaModel(Frozen):
    """A model that an Ollama server has."""

    kind: Literal["ollama"] = "ollama"
    url: Name
    model: Name


class EndpointModel(Frozen):
    """A model behind an endpoint that speaks OpenAI's chat completions; `url` goes up to the version (`…/v1`)."""

    kind: Literal["openai"] = "openai"
    url: Name
    model: Name
    key_variable: Annotated[str, Field(pattern=r"^FRAGUA_ENGINE_KEY_[A-Z0-9_]{1,64}$")] | None = None
    """The environment variable that holds the key; the key itself never stands in a specification."""


class ReadyOutputs(Frozen):
    """Answers that somebody else generated: JSON lines of `suite` (optional), `id`, `output`, `repeat` (optional)."""

    kind: Literal["outputs"] = "outputs"
    file: RelativePath


Target = Annotated[LocalModel | GgufModel | OllamaModel | EndpointModel | ReadyOutputs, Field(discriminator="kind")]


class ArmSpec(Frozen):
    name: Slug
    target: Target
    prompting: Prompting = Prompting()
    family: str = Field(default="", max_length=256)
    """Arms of one family descend from one base, so the very same prompt tokens have to reach them; empty: a family of
    its own."""


class Decoding(Frozen):
    """How answers are generated, the same for every arm."""

    max_new_tokens: Annotated[int, Field(ge=1, le=8_192)] = 64
    """Where an answer that does not end by itself is cut; a suite may set its own."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 takes the likeliest token always (greedy)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of the first repeat; each further repeat adds one."""


class Limits(Frozen):
    """What one evaluation may cost before a part of it is given up."""

    request_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """One answer of an endpoint; a local model has as much time as it needs."""
    max_output_bytes: Annotated[int, Field(ge=1_024, le=16 * 2**20)] = 256 * 1024
    """One answer; a longer one is a failed item."""
    max_failed_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Of an arm's answers; an arm with more of them is broken, which is an error and no score."""
    metric_seconds: Annotated[float, Field(gt=0, le=3_600)] = 10.0
    """One answer under one metric that runs foreign code."""
    metric_memory_mib: Annotated[int, Field(ge=64, le=65_536)] = 512
    """The address space of a child that runs foreign code."""
