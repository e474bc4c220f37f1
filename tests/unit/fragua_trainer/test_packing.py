"""How examples share a sequence."""

import pytest

from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.packing import WORTH_SHARING, pack


def example(length: int, prompt: int = 1, first: int = 100) -> Example:
    tokens = list(range(first, first + length))
    return Example(tokens, [IGNORED] * prompt + tokens[prompt:])


def after(beginning: list[int], answer: list[int]) -> Example:
    """An example of a prompt, one more token that asks, and an answer."""
    prompt = [*beginning, 50]
    return Example([*prompt, *answer], [IGNORED] * len(prompt) + answer)


def test_no_pack_is_fuller_than_its_room_and_no_example_is_lost() -> None:
    lengths = [30, 7, 19, 25, 3, 12, 28]

    packs = pack([example(length) for length in lengths], room=40)

    assert all(made.token_count <= 40 for made in packs)
    assert sorted(length for made in packs for length in made.lengths) == sorted(lengths)
    assert len(packs) == 4  # 124 tokens need at least that many


def test_an_example_longer_than_the_room_has_a_pack_of_its_own() -> None:
    assert [made.lengths for made in pack([example(5), example(50), example(6)], room=20)] == [(50,), (6, 5)]


def test_positions_begin_anew_with_each_example() -> None:
    (made,) = pack([example(3), example(2)], room=10)

    assert made.positions.tolist() == [0, 1, 2, 0, 1]


def test_the_end_of_an_example_predicts_nothing_of_the_next() -> None:
    # The second example is supervised from its very first token, which nothing precedes.
    first, second = Example([1, 2, 3, 4], [IGNORED, IGNORED, 3, 4]), Example([5, 6, 7], [5, 6, 7])

    (made,) = pack([first, second], room=10)

    assert made.predicting.tolist() == [1, 2, 4, 5]
    assert made.targets.tolist() == [3, 4, 6, 7]


@pytest.mark.parametrize("room", [8, 64])
def test_the_same_examples_give_the_same_packs(room: int) -> None:
    examples = [example(length) for length in (4, 4, 8, 2, 6, 4)]

    once, again = pack(examples, room), pack(examples, room)

    assert [made.tokens.tolist() for made in once] == [made.tokens.tolist() for made in again]


def test_what_all_examples_begin_with_is_there_once() -> None:
    instructions = list(range(200, 200 + WORTH_SHARING))

    (made,) = pack([after(instructions, [1, 2]), after(instructions, [3])], room=100)

    # The token that asks is the same as well, but its output is supervised, once by each answer.
    assert made.tokens.tolist() == [*instructions, 50, 1, 2, 50, 3]
    assert made.positions.tolist() == [*range(WORTH_SHARING), *range(WORTH_SHARING, WORTH_SHARING + 3), 16, 17]
    assert (made.shared, made.lengths, made.token_count) == (WORTH_SHARING, (3, 2), 2 * WORTH_SHARING + 5)
    assert made.predicting.tolist() == [16, 17, 19]
    assert made.targets.tolist() == [1, 2, 3]


@pytest.mark.parametrize("beginnings", [[[*range(15)]] * 2, [[*range(30)], [9, *range(29)]], [[*range(30)]]])
def test_a_short_or_different_beginning_is_not_shared(beginnings: list[list[int]]) -> None:
    made = pack([after(beginning, [7]) for beginning in beginnings], room=100)

    assert [(each.shared, each.token_count) for each in made] == [(0, len(made[0].tokens))]


def test_a_supervised_beginning_is_not_shared() -> None:
    (made,) = pack([example(40, prompt=1), example(40, prompt=1)], room=100)

    assert made.shared == 0
