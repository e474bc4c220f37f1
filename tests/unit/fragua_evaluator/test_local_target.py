"""Models that the evaluator loads itself: they say, and find likely, what transformers alone says and finds likely."""

from __future__ import annotations

import json
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from fragua_evaluator.domain.arm import Decoding, LocalModel, Message, Role
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.local import continuous, loaded, packed_model, weighing
from fragua_evaluator.scoring.targets.local.files import ModelFiles
from fragua_evaluator.scoring.targets.local.loaded import LoadedModels
from fragua_evaluator.scoring.targets.local.sampling import Sampler
from fragua_evaluator.scoring.targets.local.target import AnyQuestion, LocalTarget, open_local_model
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question, TextQuestion
from fragua_platform.errors import Corrupted, FraguaError, InvalidData, InvalidInput, LimitExceeded
from tests.tiny_families import FAMILIES, make_tiny_family
from tests.tiny_models import make_tiny_llama

NARROW_WINDOWS: dict[str, dict[str, Any]] = {"mistral": {"sliding_window": 24}, "phi3": {"sliding_window": 24}}
"""So that questions of these tests reach beyond them."""
CHOICES = ("A) sí", "B) no lo sé", "B) no", "C) El niño", "D) quizás mañana")
BASE = LocalModel(base="base")
TUNED = LocalModel(base="base", adapter="adapter")
MERGED = LocalModel(base="base", adapter="adapter", merged=True)


def asked(number: int) -> tuple[Message, ...]:
    return (
        Message(role=Role.SYSTEM, content="Responde en español."),
        Message(role=Role.USER, content=f"¿Cuál es el año {number}? " + "Di: niño, piña. " * (number % 4)),
    )


def questions(count: int = 7, max_new_tokens: int = 12, seed: int = 0) -> list[Question]:
    """Answers of different lengths, so that places in the batch become free one after the other."""
    return [
        Question(f"suite/{n}/0", "suite", str(n), 0, asked(n), max(1, max_new_tokens - 2 * n), seed)
        for n in range(count)
    ]


def choice_questions(count: int = 5) -> list[ChoiceQuestion]:
    return [ChoiceQuestion(f"suite/{n}", asked(n), CHOICES[: 2 + n % 4]) for n in range(count)]


def text_questions(count: int = 4) -> list[TextQuestion]:
    return [TextQuestion(f"suite/{n}", asked(n), "El niño comió piña. " * (n + 1) + "Fin") for n in range(count)]


def never() -> bool:
    return False


def make_adapter(base: Path, adapter: Path, seed: int = 0, **config: Any) -> None:
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "r": 4,
        "target_modules": ["q_proj", "o_proj", "up_proj"],
        "init_lora_weights": False,
    } | config
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    model.save_pretrained(str(adapter), save_embedding_layers=False)


def end_turns_often(base: Path) -> None:
    """A random model hardly ever says its one end of turn, so let a sixth of all tokens be one."""
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(3, 416, 6))}))


