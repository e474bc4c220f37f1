"""Tells how likely given texts are: the choices of a question, or an expected answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from fragua_evaluator.scoring.targets.local.chat import Continuation
from fragua_evaluator.scoring.targets.local.packed_attention import PackedStep, Span
from fragua_evaluator.scoring.targets.local.packed_model import PackedModel, StopRequestedError
from fragua_evaluator.scoring.targets.port import StopRequested

_TOKENS_AT_ONCE = 1_024
"""Short questions share a call up to so many tokens."""


@dataclass(frozen=True)
class Weighable:
    """Texts that begin alike; the common beginning is computed once."""

    key: str
    texts: tuple[Continuation, ...]


@dataclass(frozen=True)
class Weighed:
    key: str
    log_likelihoods: tuple[float, ...]
    tokens: int
    """Weighed, of all texts together."""
    seconds: float


@dataclass(frozen=True)
class _Tree:
    """The texts as a trunk and a branch for each. The last token of a text is weighed and never looked back at, so it
    is not in its branch."""

    key: str
    texts: tuple[Continuation, ...]
    trunk: int

    @property
    def longest(self) -> int:
        return max(len(text.tokens) for text in self.texts)

    @property
    def branches(self) -> tuple[int, ...]:
        return tuple(len(text.tokens) - 1 - self.trunk for text in self.texts)

    @property
    def tokens(self) -> list[int]:
        branches = (token for text in self.texts for token in text.tokens[self.trunk : -1])
        return [*self.texts[0].tokens[: self.trunk], *branches]

    def looked_at(self) -> tuple[list[int], list[int]]:
        """Places of the tokens after which something is weighed, and the tokens that are weighed there."""
        places: list[int] = []
        branch_start = self.trunk
        for text, branch in zip(self.texts, self.branches, strict=True):
            for before in range(text.start - 1, len(text.tokens) - 1):
                places.append(before if before < self.trunk else branch_start + before - self.trunk)
            branch_start += branch
        return places, [token for text in self.texts for token in text.tokens[text.start :]]


def weigh(
    model: PackedModel, questions: Sequence[Weighable], longest_shared: int | None, stop_requested: StopRequested
) -> Iterator[Weighed]:
    """A question with a text of more than `longest_shared` tokens gets calls of its own, one for each text."""

    def check_stop() -> None:
        if stop_requested():
            raise StopRequestedError

    # Those of like length side by side, the longest first: memory runs out early or never.
    trees = sorted(map(_grow, questions), key=lambda tree: -len(tree.tokens))
    alone = [tree for tree in trees if longest_shared is not None and tree.longest > longest_shared]
    together = [tree for tree in trees if longest_shared is None or tree.longest <= longest_shared]
    try:
        for tree in alone:
            yield _weigh_alone(model, tree, check_stop)
        for batch in _batches(together):
            yield from _weigh_together(model, batch, check_stop)
    except StopRequestedError:
        return


def _grow(question: Weighable) -> _Tree:
    first, *others = (text.tokens[:-1] for text in question.texts)
    trunk = len(first)
    for other in others:
        shared = min(trunk, len(other))
        trunk = next((place for place in range(shared) if first[place] != other[place]), shared)
    return _Tree(question.key, question.texts, trunk)


def _batches(trees: Sequence[_Tree]) -> Iterator[list[_Tree]]:
    batch: list[_Tree] = []
    tokens = 0
    for tree in trees:
        if batch and tokens + len(tree.tokens) > _TOKENS_AT_ONCE:
            yield batch
            batch, tokens = [], 0
        batch.append(tree)
        tokens += len(tree.tokens)
    if batch:
        yield batch


def _weigh_alone(model: PackedModel, tree: _Tree, check_stop: Callable[[], None]) -> Weighed:
    parts = [
        next(_weigh_together(model, [_Tree(tree.key, (text,), len(text.tokens) - 1)], check_stop))
        for text in tree.texts
    ]
    return Weighed(
        tree.key,
        tuple(likelihood for part in parts for likelihood in part.log_likelihoods),
        sum(part.tokens for part in parts),
        sum(part.seconds for part in parts),
    )


def _weigh_together(model: PackedModel, trees: Sequence[_Tree], check_stop: Callable[[], None]) -> Iterator[Weighed]:
    started = time.perf_counter()
    row: list[int] = []
    spans: list[Span] = []
    places: list[int] = []
    targets: list[int] = []
    for tree in trees:
        looked_at, weighed = tree.looked_at()
        places += [len(row) + place for place in looked_at]
        targets += weighed
        spans.append(Span(len(row), tree.trunk, tree.branches))
        row += tree.tokens
    states = model.hidden(row, PackedStep(tuple(spans), check_stop=check_stop))
    likelihoods = iter(model.log_likelihoods(states[places], targets))
    seconds = time.perf_counter() - started
    for tree in trees:
        sizes = [len(text.tokens) - text.start for text in tree.texts]
        sums = tuple(sum(islice(likelihoods, size)) for size in sizes)
        yield Weighed(tree.key, sums, sum(sizes), seconds * len(tree.tokens) / len(row))
