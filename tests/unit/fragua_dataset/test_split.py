"""The held-out split: whole groups, decided by a seed, never empty without need."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.shapes import Example
from fragua_dataset.ingestion.split import SplitWriter, group_of


def asking(question: str, **metadata: Any) -> Example:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "a"}]
    return Example(id="0" * 16, messages=messages, metadata=metadata, question=question, flaws=[])


def sides_of(groups: list[str], folder: Path, **spec: Any) -> tuple[list[str], list[str]]:
    """The groups of the rows on the training and on the held-out side."""
    with SplitWriter(folder, VersionSpec(**spec)) as split:
        for group in groups:
            split.write(asking("q", group=group), group)
        split.balance()
        split.finish()
    train, validation = (
        [json.loads(line)["metadata"]["group"] for line in (folder / name).read_text("utf-8").splitlines()]
        for name in ("train.jsonl", "validation.jsonl")
    )
    return train, validation


@settings(max_examples=60)
@given(
    groups=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40),
    fraction=st.floats(0.001, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
# R138
def test_no_group_is_torn_and_no_side_is_empty_when_there_are_two_groups(
    groups: list[str], fraction: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    train, validation = sides_of(groups, folder, validation_fraction=fraction, split_seed=seed)
    assert sorted(train + validation) == sorted(groups)
    assert not set(train) & set(validation)
    assert train
    assert bool(validation) == (len(set(groups)) > 1)
    assert {path.name for path in folder.iterdir()} == {"train.jsonl", "validation.jsonl"}


# R138
def test_the_share_of_held_out_groups_is_about_the_one_asked_for(tmp_path: Path) -> None:
    _, validation = sides_of([str(number) for number in range(4_000)], tmp_path, validation_fraction=0.2)
    assert 0.17 < len(validation) / 4_000 < 0.23


def test_rows_added_later_move_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, first = sides_of([str(number) for number in range(50)], tmp_path / "a")
    _, later = sides_of([str(number) for number in range(90)], tmp_path / "b")
    assert first == [group for group in later if int(group) < 50]


def test_nothing_is_held_out_on_request(tmp_path: Path) -> None:
    assert sides_of(["a", "b", "c"], tmp_path, validation_fraction=0) == (["a", "b", "c"], [])


def test_questions_that_differ_in_form_only_are_one_group() -> None:
    forms = ("¿Qué  es un ÁRBOL?", "¿que\u0301 es un árbol?", "Qué es\nun árbol")
    assert len({group_of(asking(form), "group") for form in forms}) == 1
    assert len({group_of(asking(text), "group") for text in ("¿Año?", "¿Ano?", "C", "+", "-")}) == 5


def test_a_named_group_goes_before_the_question() -> None:
    assert group_of(asking("a", group=7), "group") == group_of(asking("b", group="7"), "group")
    assert group_of(asking("a", topic="x", group=7), "topic") == group_of(asking("b", topic="x", group=8), "topic")


def test_a_group_that_is_no_name_is_a_flaw() -> None:
    flaw = group_of(asking("a", group=["x"]), "group")
    assert not isinstance(flaw, str)
    assert (flaw.code, flaw.pointer) == ("INVALID_GROUP", "/group")
