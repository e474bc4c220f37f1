"""Puts every question to every arm, and saves the answers on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fragua_evaluator.domain.arm import ArmSpec
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.items import Questionnaire
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.memory import forget_peak, peak_rss_bytes
from fragua_evaluator.scoring.questions import AnyQuestion, Asked, questions_of
from fragua_evaluator.scoring.response_cache import ResponseCache, cache_key
from fragua_evaluator.scoring.same_prompts import refuse_other_prompts
from fragua_evaluator.scoring.targets.opening import open_target
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question, Target, TextQuestion
from fragua_platform.errors import InvalidData, Unavailable
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

if TYPE_CHECKING:
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels

_CHECKPOINT_SHARE = 0.05
"""Checkpoints hold all answers so far, so long runs space them out: at most this share of the time is lost."""
_MIN_ANSWERS_TO_JUDGE = 20
"""An arm is not called broken for a bad start before so many answers."""
_TELL_SECONDS = 0.5


@dataclass(frozen=True)
class Materials:
    """What an interview works with, for as long as it lasts."""

    job: JobDirectory
    journal: Journal
    cache: ResponseCache
    loaded: LoadedModels | None
    """None when no arm is a model that this process loads."""
    reporter: Reporter


class Interview:
    def __init__(self, spec: EvaluationSpec, questionnaires: Sequence[Questionnaire], materials: Materials) -> None:
        self._spec = spec
        self._questionnaires = questionnaires
        self._with = materials
        self._prompts: dict[str, Mapping[str, str | None]] = {}
        self._started = self._saved_at = time.monotonic()
        self._saved_answers = materials.journal.answer_count

    def prepare(self) -> None:
        """Look at every arm and every prompt before any arm computes: what is wrong with the last one shall not be told
        after hours of the first. Arms that were asked already have been looked at by a former attempt."""
        waiting = [arm for arm in self._spec.arms if self._pending(arm)]
        for number, arm in enumerate(waiting):
            self._with.reporter.progress("preflight", number, len(waiting), f"arm {arm.name}")
            with self._opened(arm) as target:
                questions = [asked.question for asked in self._questions(arm)]
                target.refuse_unfit(questions)
                self._with.journal.know(arm.name, target.identity)
                self._prompts[arm.name] = {question.key: target.prompt_digest(question) for question in questions}
            self._give_back_if_stopped()
        refuse_other_prompts(waiting, self._prompts)

    def ask(self) -> None:
        for arm in self._spec.arms:
            if pending := self._pending(arm):
                with self._opened(arm) as target:
                    self._ask(arm, target, pending)
        # Marking may take long, too, and an attempt that is interrupted there shall ask nothing again.
        self._save()

    def _ask(self, arm: ArmSpec, target: Target, pending: Sequence[Asked]) -> None:
        talk = _Talk(arm, target, self._prompts[arm.name], self._spec, self._with)
        pending = [asked for asked in pending if not talk.take_from_cache(asked)]
        total = sum(1 for _ in self._questions(arm))
        told = 0.0
        talk.begin(pending)
        for key, answer in _answers(target, [asked.question for asked in pending], self._with.reporter):
            talk.keep(key, answer)
            talk.refuse_broken(at_least=_MIN_ANSWERS_TO_JUDGE)
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self._with.reporter.progress(f"asking {arm.name}", talk.answered, total, metrics=talk.measured)
            self._save_sometimes()
        self._give_back_if_stopped()
        talk.refuse_broken(at_least=1)
        self._with.reporter.progress(f"asking {arm.name}", talk.answered, total, metrics=talk.measured)

    @contextmanager
    def _opened(self, arm: ArmSpec) -> Iterator[Target]:
        with closing(
            open_target(arm, self._with.job.inputs, self._spec.decoding, self._spec.limits, self._with.loaded)
        ) as target:
            yield target

    def _questions(self, arm: ArmSpec) -> Iterator[Asked]:
        for questionnaire in self._questionnaires:
            yield from questions_of(arm, questionnaire, self._spec)

    def _pending(self, arm: ArmSpec) -> list[Asked]:
        return [a for a in self._questions(arm) if self._with.journal.answer(arm.name, a.question.key) is None]

    def _give_back_if_stopped(self) -> None:
        if self._with.reporter.stop_requested:
            self._save()
            raise Interrupted

    def _save_sometimes(self) -> None:
        now = time.monotonic()
        spacing = max(self._spec.checkpoint_seconds, _CHECKPOINT_SHARE * (now - self._started))
        if now - self._saved_at >= spacing:
            self._save()

    def _save(self) -> None:
        journal = self._with.journal
        if journal.answer_count > self._saved_answers:
            checkpoint = journal.save(self._with.job.checkpoints)
            self._with.reporter.checkpoint(journal.answer_count, checkpoint, self._with.job.root)
            self._saved_answers = journal.answer_count
        self._saved_at = time.monotonic()


class _Talk:
    """One arm's answers as they come in, with what they cost."""

    def __init__(
        self,
        arm: ArmSpec,
        target: Target,
        prompts: Mapping[str, str | None],
        spec: EvaluationSpec,
        materials: Materials,
    ) -> None:
        self._arm = arm
        self._target = target
        self._prompts = prompts
        self._spec = spec
        self._journal = materials.journal
        self._cache = materials.cache
        self._state = self._journal.know(arm.name, target.identity)
        self._decodings: dict[str, Asked] = {}
        self._measures_memory = not target.identity.remote
        known = list(self._journal.answers(arm.name))
        self.answered = len(known)
        self._failed = sum(answer.ending is Ending.FAILED for answer in known)
        generated = [answer for answer in known if not answer.cached and not answer.was_weighed]
        self._tokens = sum(answer.tokens for answer in generated)
        self._generating = math.fsum(answer.seconds for answer in generated)
        self._last_failure = ""

    @property
    def measured(self) -> dict[str, float]:
        values = {"failed_answers": float(self._failed)}
        if self._generating > 0 and self._tokens:
            values["tokens_per_second"] = self._tokens / self._generating
        return values

    def take_from_cache(self, asked: Asked) -> bool:
        key = self._cache_key(asked)
        if key is None or (answer := self._cache.find(key)) is None:
            return False
        self._journal.add(self._arm.name, asked.question.key, answer)
        self.answered += 1
        return True

    def begin(self, pending: Sequence[Asked]) -> None:
        self._decodings = {asked.question.key: asked for asked in pending}
        self._measures_memory = self._measures_memory and forget_peak()
        # The first answer of a process is slow, and loading is no part of an answer; neither shall count.
        self._target.warm_up([asked.question for asked in pending[:1]])
        self._clock = time.perf_counter()

    def keep(self, key: str, answer: Answer) -> None:
        now = time.perf_counter()
        # A model of ours answers several at once, so the clock tells; of one elsewhere waiting and pauses count for nothing.
        self._state.seconds += answer.seconds if self._target.identity.remote else now - self._clock
        self._clock = now
        if self._measures_memory:
            self._state.peak_rss_bytes = max(peak_rss_bytes(), self._state.peak_rss_bytes or 0)
        self._journal.add(self._arm.name, key, answer)
        self.answered += 1
        if not answer.was_weighed:
            self._tokens += answer.tokens
            self._generating += answer.seconds
        if answer.ending is Ending.FAILED:
            self._failed += 1
            self._last_failure = answer.failure
        elif (cached := self._cache_key(self._decodings[key])) is not None:
            self._cache.keep(cached, answer)

    def refuse_broken(self, *, at_least: int) -> None:
        """A few failed answers are data; an arm that hardly answers is an error and no score."""
        allowed = self._spec.limits.max_failed_share
        if self.answered < at_least or self._failed <= allowed * self.answered:
            return
        message = (
            f"arm {self._arm.name} is broken: {self._failed} of {self.answered} answers failed, {allowed:.0%} may; "
            f"the last one: {self._last_failure or 'see the checkpoint'}"
        )
        if self._target.identity.remote:
            # It may be well again at the next attempt, which then asks what failed once more.
            self._journal.forget_failures(self._arm.name)
            raise Unavailable(message, reason="ARM_BROKEN")
        raise InvalidData(message, reason="ARM_BROKEN")

    def _cache_key(self, asked: Asked) -> bytes | None:
        identity, prompt = self._target.identity, self._prompts[asked.question.key]
        if not identity.cacheable or prompt is None:
            return None
        return cache_key(identity.digest, prompt, asked.decoding)


def _answers(target: Target, questions: Sequence[AnyQuestion], reporter: Reporter) -> Iterator[tuple[str, Answer]]:
    def stop_requested() -> bool:
        return reporter.stop_requested

    if choices := [question for question in questions if isinstance(question, ChoiceQuestion)]:
        yield from target.weigh_choices(choices, stop_requested)
    if texts := [question for question in questions if isinstance(question, TextQuestion)]:
        yield from target.weigh_texts(texts, stop_requested)
    if asked := [question for question in questions if isinstance(question, Question)]:
        yield from target.generate(asked, stop_requested)
