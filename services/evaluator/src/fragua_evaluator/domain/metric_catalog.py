"""The metrics that score answers: what each one means, what it needs, and which options it takes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from fragua_evaluator.domain.suite import MetricChoice
from fragua_platform.errors import Violation

ALLOWED_METRICS_VARIABLE: Final = "FRAGUA_ENGINE_ALLOWED_METRICS"
"""Which functions of the operator's own may score, as `is_allowed` reads it: entries with commas between them."""

CODE_SANDBOX_VARIABLE: Final = "FRAGUA_ENGINE_CODE_SANDBOX"
"""How far the code of a model has to be shut in before `code_tests` runs it: `namespaces`, `limits` or `off`."""

SECTION_OPTIONS: Final = {
    "functional_requirements": "min_functional_requirements",
    "non_functional_requirements": "min_non_functional_requirements",
    "constraints": "min_constraints",
}


MAX_PATTERN_CHARS: Final = 10_000
MAX_POINTS: Final = 64
"""Of a checklist; a metric may have so many components."""


class OptionType(StrEnum):
    PATTERN = "a regular expression"
    BOOLEAN = "true or false"
    INTEGER = "a whole number from 0"
    WORD = "one of the words listed"
    MAP = "a map"
    PATTERNS = "a map of names to regular expressions"


@dataclass(frozen=True)
class OptionDescription:
    name: str
    type: OptionType
    meaning: str
    default: Any = None
    required: bool = False
    words: tuple[str, ...] = ()

    def problem_of(self, value: Any) -> str:
        """Empty when the value is one that the option takes."""
        if self.type is OptionType.PATTERN:
            return _pattern_problem(value)
        if self.type is OptionType.PATTERNS and isinstance(value, Mapping):
            problems = [f"{name!r}: {problem}" for name, text in value.items() if (problem := _pattern_problem(text))]
            problems += [
                f"{name!r:.80} is no name: a text of 1 to 64 characters"
                for name in value
                if not isinstance(name, str) or not 0 < len(name) <= 64
            ]
            return "; ".join(problems)
        right = {
            OptionType.BOOLEAN: isinstance(value, bool),
            # Options come out of JSON too, where every number may be a float.
            OptionType.INTEGER: isinstance(value, int | float) and not isinstance(value, bool) and _is_whole(value),
            OptionType.WORD: isinstance(value, str) and value in self.words,
            OptionType.MAP: isinstance(value, Mapping),
        }
        expected = ", ".join(self.words) if self.type is OptionType.WORD else self.type.value
        return "" if right.get(self.type) else f"expected {expected}: {self.meaning}"


@dataclass(frozen=True)
class MetricDescription:
    name: str
    description: str
    graded: bool
    """Whether the score of one answer may lie between 0 and 1; the statistics differ."""
    needs_expected: bool = False
    """Whether it compares with the expected answer, so that every item has to have one."""
    options: tuple[OptionDescription, ...] = ()
    runs_apart: bool = False
    """Whether it runs in a child process with limits."""

    def defaults(self) -> dict[str, Any]:
        return {option.name: option.default for option in self.options}


_STRICT = OptionDescription(
    "strict", OptionType.BOOLEAN, "whether the whole answer has to be the document, with no code fence around it", False
)
_SCHEMA = OptionDescription(
    "schema", OptionType.MAP, "a JSON Schema, draft 2020-12 unless `$schema` says otherwise", required=True
)
_IGNORE_CASE = OptionDescription("ignore_case", OptionType.BOOLEAN, "whether A and a are the same", False)

# R137 says how long title and description are, and how many functional and other requirements there have to be; of
# constraints it says nothing, so one is enough.
_RECORD_OPTIONS = (
    OptionDescription("min_title_chars", OptionType.INTEGER, "the shortest title", 10),
    OptionDescription("max_title_chars", OptionType.INTEGER, "the longest title", 100),
    OptionDescription("min_description_chars", OptionType.INTEGER, "the shortest description", 100),
    OptionDescription("min_functional_requirements", OptionType.INTEGER, "how many there have to be", 2),
    OptionDescription("min_non_functional_requirements", OptionType.INTEGER, "how many there have to be", 1),
    OptionDescription("min_constraints", OptionType.INTEGER, "how many there have to be", 1),
)

