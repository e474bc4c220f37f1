"""How examples share a sequence."""

import pytest

from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.packing import pack


def example(length: int, prompt: int = 1) -> Example:
    tokens = list(range(100, 100 + length))
    return Example(tokens, [IGNORED] * prompt + tokens[prompt:])


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
