"""Measures how fast near-duplicates are found among rows in which pairs of known likeness were planted."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from children import OUR_PROGRAMS, OUR_PYTHON, PEER_PROGRAMS, BenchmarkFailed, ChildRun, peer_python, run_child
from harness import Duel, Metric, Sample, Stage

ROWS, QUICK_ROWS = 200_000, 20_000
THRESHOLD = 0.8
LEAST_RECALL = 0.98
PLANTED_SHARE = 0.1
WAITING_ROWS = 1000

ROWS_PER_SECOND = "rows per second"
ROWS_PER_CPU_SECOND = "rows per CPU-second"


@dataclass(frozen=True)
class Planted:
    """Two rows of which the later is the earlier with some words replaced."""

    first: int
    second: int
    jaccard: float


def write_rows(path: Path, count: int) -> list[Planted]:
    """One text of about 1 KB per line, in words of Spanish and English letters; always the same.

    Likeness is spread evenly from .6 to 1, so about half of what is planted has to be found and half must not be.
    """
    chance = random.Random(11)
    letters = "abcdefghijklmnopqrstuvwxyzáéíóúñü"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(20_000)]
    sentences = [[*chance.choices(words, k=11), chance.choice(words) + "."] for _ in range(20_000)]
    planted: list[Planted] = []
    # Each text waits for its copy at most once, and not for ever, because this process has to stay small.
    waiting: list[tuple[int, list[str]]] = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(count):
            if len(waiting) == WAITING_ROWS and chance.random() < PLANTED_SHARE:
                first, text = waiting.pop(chance.randrange(WAITING_ROWS))
                text, jaccard = _copy(text, chance.uniform(0.6, 1), words, chance)
                planted.append(Planted(first, number, jaccard))
            else:
                text = [word for sentence in chance.choices(sentences, k=chance.randint(8, 16)) for word in sentence]
                if len(waiting) < WAITING_ROWS:
                    waiting.append((number, text))
            file.write(" ".join(text) + "\n")
    return planted


def _copy(text: list[str], likeness: float, words: list[str], chance: random.Random) -> tuple[list[str], float]:
    """The text with words replaced, one by one, until it is as unlike as that."""
    original = triples_of(text)
    copy = list(text)
    while True:
        copy[chance.randrange(len(copy))] = chance.choice(words)
        jaccard = jaccard_of(original, triples_of(copy))
        if jaccard <= likeness:
            return copy, jaccard


def triples_of(words: list[str]) -> set[tuple[str, str, str]]:
    return set(zip(words, words[1:], words[2:], strict=False))


def jaccard_of(one: set[tuple[str, str, str]], other: set[tuple[str, str, str]]) -> float:
    return len(one & other) / len(one | other)


def recall_of(found: Iterable[tuple[int, int]], planted: Iterable[Planted]) -> float:
    """Which part of the near-duplicates was brought together by the pairs found."""
    cluster: dict[int, int] = {}

    def first_of(row: int) -> int:
        while row in cluster:
            row = cluster[row]
        return row

    for first, second in found:
        if (one := first_of(first)) != (other := first_of(second)):
            cluster[max(one, other)] = min(one, other)
    wanted = [pair for pair in planted if pair.jaccard >= THRESHOLD]
    return sum(first_of(pair.first) == first_of(pair.second) for pair in wanted) / len(wanted)


def wrong_ones(found: Iterable[tuple[int, int]], source: Path) -> list[tuple[int, int]]:
    """The pairs that are less alike than the threshold, whether they were planted or not."""
    pairs = list(found)
    needed = {row for pair in pairs for row in pair}
    with source.open(encoding="utf-8") as lines:
        triples = {number: triples_of(line.split()) for number, line in enumerate(lines) if number in needed}
    return [(first, second) for first, second in pairs if jaccard_of(triples[first], triples[second]) < THRESHOLD]


def near_dedup(folder: Path, quick: bool) -> Duel:
    count = QUICK_ROWS if quick else ROWS
    source = folder / "texts.txt"
    planted = write_rows(source, count)
    peer = peer_python()
    outputs = {"ours": folder / "ours.json", "datasketch": folder / "datasketch.json"}

    def sample(run: ChildRun) -> Sample:
        return {ROWS_PER_SECOND: count / run.seconds, ROWS_PER_CPU_SECOND: count / run.cpu_seconds}

    def ours() -> Sample:
        return sample(run_child(OUR_PYTHON, OUR_PROGRAMS / "near_duplicates.py", source, outputs["ours"]))

    def theirs() -> Sample:
        return sample(run_child(peer, PEER_PROGRAMS / "datasketch_lsh.py", source, outputs["datasketch"]))

    def check() -> None:
        for name, output in outputs.items():
            found = [(first, second) for first, second in json.loads(output.read_text("utf-8"))]
            recall, wrong = recall_of(found, planted), wrong_ones(found, source)
            print(f"  {name}: {len(found):,} pairs, recall {recall:.4f}, {len(wrong):,} of them below the threshold")
            if name == "ours" and (recall < LEAST_RECALL or wrong):
                raise BenchmarkFailed(f"recall {recall:.4f}, expected {LEAST_RECALL}; wrong pairs: {wrong[:5]}")

    return Duel(ours, theirs, check)


STAGE = Stage(
    "near-dedup",
    "datasketch",
    f"{ROWS:,} texts of about 1 KB ({QUICK_ROWS:,} when quick), some of which were copied with words replaced; pairs of a "
    f"Jaccard index of {THRESHOLD} or more by word triples are to be found. Ours verifies every pair, the peer does not. "
    "Both are whole processes, start-up included.",
    (Metric(ROWS_PER_SECOND, more_is_better=True), Metric(ROWS_PER_CPU_SECOND, more_is_better=True)),
    near_dedup,
)
