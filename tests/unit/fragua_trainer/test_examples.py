"""What of a conversation is learned, and which rows are refused before anything is computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_platform.errors import FailureClass, InvalidData
from fragua_trainer.training.batch import IGNORED, Example, collate
from fragua_trainer.training.chat_text import date_notice
from fragua_trainer.training.examples import VIOLATIONS_SHOWN, ChatFormat, Dataset, load_examples
from tests.tiny_models import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
END_OF_TURN = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
QUESTION = {"role": "user", "content": "¿Cuál es la capital de España?"}
ANSWER = {"role": "assistant", "content": "La capital de España es Madrid."}


def chat_format(**changes: Any) -> ChatFormat:
    fields: dict[str, Any] = {
        "tokenizer": TOKENIZER,
        "end_of_turn": frozenset({END_OF_TURN}),
        "vocabulary_size": len(TOKENIZER),
        "max_length": 128,
        "limit_name": "schedule.max_length",
    }
    return ChatFormat(**fields | changes)


def ignore(_progress: str) -> None: ...


def write_dataset(directory: Path, *train: Any, validation: tuple[Any, ...] = ()) -> Path:
    for name, rows in (("train", train), ("validation", validation)):
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (directory / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
    return directory


def row(*messages: dict[str, str]) -> dict[str, Any]:
    return {"id": "0123456789abcdef", "messages": list(messages), "metadata": {}}


def load(directory: Path, *messages: dict[str, str], **changes: Any) -> Dataset:
    return load_examples(write_dataset(directory, row(*messages)), chat_format(**changes), ignore)


def supervised_text(example: Example) -> str:
    return str(TOKENIZER.decode([label for label in example.labels if label != IGNORED]))


def test_the_answer_and_its_end_are_learned_and_the_prompt_is_not(tmp_path: Path) -> None:
    (example,) = load(tmp_path, {"role": "system", "content": "Sé breve."}, QUESTION, ANSWER).train.examples

    assert supervised_text(example) == "La capital de España es Madrid.<|im_end|>"
    assert all(label in (IGNORED, token) for label, token in zip(example.labels, example.tokens, strict=True))


def test_every_assistant_turn_is_learned(tmp_path: Path) -> None:
    more = ({"role": "user", "content": "¿Y de Francia?"}, {"role": "assistant", "content": "París."})
    (example,) = load(tmp_path, QUESTION, ANSWER, *more).train.examples

    assert supervised_text(example) == "La capital de España es Madrid.<|im_end|>París.<|im_end|>"


def test_a_template_without_generation_marks_is_learned_the_same_way(tmp_path: Path) -> None:
    plain = make_tiny_tokenizer()
    plain.chat_template = plain.chat_template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    (example,) = load(tmp_path, QUESTION, ANSWER, tokenizer=plain).train.examples

    assert supervised_text(example) == "La capital de España es Madrid.<|im_end|>"


LLAMA_DATE = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}'
    "{%- endif %}{{- 'Today Date: ' + date_string + '\n\n' }}"
)
OTHER_DATE = "{{- 'Hoy es ' + strftime_now('%d %b %Y') + '\n\n' }}"


@pytest.mark.parametrize("prints_date", [LLAMA_DATE, OTHER_DATE])
def test_a_template_that_prints_the_date_prints_the_same_one_every_day(tmp_path: Path, prints_date: str) -> None:
    dated = make_tiny_tokenizer()
    dated.chat_template = prints_date + dated.chat_template
    (example,) = load(tmp_path, QUESTION, ANSWER, tokenizer=dated).train.examples

    assert "26 Jul 2024\n\n<|im_start|>user" in str(dated.decode(example.tokens))
    assert supervised_text(example) == "La capital de España es Madrid.<|im_end|>"
    assert "26 Jul 2024" in (date_notice(dated.chat_template))


def test_a_template_without_a_date_is_no_news() -> None:
    assert date_notice(TOKENIZER.chat_template) == ""


# R186
def test_the_end_of_turn_keeps_its_label_where_padding_has_the_same_id(tmp_path: Path) -> None:
    padded_with_eos = make_tiny_tokenizer()
    padded_with_eos.pad_token = padded_with_eos.eos_token
    long = row(QUESTION, ANSWER)
    short = row(QUESTION, {"role": "assistant", "content": "Madrid."})
    dataset = load_examples(write_dataset(tmp_path, long, short), chat_format(tokenizer=padded_with_eos), ignore)

    batch = collate(dataset.train.examples)

    assert batch.labels.tolist()[0].count(END_OF_TURN) == batch.labels.tolist()[1].count(END_OF_TURN) == 1
    assert set(batch.labels[batch.attention_mask == 0].tolist()) == {IGNORED}


# R111
def test_every_unusable_line_of_both_splits_is_named(tmp_path: Path) -> None:
    directory = write_dataset(
        tmp_path,
        row(QUESTION, ANSWER),
        "{not json",
        row({"role": "bot", "content": "hola"}),
        row(QUESTION),
        row(QUESTION, {"role": "assistant", "content": "  "}),
        row(QUESTION, {"role": "assistant", "content": "palabra " * 200}),
        row({"role": "user", "content": "fin<|im_end|>"}, ANSWER),
        validation=(row(),),
    )

    with pytest.raises(InvalidData) as refused:
        load_examples(directory, chat_format(), ignore)

    described = {violation.field: violation.description for violation in refused.value.violations}
    assert list(described) == [
        "train.jsonl line 2",
        "train.jsonl line 3, messages[0].role",
        "train.jsonl line 4, messages",
        "train.jsonl line 5, messages[1].content",
        "train.jsonl line 6",
        "train.jsonl line 7, messages[0].content",
        "validation.jsonl line 1, messages",
    ]
    assert "schedule.max_length = 128" in described["train.jsonl line 6"]
    assert refused.value.failure_class is FailureClass.USER_DATA


def test_a_flood_of_problems_is_counted_and_only_its_start_is_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="300 rows cannot be trained on") as refused:
        load_examples(write_dataset(tmp_path, *["?"] * 300), chat_format(), ignore)

    assert len(refused.value.violations) == VIOLATIONS_SHOWN


def test_a_template_that_never_ends_the_turn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="never stop"):
        load(tmp_path, QUESTION, ANSWER, end_of_turn=frozenset({0}))


def test_what_the_template_itself_refuses_is_a_problem_of_the_row(tmp_path: Path) -> None:
    strict = make_tiny_tokenizer()
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"

    with pytest.raises(InvalidData, match="roles must alternate"):
        load(tmp_path, QUESTION, ANSWER, tokenizer=strict)


def test_a_token_without_an_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="this tokenizer belongs to another model"):
        load(tmp_path, QUESTION, ANSWER, vocabulary_size=50)


def test_an_empty_training_split_is_refused_and_an_empty_validation_split_is_not(tmp_path: Path) -> None:
    assert len(load(tmp_path, QUESTION, ANSWER).validation) == 0

    with pytest.raises(InvalidData, match="nothing to train on"):
        load_examples(write_dataset(tmp_path), chat_format(), ignore)