_ALL = (
    MetricDescription(
        "exact_match",
        "1 when both are the same text but for white space and Unicode form; case counts.",
        graded=False,
        needs_expected=True,
    ),
    MetricDescription(
        "contains",
        "1 when the expected text occurs in the answer, whatever its case.",
        graded=False,
        needs_expected=True,
    ),
    MetricDescription(
        "token_f1",
        "Harmonic mean of precision and recall over words and signs, whatever their case and order.",
        graded=True,
        needs_expected=True,
    ),
    MetricDescription(
        "rouge_l",
        "F1 of the longest sequence of words that both have in this order, whatever their case (ROUGE-L).",
        graded=True,
        needs_expected=True,
    ),
    MetricDescription(
        "chrf",
        "F2 over sequences of one to six characters (chrF as in sacreBLEU); case counts, white space does not.",
        graded=True,
        needs_expected=True,
    ),
    MetricDescription(
        "json_valid",
        "1 when the answer, or its first code block, is JSON: an object or a list, without NaN.",
        graded=False,
        options=(_STRICT,),
    ),
    MetricDescription(
        "yaml_valid",
        "1 when the answer, or its first code block, is YAML: a map or a list, without aliases, tags, or a key twice.",
        graded=False,
        options=(_STRICT,),
    ),
    MetricDescription(
        "json_schema",
        "1 when the answer is JSON as in json_valid and fits the schema.",
        graded=False,
        options=(_SCHEMA, _STRICT),
        runs_apart=True,
    ),
    MetricDescription(
        "yaml_schema",
        "1 when the answer is YAML as in yaml_valid and fits the schema.",
        graded=False,
        options=(_SCHEMA, _STRICT),
        runs_apart=True,
    ),
    MetricDescription(
        "regex",
        "1 when the pattern, a regular expression of Python, is found in the answer. `^` and `$` stand for every line.",
        graded=False,
        options=(
            OptionDescription("pattern", OptionType.PATTERN, "the regular expression", required=True),
            OptionDescription(
                "match", OptionType.WORD, "anywhere, or the whole answer", "search", words=("search", "full")
            ),
            _IGNORE_CASE,
        ),
        runs_apart=True,
    ),
    MetricDescription(
        "checklist",
        "The share of points that hold: each wanted pattern is found, each unwanted one is not. Points are components.",
        graded=True,
        options=(
            OptionDescription("wanted", OptionType.PATTERNS, "a regular expression for each point", {}),
            OptionDescription("unwanted", OptionType.PATTERNS, "a regular expression for each point", {}),
            OptionDescription("ignore_case", OptionType.BOOLEAN, "whether A and a are the same", True),
        ),
        runs_apart=True,
    ),
    MetricDescription(
        "code_tests",
        "1 when the answer's Python passes all tests that the item's metadata hold as `tests` (a text, or a list of "
        "texts), each run by itself in a sandbox, with the standard library. The share that passes is a component.",
        graded=False,
        options=(
            OptionDescription(
                "blocks",
                OptionType.WORD,
                "which of the answer's code blocks make the program",
                "all",
                words=("all", "first", "last"),
            ),
        ),
        runs_apart=True,
    ),
    MetricDescription(
        "stop_behaviour",
        "1 when the model ended its turn by itself and wrote no role tokens such as <|user|>. Both are components.",
        graded=False,
    ),
    # R93
    MetricDescription(
        "business_requirements",
        "A requirement record's weighted mean: completeness 1.0, title 0.5, description 0.5, and 1.5 for each of three "
        "lists (it reads as a list, it has enough items, their ids are FR001…, NFR001…, C001…). All are components.",
        graded=True,
        options=_RECORD_OPTIONS,
    ),
    # R69
    MetricDescription(
        "requirements_quick",
        "1 when the answer reads as YAML and has enough functional requirements.",
        graded=False,
        options=(OptionDescription("min_functional_requirements", OptionType.INTEGER, "how many there have to be", 2),),
    ),
)

