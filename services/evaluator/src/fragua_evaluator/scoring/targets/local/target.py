"""An arm whose model this process loads itself."""

from __future__ import annotations

import gc
import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from fragua_evaluator.domain.arm import Decoding, LocalModel
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.local.chat import TEMPLATE_DATE, Chat, open_chat
from fragua_evaluator.scoring.targets.local.continuous import MAX_SLOTS, Prompt, Written, slots_for, write_answers
from fragua_evaluator.scoring.targets.local.files import ModelFiles, check_adapter, check_base, read_config
from fragua_evaluator.scoring.targets.local.loaded import LoadedModels
from fragua_evaluator.scoring.targets.local.memory import out_of_memory_reported
from fragua_evaluator.scoring.targets.local.packed_model import PackedModel, can_pack, longest_packed_text
from fragua_evaluator.scoring.targets.local.sampling import Sampler
from fragua_evaluator.scoring.targets.local.static import BATCH_SIZE, weigh_static, write_answers_static
from fragua_evaluator.scoring.targets.local.weighing import Weighable, Weighed, weigh
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_evaluator.scoring.targets.room import lack_of_room
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_MAX_VIOLATIONS = 20
_WARM_UP_TOKENS = 16
_WAY_OUT = "lower max_new_tokens, shorten the questions, or take a machine with more memory"

_NO_NUMBER = "NOT_A_NUMBER: the model computed no number here; its weights, or the adapter's, are damaged or overflowed"

AnyQuestion = Question | ChoiceQuestion | TextQuestion


def open_local_model(model: LocalModel, inputs: Path, decoding: Decoding, loaded: LoadedModels) -> LocalTarget:
    """Looks at every file, and loads the weights only when the first answer is asked for."""
    if model.merged and model.adapter is None:
        raise InvalidInput(f"target {model.base}: merged = true needs an adapter to merge")
    adapter = inputs / model.adapter if model.adapter is not None else None
    files = ModelFiles(inputs / model.base, adapter, model.merged)
    config = read_config(files.base)
    check_base(files.base)
    chat = open_chat(files.base)
    check_adapter(files, config)
    name = model.base if model.adapter is None else f"{model.base} + {model.adapter}"
    return LocalTarget(f"{name}, merged" if model.merged else name, files, config, chat, decoding, loaded)