def opened(inputs: Path, model: LocalModel = BASE, decoding: Decoding | None = None) -> LocalTarget:
    return open_local_model(model, inputs, decoding or Decoding(), LoadedModels(threads=1))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base` and an `adapter` that changes what it says. Not to be changed."""
    folder = tmp_path_factory.mktemp("llama")
    make_tiny_llama(folder / "base", seed=1, strong=True)
    make_adapter(folder / "base", folder / "adapter")
    return folder


@pytest.fixture
def inputs(llama: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copytree(llama, tmp_path / "inputs"))


@pytest.fixture(scope="module", params=[*FAMILIES, "granite"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every architecture of the suite, and one that takes transformers' own way."""
    folder = tmp_path_factory.mktemp(request.param)
    make_tiny_family(request.param, folder / "base", **NARROW_WINDOWS.get(request.param, {}))
    end_turns_often(folder / "base")
    return folder


@pytest.fixture
def few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions must wait for a place, and short ones go together in several calls."""
    monkeypatch.setattr(continuous, "MAX_SLOTS", 3)
    monkeypatch.setattr(weighing, "_TOKENS_AT_ONCE", 200)


@pytest.fixture
def dirty_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory holds what its last owner left; here the worst of it."""

    def full_of_nan(like: torch.Tensor, *shape: Any) -> torch.Tensor:
        return like.new_full(shape if isinstance(shape[0], int) else shape[0], torch.nan)

    monkeypatch.setattr(torch.Tensor, "new_empty", full_of_nan)


class Transformers:
    """What transformers itself says: no batch, no padding, none of our code."""

    def __init__(self, base: Path, model: Any = None) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        self.model: Any = model or AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        named = GenerationConfig.from_pretrained(base).eos_token_id
        self.stops = [*(named if isinstance(named, list) else [named]), self.tokenizer.eos_token_id]
        self.model.generation_config = GenerationConfig(eos_token_id=self.stops, pad_token_id=0)

    def tokens(self, messages: Sequence[Message], after: str = "") -> list[int]:
        turns = [{"role": message.role.value, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text + after, add_special_tokens=False)["input_ids"]

    def answer(self, question: Question) -> tuple[str, int, Ending]:
        ids = self.tokens(question.messages)
        generated = self.model.generate(torch.tensor([ids]), max_new_tokens=question.max_new_tokens, do_sample=False)[
            0, len(ids) :
        ].tolist()
        ended = generated[-1] in self.stops
        said = generated[:-1] if ended else generated
        return self.tokenizer.decode(said), len(generated), Ending.STOP if ended else Ending.LENGTH

    @torch.inference_mode()
    def log_likelihood(self, messages: Sequence[Message], text: str, start: int | None = None) -> float:
        ids = self.tokens(messages, text)
        start = len(self.tokens(messages)) if start is None else start
        chances = functional.log_softmax(self.model(torch.tensor([ids])).logits[0].float(), -1)
        return sum(float(chances[place - 1, ids[place]]) for place in range(start, len(ids)))


def seen(answer: Answer) -> tuple[str, int, Ending]:
    return answer.text, answer.tokens, answer.ending


def test_answers_are_token_by_token_those_of_transformers(family: Path, few_slots: None, dirty_memory: None) -> None:
    reference = Transformers(family / "base")
    answers = dict(opened(family).generate(questions(), never))
    assert {key: seen(answer) for key, answer in answers.items()} == {
        question.key: reference.answer(question) for question in questions()
    }
    assert {answer.ending for answer in answers.values()} == {Ending.STOP, Ending.LENGTH}
    assert len({answer.text for answer in answers.values()}) > 2


def test_choices_are_as_likely_as_transformers_says(family: Path, few_slots: None) -> None:
    reference = Transformers(family / "base")
    answers = dict(opened(family).weigh_choices(choice_questions(), never))
    for question in choice_questions():
        # The line break before the answer counts for all choices alike; lm-evaluation-harness counts it, too.
        start = len(reference.tokens(question.messages)) - 1
        expected = [reference.log_likelihood(question.messages, choice, start) for choice in question.choices]
        assert answers[question.key].choice_log_likelihoods == pytest.approx(expected, abs=1e-4)


def test_expected_answers_are_as_likely_as_transformers_says(family: Path, few_slots: None) -> None:
    reference = Transformers(family / "base")
    answers = dict(opened(family).weigh_texts(text_questions(), never))
    for question in text_questions():
        ended = question.expected + "<|im_end|>"
        expected = reference.log_likelihood(question.messages, ended)
        assert answers[question.key].log_likelihood == pytest.approx(expected, abs=1e-4)
        spoken = reference.tokens(question.messages, ended)
        assert answers[question.key].tokens == len(spoken) - len(reference.tokens(question.messages))


def test_a_family_that_is_not_proven_takes_the_plain_way_and_says_so(family: Path) -> None:
    way = opened(family).identity.conditions["generation"]
    assert way.startswith("transformers' generate" if family.name.startswith("granite") else "continuous batching")


def test_long_rope_changes_beyond_its_context_as_in_transformers(tmp_path: Path) -> None:
    make_tiny_family("phi3-longrope", tmp_path / "base")
    reference = Transformers(tmp_path / "base")
    long = (Message(role=Role.USER, content="Di: niño, piña. " * 28),)
    short, crossing = asked(0), (Message(role=Role.USER, content="Di: niño, piña. " * 24),)
    asked_now = [Question(f"suite/{n}/0", "suite", str(n), 0, m, 6, 0) for n, m in enumerate((short, crossing, long))]
    lengths = [len(reference.tokens(question.messages)) for question in asked_now]
    assert lengths[0] < lengths[1] < 256 < lengths[2]
    answers = dict(opened(tmp_path).generate(asked_now, never))
    assert [seen(answers[q.key]) for q in asked_now] == [reference.answer(q) for q in asked_now]
    weighed = dict(opened(tmp_path).weigh_texts([TextQuestion(q.key, q.messages, "sí") for q in asked_now], never))
    for question in asked_now:
        expected = reference.log_likelihood(question.messages, "sí<|im_end|>")
        assert weighed[question.key].log_likelihood == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("way", ["packed", "plain"])
def test_a_sampled_answer_depends_on_its_question_and_seed_alone(
    llama: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "plain":
        monkeypatch.setattr(packed_model, "PROVEN_ARCHITECTURES", frozenset())
    warm = Decoding(temperature=1.5, top_p=0.9)

    def texts(asked_now: Sequence[Question]) -> dict[str, str]:
        return {key: answer.text for key, answer in opened(llama, decoding=warm).generate(asked_now, never)}

    together = texts(questions())
    assert together == texts(questions()[::-1]) == {k: v for q in questions() for k, v in texts([q]).items()}
    assert together != texts(questions(seed=1))
    assert together != {key: answer.text for key, answer in opened(llama).generate(questions(), never)}
    repeated = [Question(q.key, q.suite, q.item, q.repeat, asked(0), 9, 0) for q in questions()]
    assert len(set(texts(repeated).values())) > 1, "one seed must not give every item the same draws"


def test_draws_follow_the_probabilities_of_the_likeliest_tokens() -> None:
    question = questions(1)[0]
    logits = torch.log(torch.tensor([0.05, 0.5, 0.3, 0.15]))
    sampler = Sampler.of(question, Decoding(temperature=1.0, top_p=0.9))
    drawn = torch.bincount(torch.tensor([sampler.draw(logits) for _ in range(4_000)]), minlength=4) / 4_000
    assert drawn.tolist() == pytest.approx([0.0, 0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95], abs=0.03)


def test_base_adapter_and_merged_say_what_peft_says(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []
    load_base = loaded.load_base

    def counted(base: Path, *rest: Any) -> Any:
        loads.append(base)
        return load_base(base, *rest)

    monkeypatch.setattr(loaded, "load_base", counted)
    models = LoadedModels(threads=1)
    base, tuned = (open_local_model(model, llama, Decoding(), models) for model in (BASE, TUNED))
    turns = [dict(arm.generate(questions(), never)) for arm in (base, tuned, base, tuned)]
    assert len(loads) == 1, "the arms share one copy of the base"
    first, second, third, fourth = ({key: seen(answer) for key, answer in turn.items()} for turn in turns)
    reference = Transformers(llama / "base")
    assert first == third == {question.key: reference.answer(question) for question in questions()}
    with_adapter = PeftModel.from_pretrained(reference.model, str(llama / "adapter"))
    tuned_reference = Transformers(llama / "base", with_adapter.merge_and_unload())
    said_tuned = {question.key: tuned_reference.answer(question) for question in questions()}
    assert second == fourth == said_tuned != first
    merged = open_local_model(MERGED, llama, Decoding(), models)
    assert {key: seen(answer) for key, answer in merged.generate(questions(), never)} == said_tuned
    assert {key: seen(answer) for key, answer in base.generate(questions(), never)} == first


def test_two_adapters_of_one_base_do_not_mix(llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
    make_adapter(tmp_path / "base", tmp_path / "other", seed=5, target_modules=["v_proj"], r=2)
    models = LoadedModels(threads=1)
    other = LocalModel(base="base", adapter="other")
    arms = {model: open_local_model(model, tmp_path, Decoding(), models) for model in (BASE, TUNED, other)}
    together = {model: dict(arm.weigh_choices(choice_questions(), never)) for model, arm in arms.items()}
    assert len({str(answers["suite/0"].choice_log_likelihoods) for answers in together.values()}) == 3
    for model, answers in together.items():
        alone = dict(opened(tmp_path, model).weigh_choices(choice_questions(), never))
        for key, answer in answers.items():
            assert answer.choice_log_likelihoods == alone[key].choice_log_likelihoods


def test_a_base_is_freed_when_no_open_target_wants_it(llama: Path) -> None:
    models = LoadedModels(threads=1)
    base, tuned = (open_local_model(model, llama, Decoding(), models) for model in (BASE, TUNED))
    list(base.generate(questions(1), never))
    held = models.speaking(ModelFiles(llama / "base", None, merged=False))
    base.close()
    base.close()
    models.free_unused()
    assert models.speaking(ModelFiles(llama / "base", None, merged=False)) is held
    tuned.close()
    models.free_unused()
    assert models.speaking(ModelFiles(llama / "base", None, merged=False)) is not held


@pytest.mark.parametrize("model", [BASE, TUNED, MERGED])
def test_nothing_is_left_of_a_model_that_has_made_room(llama: Path, model: LocalModel) -> None:
    models = LoadedModels(threads=1)
    arm = open_local_model(model, llama, Decoding(), models)
    list(arm.generate(questions(2), never))
    spoke = weakref.ref(arm._speaker())
    models.close()
    assert spoke() is None


def stop_after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("way", ["packed", "plain"])
def test_a_stop_request_is_seen_between_tokens(llama: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "plain":
        monkeypatch.setattr(packed_model, "PROVEN_ARCHITECTURES", frozenset())
    monkeypatch.setattr(weighing, "_TOKENS_AT_ONCE", 1)
    arm = opened(llama)
    every = {question.key for question in questions()}
    for calls in (0, 1, 9):
        assert {key for key, _ in arm.generate(questions(max_new_tokens=40), stop_after(calls))} < every
        assert len(list(arm.weigh_choices(choice_questions(), stop_after(calls)))) < 5
        assert len(list(arm.weigh_texts(text_questions(), stop_after(min(calls, 3))))) < 4
    before = dict(arm.generate(questions(), never))
    some = dict(arm.generate(questions(), stop_after(10)))
    assert 0 < len(some) < 7 if way == "packed" else not some
    assert {key: seen(answer) for key, answer in some.items()}.items() <= {
        k: seen(a) for k, a in before.items()
    }.items()


def test_times_of_the_answers_add_up_to_the_time_that_passed(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    arm = opened(llama)
    list(arm.generate(questions(1), never))  # warms up
    started = next(clock)
    answers = dict(arm.generate(questions(), never)).values()
    steps = (next(clock) - started) // 2  # the clock is read twice in a step, which takes one second of it
    assert sum(answer.seconds for answer in answers) == pytest.approx(steps)
    assert {answer.first_token_seconds for answer in answers} == {1.0}
    assert all(answer.prompt_tokens for answer in answers)


def test_questions_without_room_are_refused_together_and_by_name(llama: Path) -> None:
    arm = opened(llama)
    arm.refuse_unfit([*questions(), *choice_questions(), *text_questions()])
    long = (Message(role=Role.USER, content="Di: niño, piña. " * 60),)
    unfit: list[AnyQuestion] = [
        Question("suite/long", "suite", "long", 0, asked(0), 500, 0),
        TextQuestion("suite/text", long, "sí"),
    ]
    with pytest.raises(
        InvalidData, match=r"suite/long takes .* tokens and 500 for its answer; the model has 512"
    ) as refused:
        arm.refuse_unfit([*questions(), *unfit])
    assert refused.value.reason == "PROMPT_TOO_LONG"
    assert [violation.field for violation in refused.value.violations] == ["suite/long", "suite/text"]


def test_questions_that_the_template_refuses_are_told_by_name(inputs: Path) -> None:
    template = inputs / "base/chat_template.jinja"
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    template.write_text(refusal + template.read_text())
    with pytest.raises(InvalidData, match="no system turn") as refused:
        opened(inputs).refuse_unfit(questions(2))
    assert [violation.field for violation in refused.value.violations] == ["suite/0/0", "suite/1/0"]


def test_an_empty_choice_is_refused(llama: Path) -> None:
    question = ChoiceQuestion("suite/empty", asked(0), ("A) sí", " "))
    with pytest.raises(InvalidData, match="suite/empty: choice 2 is empty") as refused:
        opened(llama).refuse_unfit([question])
    assert refused.value.reason == "EMPTY_CHOICE"


@pytest.mark.parametrize("way", ["packed", "plain"])
def test_a_model_that_computes_no_numbers_fails_and_gets_no_score(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "plain":
        monkeypatch.setattr(packed_model, "PROVEN_ARCHITECTURES", frozenset())
    file = inputs / "base/model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, file, {"format": "pt"})
    arm = opened(inputs)
    answers = [
        *arm.generate(questions(2), never),
        *arm.weigh_choices(choice_questions(2), never),
        *arm.weigh_texts(text_questions(2), never),
    ]
    assert [answer.ending for _, answer in answers] == [Ending.FAILED] * 6
    assert all(answer.failure.startswith("NOT_A_NUMBER: ") for _, answer in answers)


def test_running_out_of_memory_names_the_way_out(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(packed_model.PackedModel, "hidden", allocate)
    with pytest.raises(LimitExceeded, match="lower max_new_tokens") as refused:
        list(opened(llama).generate(questions(1), never))
    assert refused.value.reason == "OUT_OF_MEMORY"


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_large_bases_speak_in_the_type_that_they_are_stored_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_tiny_family(name, tmp_path / "base")
    make_adapter(tmp_path / "base", tmp_path / "adapter")
    AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.bfloat16).save_pretrained(tmp_path / "base")
    exact = dict(opened(tmp_path, TUNED).weigh_texts(text_questions(), never))
    monkeypatch.setattr(loaded, "_SMALL_BASE_BYTES", 0)
    for model in (TUNED, MERGED):
        arm = opened(tmp_path, model)
        assert arm.identity.conditions["weights_type"] == "bfloat16"
        for key, answer in arm.weigh_texts(text_questions(), never):
            assert answer.log_likelihood == pytest.approx(exact[key].log_likelihood, rel=0.03)
        answers = dict(arm.generate(questions(), never))
        assert len(answers) == 7 and all(answer.text for answer in answers.values())


def test_long_contexts_get_fewer_places_at_a_time() -> None:
    sizes: Any = type("Sizes", (), {"num_hidden_layers": 28, "num_key_value_heads": 8, "head_dim": 128})
    per_token = 2 * 28 * 8 * 128 * 2
    for room in (100, 1_000, 8_000, 200_000):
        slots = continuous.slots_for(room, sizes, bytes_per_number=2)
        assert slots == 1 or slots * room * per_token <= continuous.KEY_VALUE_BYTES
    assert continuous.slots_for(100, sizes, 2) == continuous.MAX_SLOTS


def test_long_and_short_questions_are_all_answered_where_few_fit_at_a_time(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {key: seen(answer) for key, answer in opened(llama).generate(questions(), never)}
    monkeypatch.setattr(continuous, "KEY_VALUE_BYTES", 60_000)
    assert {key: seen(answer) for key, answer in opened(llama).generate(questions(), never)} == whole


def test_tokens_that_mark_roles_stay_visible_in_an_answer(llama: Path) -> None:
    chat = opened(llama)._chat
    assert "<|im_start|>" in chat.read(chat._encode("Es Roma.<|im_start|>user\n¿Y Madrid?"))


def test_templates_print_the_same_date_every_day(inputs: Path) -> None:
    template = inputs / "base/chat_template.jinja"
    asks_the_clock = "{{ 'Today: ' + strftime_now('%d %b %Y') + '\n' }}"
    asks_the_caller = "{{ 'Today: ' + (date_string if date_string is defined else strftime_now('%d %b %Y')) + '\n' }}"
    turns = template.read_text()
    for date in (asks_the_clock, asks_the_caller):
        template.write_text(date + turns)
        chat = opened(inputs)._chat
        assert chat.read(chat.prompt(asked(0))).startswith("Today: 26 Jul 2024\n")
        assert opened(inputs).identity.conditions["template_date"] == "26 Jul 2024"
    assert "template_date" not in opened_with(inputs, turns).identity.conditions


def opened_with(inputs: Path, template: str) -> LocalTarget:
    (inputs / "base/chat_template.jinja").write_text(template)
    return opened(inputs)


def test_templates_are_told_apart_by_what_they_write_and_not_by_how_they_are_written(inputs: Path) -> None:
    def digest(template: str) -> object:
        return opened_with(inputs, template).identity.conditions["template_digest"]

    turns = (inputs / "base/chat_template.jinja").read_text()
    assert digest("{# exported #}" + turns) == digest(turns)
    assert digest(turns + " ") != digest(turns)
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    assert digest(refuses + turns) != digest(turns)


def test_arms_of_one_family_get_the_same_prompt_and_other_prompts_differ(llama: Path) -> None:
    base, tuned = opened(llama), opened(llama, TUNED)
    every: list[AnyQuestion] = [*questions(), *choice_questions(), *text_questions()]
    for question in every:
        assert base.prompt_digest(question) == tuned.prompt_digest(question)
    assert len({base.prompt_digest(question) for question in every}) == len(every)


def test_the_digest_changes_with_whatever_may_change_an_answer_and_with_nothing_else(inputs: Path) -> None:
    def digest(model: LocalModel = TUNED) -> str:
        return opened(inputs, model).identity.digest

    untouched = digest()
    assert len({untouched, digest(BASE), digest(MERGED)}) == 3
    (inputs / "base/README.md").write_text("About this model.")
    assert digest() == untouched
    for file in ("base/model.safetensors", "adapter/adapter_model.safetensors"):
        whole = (inputs / file).read_bytes()
        (inputs / file).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert digest() != untouched
        (inputs / file).write_bytes(whole)
    for file, change in (("base/chat_template.jinja", "{# #}"), ("base/tokenizer_config.json", " ")):
        whole_text = (inputs / file).read_text()
        (inputs / file).write_text(whole_text + change)
        assert digest() != untouched
        (inputs / file).write_text(whole_text)
    assert digest() == untouched


def without_chat_template(inputs: Path) -> None:
    (inputs / "base/chat_template.jinja").unlink()


def with_the_adapter_of_a_wider_base(inputs: Path) -> None:
    make_tiny_llama(inputs / "wide", seed=0, hidden=128)
    shutil.rmtree(inputs / "adapter")
    make_adapter(inputs / "wide", inputs / "adapter")


def with_the_adapter_of_a_deeper_base(inputs: Path) -> None:
    make_tiny_llama(inputs / "deep", seed=0, layers=3)
    shutil.rmtree(inputs / "adapter")
    make_adapter(inputs / "deep", inputs / "adapter")


def with_adapter_settings(**settings: Any) -> Callable[[Path], None]:
    def spoil(inputs: Path) -> None:
        config = inputs / "adapter/adapter_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | settings))

    return spoil


def without_adapter_weights(inputs: Path) -> None:
    (inputs / "adapter/adapter_model.safetensors").unlink()


def with_an_adapter_config_that_is_no_json(inputs: Path) -> None:
    (inputs / "adapter/adapter_config.json").write_text("{")


def cut_short(file: str) -> Callable[[Path], None]:
    def spoil(inputs: Path) -> None:
        (inputs / file).write_bytes((inputs / file).read_bytes()[:-100])

    return spoil


def with_a_config_that_is_no_json(inputs: Path) -> None:
    (inputs / "base/config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "error", "complaint"),
    [
        (without_chat_template, InvalidInput, "no chat template"),
        (with_a_config_that_is_no_json, InvalidInput, "config.json of base cannot be read"),
        (cut_short("base/model.safetensors"), Corrupted, "base/model.safetensors is damaged"),
        (cut_short("adapter/adapter_model.safetensors"), Corrupted, "adapter_model.safetensors is damaged"),
        (
            with_the_adapter_of_a_wider_base,
            InvalidInput,
            "the adapter is for another base: .*up_proj.lora_A.*4×128.*4×64",
        ),
        (with_the_adapter_of_a_deeper_base, InvalidInput, "the adapter is for another base: .*layers.2.*absent"),
        (
            with_adapter_settings(target_modules=["qkv_proj"]),
            InvalidInput,
            "the adapter is for another base: .*qkv_proj",
        ),
        (with_adapter_settings(bias="lora_only"), InvalidInput, "biases"),
        (with_adapter_settings(init_lora_weights="pissa"), InvalidInput, "changes the base itself"),
        (with_adapter_settings(alora_invocation_tokens=[1]), InvalidInput, "aLoRA"),
        (with_an_adapter_config_that_is_no_json, InvalidInput, "adapter_config.json cannot be read"),
        (without_adapter_weights, InvalidInput, "no adapter_model.safetensors"),
    ],
)
def test_files_that_do_not_go_together_are_refused_before_anything_is_loaded(
    inputs: Path, spoil: Callable[[Path], None], error: type[FraguaError], complaint: str
) -> None:
    spoil(inputs)
    with pytest.raises(error, match=f"(?s){complaint}"):
        opened(inputs, TUNED)


def test_a_base_that_lacks_weights_is_refused_before_its_first_answer(inputs: Path) -> None:
    file = inputs / "base/model.safetensors"
    weights = load_file(file)
    save_file({name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name}, file, {"format": "pt"})
    with pytest.raises(InvalidInput, match=r"lacks 3 of its weights, such as model\.layers\.1\.mlp"):
        list(opened(inputs).generate(questions(1), never))


def test_a_tokenizer_of_another_base_is_refused(inputs: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(inputs / "base")
    tokenizer.add_tokens(["niño"])
    tokenizer.save_pretrained(inputs / "base")
    with pytest.raises(InvalidInput, match="this tokenizer belongs to another model"):
        opened(inputs).refuse_unfit(questions())


def test_merging_needs_an_adapter(llama: Path) -> None:
    with pytest.raises(InvalidInput, match="needs an adapter to merge"):
        opened(llama, LocalModel(base="base", merged=True))


def test_sampling_and_penalties_of_the_base_do_not_reach_the_answers(inputs: Path) -> None:
    greedy = {key: seen(answer) for key, answer in opened(inputs).generate(questions(), never)}
    config = inputs / "base/generation_config.json"
    config.write_text(json.dumps({"do_sample": True, "temperature": 2.0, "repetition_penalty": 5.0, "top_k": 50}))
    assert {key: seen(answer) for key, answer in opened(inputs).generate(questions(), never)} == greedy


def test_nothing_is_asked_of_no_questions(llama: Path) -> None:
    arm = opened(llama)

    def everything() -> Iterator[Any]:
        yield from arm.generate([], never)
        yield from arm.weigh_choices([], never)
        yield from arm.weigh_texts([], never)

    assert list(everything()) == []
