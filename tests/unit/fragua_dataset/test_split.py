"""What is held out: whole clusters, drawn by seed, the asked share of every stratum, never nothing without need."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fragua_dataset.ingestion.division import Clusters, Division, divide
from fragua_dataset.ingestion.grouping import asked_in, group_of, rank_of
from fragua_dataset.ingestion.ledger import Numbers, equal_rows
from fragua_dataset.ingestion.problems import Flaw
from fragua_dataset.ingestion.shapes import Example


def numbers(values: list[int]) -> Numbers:
    return np.array(values, np.uint64)


def ranked(groups: list[str], seed: int = 0) -> Numbers:
    return numbers([rank_of(group, seed) for group in groups])


def division(groups: list[str], fraction: float, strata: list[int] | None = None, seed: int = 0) -> Division:
    return divide(ranked(groups, seed), np.array(strata or [0] * len(groups), np.uint16), fraction)


def asking(question: str, **metadata: object) -> Example:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "a"}]
    return Example(id="0" * 16, messages=messages, metadata=metadata, question=question, flaws=[])


GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40)


@settings(max_examples=200)
@given(groups=GROUPS, fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**63 - 1), data=st.data())
# R138
def test_no_group_is_torn_and_no_side_is_empty_when_there_are_two_groups(
    groups: list[str], fraction: float, seed: int, data: st.DataObject
) -> None:
    strata = data.draw(st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups)))
    held_out = division(groups, fraction, strata, seed).held_out
    train = {group for group, held in zip(groups, held_out, strict=True) if not held}
    validation = {group for group, held in zip(groups, held_out, strict=True) if held}
    assert not train & validation
    assert train
    assert bool(validation) == (len(set(groups)) > 1)


@settings(max_examples=200)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6), fraction=st.floats(0.01, 0.99))
# R138
def test_of_rows_that_stand_alone_every_stratum_gives_its_share_and_all_together_the_exact_one(
    sizes: list[int], fraction: float
) -> None:
    strata = [stratum for stratum, size in enumerate(sizes) for _ in range(size)]
    expected = round(len(strata) * fraction)
    assume(0 < expected < len(strata))
    held_out = division([str(number) for number in range(len(strata))], fraction, strata).held_out
    assert np.count_nonzero(held_out) == expected
    for stratum, size in enumerate(sizes):
        count = sum(held for held, of in zip(held_out, strata, strict=True) if of == stratum)
        assert abs(count - size * fraction) < 1


@given(groups=GROUPS, fraction=st.floats(0.01, 0.99), at_once=st.integers(1, 50), data=st.data())
def test_how_many_rows_are_looked_at_at_once_changes_nothing(
    groups: list[str], fraction: float, at_once: int, data: st.DataObject
) -> None:
    strata = data.draw(st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups)))
    expected = division(groups, fraction, strata).held_out.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fragua_dataset.ingestion.ledger._ROWS_AT_ONCE", at_once)
        assert division(groups, fraction, strata).held_out.tolist() == expected


def test_a_quota_is_missed_by_half_a_group_at_most() -> None:
    groups = [f"group {number // 10}" for number in range(1_000)]
    assert np.count_nonzero(division(groups, 0.2).held_out) == 200
    assert np.count_nonzero(division(groups, 0.204).held_out) == 200
    assert np.count_nonzero(division(groups, 0.206).held_out) == 210


def test_a_group_of_several_types_goes_with_the_type_of_its_first_row() -> None:
    groups = [*("a" * 10), *[str(number) for number in range(40)]]
    held_out = division(groups, 0.5, [0] * 5 + [1] * 45).held_out
    assert len(set(held_out[:10].tolist())) == 1


def test_rows_added_later_move_only_as_many_as_the_quota_grows_by() -> None:
    groups = [str(number) for number in range(1_000)]
    before, after = division(groups[:900], 0.2).held_out, division(groups, 0.2).held_out[:900]
    assert np.count_nonzero(before != after) <= 20


def test_another_seed_holds_out_other_rows() -> None:
    groups = [str(number) for number in range(100)]
    assert (division(groups, 0.5, seed=1).held_out != division(groups, 0.5, seed=2).held_out).any()


def test_nothing_is_held_out_on_request() -> None:
    assert not division(["a", "b", "c"], 0).held_out.any()


def test_a_share_too_small_for_one_group_still_holds_one_out_and_says_so() -> None:
    found = division(["a", "b", "c"], 0.01)
    assert found.held_out.tolist().count(True) == 1
    assert found.forced == "validation"
    found = division(["a", "a", "a", "b"], 0.99)
    assert not found.held_out.all()
    assert found.forced == "train"


@pytest.mark.parametrize("seed", range(5))
def test_a_side_that_would_stay_empty_is_given_no_more_than_the_smallest_group(seed: int) -> None:
    assert np.count_nonzero(division(["a"] * 17 + ["b"] * 3, 0.2, seed=seed).held_out) == 3
    assert np.count_nonzero(division(["a"] * 17 + ["b"] * 3, 0.95, seed=seed).held_out) == 17


@given(pairs=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_joined_groups_have_one_name_and_others_keep_theirs(pairs: list[tuple[int, int]]) -> None:
    clusters, sets = Clusters(), {number: {number} for number in range(21)}
    for one, other in pairs:
        clusters.join(one, other)
        together = sets[one] | sets[other]
        for member in together:
            sets[member] = together
    ((_, names),) = clusters.of_rows(numbers(list(range(21))))
    assert names.tolist() == [min(sets[number]) for number in range(21)]


@given(values=st.lists(st.integers(0, 9), max_size=60), at_once=st.integers(1, 70))
def test_rows_with_equal_keys_are_found_however_many_are_looked_at_at_once(values: list[int], at_once: int) -> None:
    expected = {value: [row for row, other in enumerate(values) if other == value] for value in values}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fragua_dataset.ingestion.ledger._ROWS_AT_ONCE", at_once)
        found = [rows.tolist() for rows in equal_rows(numbers(values))]
    assert sorted(found) == sorted(rows for rows in expected.values() if len(rows) > 1)


def test_questions_that_differ_in_form_only_are_one_group() -> None:
    forms = ("¿Qué  es un ÁRBOL?", "¿que\u0301 es un árbol?", "Qué es\nun árbol")
    assert len({group_of(asking(form), "group") for form in forms}) == 1
    assert len({group_of(asking(text), "group") for text in ("¿Año?", "¿Ano?", "C", "+", "-")}) == 5


def test_a_named_group_goes_before_the_question() -> None:
    assert group_of(asking("a", group=7), "group") == group_of(asking("b", group="7"), "group")
    assert group_of(asking("a", topic="x", group=7), "topic") == group_of(asking("b", topic="x", group=8), "topic")


def test_a_group_that_is_no_name_is_a_flaw() -> None:
    flaw = group_of(asking("a", group=["x"]), "group")
    assert isinstance(flaw, Flaw)
    assert (flaw.code, flaw.pointer) == ("INVALID_GROUP", "/group")


def test_choices_in_another_order_ask_the_same() -> None:
    one, other = (
        Example("", [{"role": "user", "content": order}, {"role": "assistant", "content": ""}], {}, "¿A?", [], facts)
        for order in ("ab", "ba")
        for facts in [{"choices": list(order), "answer": 0}]
    )
    assert asked_in(one) == asked_in(other)
