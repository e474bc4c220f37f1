"""A GGUF file as an arm: llama.cpp says and weighs what transformers says and weighs of the same model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gguf
import pytest
import torch
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragua_evaluator.domain.arm import ArmSpec, Decoding, GgufModel, Limits, Message, Role
from fragua_evaluator.domain.report import Ending
from fragua_evaluator.scoring.targets import gguf as gguf_target
from fragua_evaluator.scoring.targets.gguf import GgufTarget
from fragua_evaluator.scoring.targets.gguf_context import open_context
from fragua_evaluator.scoring.targets.local.chat import Chat
from fragua_evaluator.scoring.targets.opening import open_target
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question, TextQuestion
from fragua_exporter.conversion.local import DONE, make_gguf
from fragua_platform.errors import InvalidData, InvalidInput
from fragua_platform.jobs.engine import THREADS_VARIABLE
from tests.tiny_families import make_tiny_family
from tests.tiny_models import make_tiny_llama

if TYPE_CHECKING:
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels

QUESTIONS = (
    "¿Cuál es la capital de España?",
    "What is two plus two?",
    "¿Qué comió el niño pequeño mañana, si la cigüeña voló según el año?" * 2,
    "x += 12",
    "A quick brown fox",
    "Ana",
    "¿Y el año que viene?",
    "return value",
    "place is answer is",
    "¿Cómo se llama?",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base"), seed=5, strong=True)


@pytest.fixture(scope="module")
def file(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gguf") / "tutor.gguf"
    assert make_gguf([str(base), "--out", str(out), "--quant", "f32", "--no-verify"]) == DONE
    return out


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two would wait for each other whenever something else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv(THREADS_VARIABLE, "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture
def target(file: Path) -> Iterator[GgufTarget]:
    opened = open_file(file)
    yield opened
    opened.close()


def open_file(file: Path, decoding: Decoding | None = None, limits: Limits | None = None) -> GgufTarget:
    return GgufTarget(GgufModel(file=file.name), file.parent, decoding or Decoding(), limits or Limits())


def question(text: str, *, tokens: int = 24, seed: int = 0, system: str = "Eres un señor.") -> Question:
    return Question(f"suite/{text}/{seed}", "suite", text, seed, asked(text, system), tokens, seed)


def asked(text: str, system: str = "Eres un señor.") -> tuple[Message, ...]:
    return Message(role=Role.SYSTEM, content=system), Message(role=Role.USER, content=text)


def never() -> bool:
    return False


class Transformers:
    """The same model in the library that trained it."""

    def __init__(self, base: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        self.model: Any = AutoModelForCausalLM.from_pretrained(base).eval()

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": message.role.value, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def greedy(self, messages: Sequence[Message], tokens: int) -> str:
        prompt = self.prompt(messages)
        with torch.inference_mode():
            [ids] = self.model.generate(torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False).tolist()
        said = ids[len(prompt) :]
        end = self.tokenizer.eos_token_id
        text: str = self.tokenizer.decode(said[:-1] if said[-1] == end else said)
        return text

    def log_likelihood(self, messages: Sequence[Message], text: str, *, ends: bool) -> float:
        """Of what lm-evaluation-harness weighs: the white space before an answer is part of it, unless it ends."""
        prompt = self.prompt(messages)
        answer = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        answer += [self.tokenizer.eos_token_id] if ends else []
        ids = prompt + answer
        assert self.tokenizer.decode(prompt[-1:]) == "\n"
        first = len(prompt) if ends else len(prompt) - 1
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        return float(sum(logits[place - 1, ids[place]] for place in range(first, len(ids))))


@pytest.fixture(scope="module")
def reference(base: Path) -> Transformers:
    return Transformers(base)


# R92, R159
def test_greedy_answers_are_those_of_transformers_however_many_stand_side_by_side(
    target: GgufTarget, reference: Transformers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In 16 bits, keys and values decide near ties of a random model otherwise.
    monkeypatch.setattr(gguf_target, "open_context", partial(open_context, exact=True))
    questions = [question(text, tokens=4 + 3 * number) for number, text in enumerate(QUESTIONS)]
    answers = dict(target.generate(questions, never))
    assert len(answers) == len(questions)
    for each in questions:
        answer = answers[each.key]
        assert answer.text == reference.greedy(each.messages, each.max_new_tokens)
        assert answer.prompt_tokens == len(reference.prompt(each.messages))
        assert (answer.ending is Ending.LENGTH) == (answer.tokens == each.max_new_tokens)
        assert answer.first_token_seconds is not None
        assert 0 < answer.first_token_seconds <= answer.seconds


def test_choices_weigh_what_they_weigh_in_transformers(target: GgufTarget, reference: Transformers) -> None:
    choices = ("A) Madrid", "B) París, según el año", "C) 7", "D) El niño comió piña mañana. El niño comió piña.")
    questions = [ChoiceQuestion(text, asked(text), choices[: 2 + number % 3]) for number, text in enumerate(QUESTIONS)]
    for each, (key, answer) in zip(questions, target.weigh_choices(questions, never), strict=True):
        assert key == each.key
        expected = [reference.log_likelihood(each.messages, choice, ends=False) for choice in each.choices]
        assert answer.choice_log_likelihoods == pytest.approx(expected, abs=2e-3)


def test_a_long_list_of_choices_is_weighed_in_parts(target: GgufTarget, reference: Transformers) -> None:
    choices = tuple(f"{number}) año {number}" for number in range(70))
    [(_, answer)] = target.weigh_choices([ChoiceQuestion("q", asked("¿Cuál?"), choices)], never)
    assert answer.choice_log_likelihoods is not None and len(answer.choice_log_likelihoods) == len(choices)
    edges = (0, 31, 32, 63, 64, 69)
    expected = [reference.log_likelihood(asked("¿Cuál?"), choices[edge], ends=False) for edge in edges]
    assert [answer.choice_log_likelihoods[edge] for edge in edges] == pytest.approx(expected, abs=2e-3)


def test_expected_answers_weigh_what_they_weigh_in_transformers(target: GgufTarget, reference: Transformers) -> None:
    texts = {text: f"La respuesta, señor, es: {text}" for text in QUESTIONS}
    questions = [TextQuestion(text, asked(text), expected) for text, expected in texts.items()]
    for each, (_, answer) in zip(questions, target.weigh_texts(questions, never), strict=True):
        assert answer.tokens == len(reference.tokenizer(each.expected, add_special_tokens=False)["input_ids"]) + 1
        expected = reference.log_likelihood(each.messages, each.expected, ends=True)
        assert answer.log_likelihood == pytest.approx(expected, abs=2e-3)


def test_local_attention_does_not_come_between_choices_and_their_question(tmp_path: Path) -> None:
    make_tiny_family("gemma3", tmp_path / "base")
    assert (
        make_gguf([str(tmp_path / "base"), "--out", str(tmp_path / "m.gguf"), "--quant", "f32", "--no-verify"]) == DONE
    )
    reference, target = Transformers(tmp_path / "base"), open_file(tmp_path / "m.gguf")
    messages, choices = asked("¿Qué comió el niño pequeño mañana?" * 4), ("A) piña", "B) El niño comió piña", "C) 7")
    [(_, answer)] = target.weigh_choices([ChoiceQuestion("k", messages, choices)], never)
    target.close()
    expected = [reference.log_likelihood(messages, choice, ends=False) for choice in choices]
    # llama.cpp looks the gelu function up in a table of 16 bits.
    assert answer.choice_log_likelihoods == pytest.approx(expected, abs=0.1)


def test_sampling_depends_on_the_question_and_the_seed_alone(file: Path) -> None:
    hot = open_file(file, Decoding(temperature=1.0, top_p=0.9))
    many = [question(text) for text in QUESTIONS]
    first = {key: answer.text for key, answer in hot.generate(many, never)}
    again = {key: answer.text for key, answer in hot.generate(many[:3][::-1], never)}
    other = {key: answer.text for key, answer in hot.generate([question(QUESTIONS[0], seed=1)], never)}
    hot.close()
    assert again == {each.key: first[each.key] for each in many[:3]}
    assert first[many[0].key] not in other.values()


# --- the template in the file

DATED = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ bos_token }}{% for m in messages %}{% if loop.first %}[{{ date_string }}]{% endif %}{{ m.role }}: {{ m.content | trim }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
CLOCK = "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
TAGGED = (
    "{%- for m in messages %}\n    {%- if loop.index > 99 %}{% break %}{% endif %}\n<|im_start|>{{ m['role'] }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}"
    "{{ m.content }}<|im_end|>{% endif %}\n{%- endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    "{{ {'ñ': [1, true]} | tojson }}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
)


def with_template(file: Path, template: str | None, directory: Path) -> Path:
    """The same model with another chat template, or without any."""
    key = gguf.Keys.Tokenizer.CHAT_TEMPLATE
    reader = gguf.GGUFReader(file)
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    copy = directory / "copy.gguf"
    writer = gguf.GGUFWriter(copy, architecture)
    new = {} if template is None else {key: MetadataDetails(gguf.GGUFValueType.STRING, template)}
    copy_with_new_metadata(reader, writer, new, [key])
    return copy


@pytest.mark.parametrize("template", [DATED, CLOCK, TAGGED])
def test_templates_print_what_they_print_in_transformers(
    file: Path, reference: Transformers, tmp_path: Path, template: str
) -> None:
    opened = open_file(with_template(file, template, tmp_path))
    for messages in (asked("  ¿Qué año es?\n"), (*asked("a"), Message(role=Role.ASSISTANT, content="b"), *asked("c"))):
        text = reference.tokenizer.apply_chat_template(
            [{"role": m.role.value, "content": m.content} for m in messages],
            chat_template=template.replace("strftime_now('%Y-%m-%d')", "'2024-07-26'"),
            tokenize=False,
            add_generation_prompt=True,
            date_string="26 Jul 2024",
        )
        ids = reference.tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()
        assert opened.prompt_digest(Question("k", "s", "i", 0, messages, 8, 0)) == expected
    tokenizer = copy(reference.tokenizer)
    tokenizer.chat_template = template
    in_transformers = Chat(tokenizer, (), 0).template_digest
    assert opened.identity.conditions["template_digest"] == in_transformers, "it is the same template"
    opened.close()


def test_a_file_without_template_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no chat template") as refused:
        open_file(with_template(file, None, tmp_path))
    assert refused.value.reason == "UNSUPPORTED_CHAT_TEMPLATE"


@pytest.mark.parametrize(
    "template",
    [
        "{% for",
        "{{ raise_exception('never') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for a in range(100000000) %}x{% endfor %}",
        "{{ messages[7].content.nothing }}",
    ],
)
def test_a_template_that_cannot_print_a_question_is_refused(file: Path, tmp_path: Path, template: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_file(with_template(file, template, tmp_path))
    assert refused.value.reason == "UNSUPPORTED_CHAT_TEMPLATE"


def test_questions_that_the_template_refuses_are_named_before_any_is_asked(file: Path, tmp_path: Path) -> None:
    opened = open_file(with_template(file, NO_SYSTEM, tmp_path))
    bare = Question("bare", "s", "i", 0, asked("¿Qué?")[1:], 8, 0)
    with pytest.raises(InvalidData, match="System role not supported") as refused:
        opened.refuse_unfit([bare, question("Ana"), question("Eva")])
    opened.close()
    assert [violation.field for violation in refused.value.violations] == [question("Ana").key, question("Eva").key]


# --- limits


def test_a_stop_request_ends_between_two_tokens(target: GgufTarget) -> None:
    looks = iter([False] * 12)
    answers = list(target.generate([question(text, tokens=200) for text in QUESTIONS], lambda: next(looks, True)))
    assert len(answers) < len(QUESTIONS)


def test_questions_that_do_not_fit_are_named_before_any_is_asked(target: GgufTarget) -> None:
    long = "año " * 300
    asked_for: list[Question | TextQuestion] = [
        question("corta"),
        question(long),
        question("Ana", tokens=510),
        TextQuestion("t", asked("Ana"), long),
    ]
    with pytest.raises(InvalidData) as refused:
        target.refuse_unfit(asked_for)
    assert refused.value.reason == "PROMPT_TOO_LONG"
    assert [violation.field for violation in refused.value.violations] == [each.key for each in asked_for[1:]]
    target.refuse_unfit(asked_for[:1])


def test_an_answer_above_the_limit_is_a_failed_item(file: Path) -> None:
    hot = open_file(file, Decoding(temperature=2.0), Limits(max_output_bytes=1024))
    answers = [answer for _, answer in hot.generate([question(str(n), tokens=470) for n in range(4)], never)]
    hot.close()
    failed = [answer for answer in answers if answer.ending is Ending.FAILED]
    assert failed, "no random answer was long"
    assert {answer.failure for answer in failed} == {"OUTPUT_TOO_LARGE: answers with more than max_output_bytes = 1024"}
    assert all(len(answer.text.encode()) <= 1024 for answer in answers)


def test_what_holds_for_the_file_is_known_before_it_answers(target: GgufTarget, file: Path) -> None:
    identity = target.identity
    assert identity.cacheable and not identity.remote
    assert len(identity.digest) == 64 and str(file.parent) not in repr(identity)
    assert identity.conditions["context_length"] == 512
    assert identity.conditions["weights_type"] == "all F32" and identity.model == "tutor.gguf (llama all F32)"
    assert identity.conditions["stop_tokens"] == ["<|im_end|>"]
    same = question("Ana")
    assert target.prompt_digest(same) == target.prompt_digest(same)
    assert target.prompt_digest(same) != target.prompt_digest(question("Ana", system="Eres otro."))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 400, b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(InvalidInput):
        open_file(tmp_path / "m.gguf")


def test_half_a_file_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "half.gguf").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InvalidInput, match="damaged"):
        open_file(tmp_path / "half.gguf")


def test_an_arm_that_names_a_file_is_opened_as_one(file: Path) -> None:
    arm = ArmSpec(name="exported", target=GgufModel(file=file.name))
    opened = open_target(arm, file.parent, Decoding(), Limits(), cast("LoadedModels", None))
    assert isinstance(opened, GgufTarget)
    opened.close()


def test_nothing_is_left_behind_when_it_closes(file: Path) -> None:
    for _ in range(3):
        opened = open_file(file)
        assert math.isfinite(next(opened.weigh_texts([TextQuestion("t", asked("Ana"), "sí")], never))[1].seconds)
        opened.close()
        opened.close()
