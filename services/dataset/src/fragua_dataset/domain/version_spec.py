"""How the ingestion engine makes one version: what it reads, how it mends, checks and selects rows, how it divides them.

The same specification serves an import (rows come from a file in any shape) and everything that derives a version from
others: fix, filter, split and merge (rows come from versions, in our own shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.profile import Name, Profile, Shape
from fragua_dataset.domain.selection import RowFilter
from fragua_dataset.domain.spec_problems import parse_spec

Container = Literal["jsonl", "json", "csv", "parquet"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fixer(StrEnum):
    """What can be mended without asking what the author meant. Each is pure: the same row gives the same row."""

    REPAIR_MOJIBAKE = "repair-mojibake"
    """Text that was UTF-8 and read as Windows-1252, Latin-1 or Mac Roman is read as UTF-8 again."""
    YAML_STRINGS = "yaml-strings"
    """A section that is a JSON list or object becomes the YAML text that says the same."""
    TRIM = "trim"
    """White space around texts goes."""
    PAD_IDS = "pad-ids"
    """`FR01` becomes `FR001`, for FR, NFR and C."""
    DROP_DUPLICATES = "drop-duplicates"
    """Of rows with equal messages the first stays. The only fixer that changes the number of rows."""


class Sides(StrEnum):
    DIVIDE = "divide"
    """Hold out anew, by `split_seed`."""
    KEEP = "keep"
    """Every row stays on the side of its parent version, so that the two can be compared."""


class Tokenizer(_Frozen):
    """A base model's tokenizer, to find the rows that would lose their answer: `inputs/tokenizers/<name>/`."""

    name: Name
    max_length: int = Field(ge=8, le=1_000_000)


class Counterpart(_Frozen):
    """A version of another dataset, to compare with: `inputs/counterparts/<folder>/{train,validation}.jsonl`."""

    folder: Name
    version: str
    """Its resource name, for messages."""
    evaluation: bool = False
    """It is for evaluation, so a row in common with one to train on is a leak."""


class Uncompared(_Frozen):
    """A version that should have been a counterpart, and why it is none."""

    version: str
    why: str
    way_out: str


class VersionSpec(_Frozen):
    """What one version is made from, and how."""

    source: Literal["file", "versions"] = "file"
    """file: `inputs/source` is one file. versions: `inputs/parents/<n>/{train,validation}.jsonl`, n = 0, 1, 2…"""
    parents: tuple[str, ...] = Field(default=(), max_length=64)
    """Resource names of the parent versions, in the order of their folders; rows tell which they came from."""

    format: Literal[Container, "auto"] = "auto"
    """The container, plain or in gzip or zstd; `auto` looks at the first bytes.

    jsonl: one object on each line. json: one array of objects. csv: a row with the column names first, fields divided
    by commas, semicolons or tabs and quoted as in RFC 4180. parquet: one column for each field.
    """

    shape: Literal[Shape, "auto"] = "auto"
    """How a row tells question and answer; `auto` goes by the field names of each row.

    alpaca: `instruction`, optional `input`, `output`. messages: OpenAI's list of `role` and `content`.
    prompt_completion: `prompt`, `completion`. sharegpt: `conversations`, a list of `from` and `value`.
    multiple_choice: `question`, `choices` and `answer`: the index from 0, the letter or the text of the right choice.
    requirements: `concept` and a record of `title`, `description`, `functional_requirements`,
    `non_functional_requirements` and `constraints`, as YAML text or as JSON.
    All but messages take an optional `system`. Every other field of a row is kept under `metadata`.
    """

    profile: Profile = Profile(name="instruct")
    """Which checks the rows go through."""
    evaluation: bool = False
    """The rows are to evaluate with, not to train on: all of them are held out."""
    personal_data: Literal["allow", "warn", "refuse"] = "warn"
    """The branch's policy for rows in which personal data or secrets are found."""
    tokenizers: tuple[Tokenizer, ...] = Field(default=(), max_length=8)
    counterparts: tuple[Counterpart, ...] = Field(default=(), max_length=256)
    uncompared: tuple[Uncompared, ...] = Field(default=(), max_length=100_000)

    fixers: tuple[Fixer, ...] = ()
    """Applied to every row before it is checked, in the order of `Fixer`."""
    row_filter: RowFilter | None = None

    sides: Sides = Sides.DIVIDE
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of rows that is held out, in each stratum; whole clusters only, so a few rows more or less;
    0 holds out nothing."""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another seed holds out other rows; the same rows and seed always give the same sides."""
    group_field: Annotated[str, Field(min_length=1, max_length=128)] = "group"
    """Rows with the same value of this field (of the row or of its `metadata`) never land on both sides.

    A row without it belongs to its first user message, normalised, so that one question is never
    both learnt and asked. Near-duplicates are kept together too.
    """
    stratum_field: Annotated[str, Field(min_length=1, max_length=128)] = "type"
    """Each value of this field is divided by itself, so both sides hold every type in the same proportion."""

    max_rows: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000_000
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


def parse_version_spec(fields: Mapping[str, Any]) -> VersionSpec:
    """Raises InvalidInput with one violation per problem."""
    return parse_spec(VersionSpec, fields, "the version's")
