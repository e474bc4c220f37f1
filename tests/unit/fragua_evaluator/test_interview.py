"""How questions are put to arms: what is told before any answer, what a failed answer means, what is never asked twice."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.arm import ArmSpec, LocalModel, Message, Role
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.domain.suite import Case, MetricChoice, SuiteSpec
from fragua_evaluator.scoring import interview as interviews
from fragua_evaluator.scoring.interview import Interview, Materials
from fragua_evaluator.scoring.items import load_questionnaire
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.response_cache import ResponseCache
from fragua_evaluator.scoring.targets.port import Identity, Question
from fragua_platform.errors import FraguaError, InvalidData, Unavailable
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

ITEMS = 40


@dataclass
class Speaker:
    """Answers as it is told to, and remembers what it was asked."""

    identity: Identity = field(default_factory=lambda: Identity("speaker", "d1"))
    fails: Callable[[int], bool] = lambda number: False
    on_answer: Callable[[int], None] = lambda number: None
    asked: list[str] = field(default_factory=list)
    unfit: bool = False

    def refuse_unfit(self, questions: Sequence[Any]) -> None:
        if self.unfit:
            raise InvalidData("a prompt is too long", reason="PROMPT_TOO_LONG")

    def prompt_digest(self, question: Any) -> str:
        return str(question.messages[-1].content)

    def warm_up(self, questions: Sequence[Any]) -> None:
        pass

    def generate(self, questions: Sequence[Question], stop: Callable[[], bool]) -> Iterator[tuple[str, Answer]]:
        for number, question in enumerate(questions):
            if stop():
                return
            self.asked.append(question.key)
            self.on_answer(number)
            if self.fails(number):
                yield question.key, Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer within 1 s")
            else:
                yield question.key, Answer(text=f"Sí: {question.key}", ending=Ending.STOP, tokens=3, seconds=0.01)

    def weigh_choices(self, questions: Sequence[Any], stop: Callable[[], bool]) -> Iterator[tuple[str, Answer]]:
        yield from ()

    weigh_texts = weigh_choices

    def close(self) -> None:
        pass


class Site:
    """An evaluation of two arms, `base` and `tuned`, over forty cases."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, cache: str = "") -> None:
        self.speakers = {"base": Speaker(), "tuned": Speaker(identity=Identity("speaker", "d2"))}
        monkeypatch.setattr(interviews, "open_target", lambda arm, *_: self.speakers[arm.name])
        self.job = JobDirectory(folder)
        self.job.checkpoints.mkdir(parents=True)
        cases = tuple(
            Case(id=f"c{number}", messages=(Message(role=Role.USER, content=f"¿Y {number}?"),), expected="Sí")
            for number in range(ITEMS)
        )
        self.spec = EvaluationSpec(
            arms=tuple(ArmSpec(name=name, target=LocalModel(base="models/a")) for name in self.speakers),
            suites=(SuiteSpec(name="s", cases=cases, metrics=(MetricChoice(name="contains"),)),),
            repeats=1,
            checkpoint_seconds=0,
        )
        self.reporter = Reporter(io.StringIO())
        self.cache_folder = cache
        self.journal = Journal({})

    def run(self) -> Journal:
        questionnaires = [load_questionnaire(suite, self.job.inputs, 0) for suite in self.spec.suites]
        with closing(ResponseCache.open(self.cache_folder, 8)) as cache:
            materials = Materials(self.job, self.journal, cache, None, self.reporter)
            interview = Interview(self.spec, questionnaires, materials)
            interview.prepare()
            interview.ask()
        return self.journal


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_what_is_wrong_with_the_last_arm_is_told_before_the_first_one_answers(site: Site) -> None:
    site.speakers["tuned"].unfit = True
    with pytest.raises(InvalidData, match="too long"):
        site.run()
    assert site.speakers["base"].asked == []


def test_a_few_failed_answers_are_data(site: Site) -> None:
    site.speakers["tuned"].fails = lambda number: number in (3, 30)
    journal = site.run()
    assert sum(answer.ending is Ending.FAILED for answer in journal.answers("tuned")) == 2
    assert len(list(journal.answers("tuned"))) == ITEMS


@pytest.mark.parametrize(("remote", "family"), [(False, InvalidData), (True, Unavailable)])
def test_an_arm_that_hardly_answers_is_an_error_and_no_score(
    site: Site, remote: bool, family: type[FraguaError]
) -> None:
    site.speakers["tuned"] = Speaker(Identity("speaker", "d2", remote=remote), fails=lambda number: number % 2 == 1)
    with pytest.raises(family, match="arm tuned is broken: 10 of 20 answers failed, 10% may"):
        site.run()
    failed = sum(answer.ending is Ending.FAILED for answer in site.journal.answers("tuned"))
    assert failed == (0 if remote else 10), "what may be well again is asked once more by the next attempt"


def test_a_stop_saves_what_was_answered_and_the_next_attempt_asks_the_rest(site: Site) -> None:
    site.speakers["base"].on_answer = lambda number: site.reporter.request_stop() if number == 11 else None
    with pytest.raises(Interrupted):
        site.run()
    saved = max(site.job.checkpoints.iterdir(), key=lambda folder: int(folder.name.rpartition("-")[2]))
    first, site.speakers["base"] = site.speakers["base"].asked, Speaker()
    site.reporter, site.journal = Reporter(io.StringIO()), Journal({})
    site.journal.restore(saved)
    site.run()
    assert len(first) == 12
    assert sorted(first + site.speakers["base"].asked) == sorted(f"s/c{number}/0" for number in range(ITEMS))


def test_the_same_model_and_prompt_is_asked_once_over_all_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Site(tmp_path / "first", monkeypatch, str(tmp_path / "cache")).run()
    second = Site(tmp_path / "second", monkeypatch, str(tmp_path / "cache"))
    second.speakers["tuned"] = Speaker(Identity("speaker", "another model"))
    journal = second.run()
    assert second.speakers["base"].asked == []
    assert len(second.speakers["tuned"].asked) == ITEMS
    assert all(answer.cached for answer in journal.answers("base"))


def test_a_model_whose_name_says_too_little_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        site = Site(tmp_path / name, monkeypatch, str(tmp_path / "cache"))
        site.speakers["base"] = Speaker(Identity("gpt", "url and name", cacheable=False))
        site.run()
        assert len(site.speakers["base"].asked) == ITEMS