METRICS: Final[Mapping[str, MetricDescription]] = {metric.name: metric for metric in _ALL}


def describe(choice: MetricChoice) -> MetricDescription:
    """Of a chosen metric that `check_metric_choice` found nothing wrong with."""
    if is_own_function(choice.name):
        return MetricDescription(choice.name, "A function of the operator's own.", graded=True, runs_apart=True)
    return METRICS[choice.name]


def options_of(choice: MetricChoice) -> dict[str, Any]:
    """With the default of what was not chosen."""
    return describe(choice).defaults() | choice.options


def is_own_function(name: str) -> bool:
    return ":" in name


def is_allowed(name: str, allowed: Iterable[str]) -> bool:
    """Whether an entry allows the function `module:function`: the entry is that very name, its module, or a package
    around it, with or without a full stop at the end."""
    module = name.partition(":")[0]
    for entry in allowed:
        package = entry.strip().removesuffix(".")
        if package and (name == package or module == package or module.startswith(f"{package}.")):
            return True
    return False


def parse_allowed(setting: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in setting.split(",") if entry.strip())


def check_metric_choice(
    choice: MetricChoice, at: str = "metric", allowed: Sequence[str] | None = None
) -> list[Violation]:
    """All that is wrong with it; `allowed` are the operator's entries, None where somebody else asks for them."""
    if is_own_function(choice.name):
        return _check_own_function(choice, at, allowed)
    description = METRICS.get(choice.name)
    if description is None:
        return [Violation(f"{at}.name", _unknown(choice.name))]
    known = {option.name: option for option in description.options}
    problems = [
        Violation(f"{at}.options.{name}", _unknown_option(description, name))
        for name in choice.options
        if name not in known
    ]
    for name, option in known.items():
        if name in choice.options:
            if problem := option.problem_of(choice.options[name]):
                problems.append(Violation(f"{at}.options.{name}", problem))
        elif option.required:
            problems.append(Violation(f"{at}.options.{name}", f"it is missing: {option.meaning}"))
    return problems + ([] if problems else _check_together(choice, at))


def _check_together(choice: MetricChoice, at: str) -> list[Violation]:
    options = options_of(choice)
    if choice.name == "checklist":
        wanted, unwanted = options["wanted"], options["unwanted"]
        if not wanted and not unwanted:
            return [Violation(f"{at}.options", "a checklist needs a point, in `wanted` or in `unwanted`")]
        if len(wanted) + len(unwanted) > MAX_POINTS:
            return [Violation(f"{at}.options", f"a checklist has at most {MAX_POINTS} points")]
        if both := sorted(wanted.keys() & unwanted.keys()):
            return [Violation(f"{at}.options.unwanted", f"{', '.join(both)}: the name of a wanted point as well")]
    if choice.name == "business_requirements" and options["min_title_chars"] > options["max_title_chars"]:
        return [Violation(f"{at}.options.max_title_chars", "it is less than `min_title_chars`: no title fits")]
    return []


def _check_own_function(choice: MetricChoice, at: str, allowed: Sequence[str] | None) -> list[Violation]:
    problems = []
    if choice.options:
        problems.append(Violation(f"{at}.options", "a function of your own takes no options: it gets item and output"))
    if allowed is not None and not is_allowed(choice.name, allowed):
        problems.append(
            Violation(
                f"{at}.name",
                f"{choice.name!r} is not allowed here; an operator can add it to {ALLOWED_METRICS_VARIABLE}",
            )
        )
    return problems


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, METRICS, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no metric {name!r}: {guess}There are {', '.join(METRICS)}, and `module:function`"


def _unknown_option(description: MetricDescription, name: str) -> str:
    if not description.options:
        return f"{description.name} takes no options"
    names = [option.name for option in description.options]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{description.name} has no such option: {guess}It takes {', '.join(names)}"


def _pattern_problem(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PATTERN_CHARS:
        return f"expected a regular expression of 1 to {MAX_PATTERN_CHARS} characters"
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as broken:
        return f"it is no regular expression: {broken}"
    return ""


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value == int(value) and value >= 0