class LocalTarget:
    def __init__(
        self, name: str, files: ModelFiles, config: Any, chat: Chat, decoding: Decoding, loaded: LoadedModels
    ) -> None:
        self._files = files
        self._config = config.get_text_config()
        self._chat = chat
        self._decoding = decoding
        self._loaded = loaded
        # On a GPU, transformers' own batches are fast, and they are what its tests cover.
        self._packs = can_pack(config) and loaded.device.type == "cpu"
        self._weights_type = loaded.weights_type(files.base)
        self._is_open = True
        loaded.enlist(files)
        digest = f"{loaded.digest(files)} {self._weights_type} {loaded.device.type} {self._way_to_answer}"
        self._identity = Identity(
            name, hashlib.sha256(digest.encode()).hexdigest(), self._conditions(), cacheable=True, remote=False
        )

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def _way_to_answer(self) -> str:
        if self._packs:
            return f"continuous batching, up to {MAX_SLOTS} answers at a time"
        return f"transformers' generate, static batches of {BATCH_SIZE}"

    @property
    def _context_length(self) -> int | None:
        return getattr(self._config, "max_position_embeddings", None)

    def _conditions(self) -> dict[str, Any]:
        names = self._chat.tokenizer.convert_ids_to_tokens(list(self._chat.stop_ids))
        conditions = {
            "device": self._loaded.device.type,
            "weights_type": str(self._weights_type).removeprefix("torch."),
            "template_digest": self._chat.template_digest,
            "stop_tokens": names,
            "context_length": self._context_length,
            "tokens_counted_by": "this process",
            "generation": self._way_to_answer,
        }
        if self._chat.prints_a_date:
            conditions["template_date"] = TEMPLATE_DATE
        return conditions

    def refuse_unfit(self, questions: Sequence[AnyQuestion]) -> None:
        refused: list[Violation] = []
        reason = ""
        too_long: list[Violation] = []
        for question in questions:
            try:
                problem = self._lack_of_room(question)
            except InvalidData as objection:
                refused.append(Violation(question.key, str(objection)))
                reason = reason or objection.reason
                continue
            if problem:
                too_long.append(Violation(question.key, problem))
        if refused:
            raise InvalidData(
                f"{len(refused)} questions cannot be put to {self._identity.model}; "
                f"first: {refused[0].field}: {refused[0].description}",
                reason=reason,
                violations=[*refused, *too_long][:_MAX_VIOLATIONS],
            )
        if too_long:
            raise InvalidData(
                f"{len(too_long)} questions do not fit {self._identity.model}; first: {too_long[0].field} "
                f"{too_long[0].description}; lower max_new_tokens, or shorten or remove them",
                reason="PROMPT_TOO_LONG",
                violations=too_long[:_MAX_VIOLATIONS],
            )

    def _lack_of_room(self, question: AnyQuestion) -> str:
        texts = self._texts(question)
        if (highest := max(map(max, texts))) >= self._config.vocab_size:
            raise InvalidInput(
                f"the tokenizer of {self._files.base.name} writes token {highest}, but the model has "
                f"{self._config.vocab_size} embeddings: this tokenizer belongs to another model"
            )
        longest = max(map(len, texts))
        answer = question.max_new_tokens if isinstance(question, Question) else 0
        return lack_of_room(longest, answer, self._context_length)

    def _texts(self, question: AnyQuestion) -> list[tuple[int, ...]]:
        if isinstance(question, Question):
            return [self._chat.prompt(question.messages)]
        return [text.tokens for text in self._weighable(question).texts]

    def _weighable(self, question: ChoiceQuestion | TextQuestion) -> Weighable:
        if isinstance(question, ChoiceQuestion):
            return Weighable(question.key, tuple(self._chat.choices(question.messages, question.choices)))
        return Weighable(question.key, (self._chat.answer(question.messages, question.expected),))

    def prompt_digest(self, question: AnyQuestion) -> str:
        texts = self._texts(question)
        return hashlib.sha256("\n".join(" ".join(map(str, text)) for text in texts).encode()).hexdigest()

    def warm_up(self, questions: Sequence[AnyQuestion]) -> None:
        for question in questions:
            with out_of_memory_reported(_WAY_OUT):
                self._warm_up(self._chat.prompt(question.messages))

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        prompts = [self._prompt(question) for question in questions]
        if not prompts or stop_requested():
            return
        with out_of_memory_reported(_WAY_OUT):
            self._warm_up(prompts[0].tokens)
            for written in self._write(prompts, stop_requested):
                yield written.prompt.key, self._answer(written)

    def _prompt(self, question: Question) -> Prompt:
        sampler = Sampler.of(question, self._decoding) if self._decoding.temperature > 0 else None
        return Prompt(question.key, self._chat.prompt(question.messages), question.max_new_tokens, sampler)

    def _write(self, prompts: Sequence[Prompt], stop_requested: StopRequested) -> Iterator[Written]:
        stops = self._chat.stop_ids
        if not self._packs:
            yield from write_answers_static(self._speaker, prompts, stops, stop_requested)
            return
        limit = longest_packed_text(self._config)
        long = [prompt for prompt in prompts if limit is not None and prompt.room >= limit]
        short = [prompt for prompt in prompts if limit is None or prompt.room < limit]
        yield from write_answers_static(self._speaker, long, stops, stop_requested, batch_size=1)
        yield from write_answers(PackedModel(self._speaker), short, stops, self._slots_for, stop_requested)

    def _slots_for(self, room: int) -> int:
        return slots_for(room, self._config, self._weights_type.itemsize)

    def _answer(self, written: Written) -> Answer:
        if written.broken:
            return Answer(ending=Ending.FAILED, failure=_NO_NUMBER, seconds=written.seconds)
        said = written.tokens[:-1] if written.ended else written.tokens
        return Answer(
            text=self._chat.read(said),
            ending=Ending.STOP if written.ended else Ending.LENGTH,
            tokens=len(written.tokens),
            prompt_tokens=len(written.prompt.tokens),
            seconds=written.seconds,
            first_token_seconds=written.first_token_seconds,
        )

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        for weighed, prompt in self._weigh(questions, stop_requested):
            yield weighed.key, _weighed_answer(weighed, prompt, choice_log_likelihoods=weighed.log_likelihoods)

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        for weighed, prompt in self._weigh(questions, stop_requested):
            (log_likelihood,) = weighed.log_likelihoods
            yield weighed.key, _weighed_answer(weighed, prompt, tokens=weighed.tokens, log_likelihood=log_likelihood)

    def _weigh(
        self, questions: Sequence[ChoiceQuestion | TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[Weighed, int]]:
        """With the tokens of the question alone."""
        lengths = {question.key: len(self._chat.prompt(question.messages)) for question in questions}
        weighables = [self._weighable(question) for question in questions]
        if not weighables or stop_requested():
            return
        with out_of_memory_reported("shorten the questions, or take a machine with more memory"):
            self._warm_up(weighables[0].texts[0].tokens)
            if self._packs:
                results = weigh(
                    PackedModel(self._speaker), weighables, longest_packed_text(self._config), stop_requested
                )
            else:
                results = weigh_static(self._speaker, weighables, stop_requested)
            for weighed in results:
                yield weighed, lengths[weighed.key]

    def _warm_up(self, tokens: Sequence[int]) -> None:
        """Load, and let libraries do once and unmeasured what they do at the first answer; no arm should pay for it."""
        self._speaker()
        if self._files in self._loaded.warm:
            return
        few = tuple(tokens[:_WARM_UP_TOKENS])
        for _ in self._write([Prompt("", few, 2, None)], lambda: False):
            pass
        self._loaded.warm.add(self._files)
        # Python's collector would look through all that was imported, for a third of a second, during the first answer.
        gc.collect()
        gc.freeze()

    def _speaker(self) -> PreTrainedModel:
        return self._loaded.speaking(self._files)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loaded.dismiss(self._files)


def _weighed_answer(weighed: Weighed, prompt_tokens: int, **measured: Any) -> Answer:
    if not all(map(math.isfinite, weighed.log_likelihoods)):
        return Answer(ending=Ending.FAILED, failure=_NO_NUMBER, seconds=weighed.seconds)
    return Answer(ending=Ending.STOP, prompt_tokens=prompt_tokens, seconds=weighed.seconds, **measured)
