"""Answers that somebody else generated, read from JSON lines; every problem of the file is told at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

from pydantic import Field, ValidationError

from fragua_evaluator.domain.arm import Limits, ReadyOutputs
from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_evaluator.scoring.targets.remote import failed
from fragua_evaluator.scoring.targets.said import storable
from fragua_platform.errors import InvalidData, InvalidInput, LimitExceeded, Violation

_MAX_FILE_BYTES: Final = 1 << 30
_MAX_LINES: Final = 1_000_000
_MAX_VIOLATIONS: Final = 100
_AROUND_BYTES: Final = 4_096
"""What a line may hold beside the output."""
_ESCAPED: Final = 6
"""Bytes that JSON may take for one of the text."""


class _Line(Frozen):
    id: Annotated[str, Field(min_length=1, max_length=256)]
    output: str
    suite: Annotated[str, Field(max_length=64)] | None = None
    repeat: Annotated[int, Field(ge=0, le=10_000)] | None = None


@dataclass(frozen=True)
class _Output:
    line: int
    text: str


_Place = tuple[str | None, str, int | None]
"""Suite, item, repeat; None stands for all of them."""


class OutputsTarget:
    def __init__(self, model: ReadyOutputs, inputs: Path, limits: Limits) -> None:
        self._name = model.file
        self._limits = limits
        self._problems: list[Violation] = []
        self._outputs: dict[_Place, _Output] = {}
        digest = self._read(_existing(inputs, model.file))
        self.identity = Identity(
            model=model.file,
            digest=digest,
            conditions={
                "generation": "somewhere else, before this evaluation",
                "tokens_counted_by": "nobody",
                "not_verifiable": [
                    "which model wrote them, of which prompt and how",
                    "whether they ended by themselves",
                ],
            },
            # Looking up is quicker than a cache.
            cacheable=False,
            remote=True,
        )

    def refuse_unfit(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """`questions` have to be all of the evaluation: an output for any other is a problem."""
        asked = [question for question in questions if isinstance(question, Question)]
        if len(asked) < len(questions):
            self._refuse_weighing()
        problems = [*self._problems, *self._unknown(asked), *self._missing(asked)]
        if problems:
            more = f"; the first {_MAX_VIOLATIONS} are listed" if len(problems) > _MAX_VIOLATIONS else ""
            raise InvalidData(
                f"{self._name} does not answer the questions of this evaluation: {len(problems)} problems{more}",
                reason="OUTPUTS_UNFIT",
                violations=problems[:_MAX_VIOLATIONS],
            )

    def prompt_digest(self, question: Question | ChoiceQuestion | TextQuestion) -> str | None:
        return None

    def warm_up(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """Nothing is loaded here."""

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        for question in questions:
            if stop_requested():
                return
            yield question.key, self._answer(question)

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        self._refuse_weighing()

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        self._refuse_weighing()

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, question: Question) -> Answer:
        output = self._find(question)
        if output is None:
            return failed("MISSING", f"{self._name} has no output for item {question.item}")
        if len(output.text.encode()) > self._limits.max_output_bytes:
            return failed(
                "OUTPUT_TOO_LARGE",
                f"{self._name} line {output.line} holds more than max_output_bytes = {self._limits.max_output_bytes}",
            )
        return Answer(text=output.text, ending=Ending.STOP)

    def _find(self, question: Question) -> _Output | None:
        """The most exact one there is."""
        suite, item, repeat = question.suite, question.item, question.repeat
        places: list[_Place] = [(suite, item, repeat), (suite, item, None), (None, item, repeat), (None, item, None)]
        return next((self._outputs[place] for place in places if place in self._outputs), None)

    def _refuse_weighing(self) -> NoReturn:
        raise InvalidInput(
            f"{self._name} holds answers and no model: multiple choice and perplexity need the model itself; put these "
            "suites to its directory or GGUF file, or leave them out",
            reason="UNSUPPORTED_BY_TARGET",
        )

    # --- the file

    def _read(self, file: Path) -> str:
        """Its digest. Bad lines are remembered until it is known what is asked."""
        if (size := file.stat().st_size) > _MAX_FILE_BYTES:
            raise LimitExceeded(f"{self._name} has {size} bytes, more than {_MAX_FILE_BYTES}; split the evaluation")
        digest = hashlib.sha256()
        longest = self._longest_line()
        with file.open("rb") as lines:
            number = 0
            while line := lines.readline(longest + 1):
                number += 1
                if number > _MAX_LINES:
                    raise LimitExceeded(f"{self._name} has more than {_MAX_LINES} lines; split the evaluation")
                digest.update(line)
                if len(line) > longest:
                    self._problem(number, f"is longer than {longest} bytes: no output may exceed max_output_bytes")
                    while line and not line.endswith(b"\n"):
                        line = lines.readline(longest)
                        digest.update(line)
                elif line.strip():
                    self._take(number, line)
        return digest.hexdigest()

    def _longest_line(self) -> int:
        """A line that is too long for one answer still fits, so that it is a failed item and no broken file."""
        return max(self._limits.max_output_bytes * _ESCAPED, 16 * 2**20) + _AROUND_BYTES

    def _take(self, number: int, line: bytes) -> None:
        try:
            row = _Line.model_validate(json.loads(line, parse_constant=_refuse_constant))
        except ValidationError as wrong:
            for error in wrong.errors(include_url=False, include_input=False):
                self._problem(number, f"{'.'.join(map(str, error['loc'])) or 'the line'}: {error['msg']}")
            return
        except (ValueError, RecursionError) as broken:
            problem = str(broken) if isinstance(broken, _Constant) else "is no JSON in UTF-8"
            self._problem(number, problem)
            return
        place = (row.suite, storable(row.id), row.repeat)
        if place in self._outputs:
            self._problem(number, f"answers {_spoken(place)} again, after line {self._outputs[place].line}")
        else:
            self._outputs[place] = _Output(number, storable(row.output))

    def _problem(self, number: int, problem: str) -> None:
        self._problems.append(Violation(f"{self._name} line {number}", problem))

    def _unknown(self, questions: Sequence[Question]) -> Iterator[Violation]:
        known: set[_Place] = {
            (suite, question.item, repeat)
            for question in questions
            for suite in (question.suite, None)
            for repeat in (question.repeat, None)
        }
        for place, output in self._outputs.items():
            if place not in known:
                yield Violation(f"{self._name} line {output.line}", f"answers {_spoken(place)}, which is not asked")

    def _missing(self, questions: Sequence[Question]) -> Iterator[Violation]:
        for question in questions:
            if self._find(question) is None:
                place = (question.suite, question.item, question.repeat)
                yield Violation(self._name, f"has no output for {_spoken(place)}")


class _Constant(ValueError):
    """NaN or Infinity, which Python reads and JSON forbids."""


def _refuse_constant(name: str) -> Any:
    raise _Constant(f"holds {name}, which is no JSON")


def _spoken(place: _Place) -> str:
    suite, item, repeat = place
    return (
        f"item {item}"
        + (f" of suite {suite}" if suite else "")
        + (f" in repeat {repeat}" if repeat is not None else "")
    )


def _existing(inputs: Path, name: str) -> Path:
    file = inputs / name
    if not file.is_file():
        raise InvalidInput(f"the inputs have no file {name}", reason="OUTPUTS_MISSING")
    return file
