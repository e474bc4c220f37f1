"""Finds rows whose texts are nearly the same: MinHash proposes pairs, and the exact Jaccard index decides."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.ledger import Keys, by_key
from fragua_dataset.ingestion.likeness import Numbers, in_pieces, mix, word_triples

TextOf: TypeAlias = Callable[[int], str]
BandKeys: TypeAlias = NDArray[np.uint32]

_BIN_BITS = 7
_BINS = 2**_BIN_BITS
_EMPTY = np.uint64(2**64 - 1)
_THROWN_TRIPLES = 5 * _BINS
"""With as many, one bin of a hundred and fifty stays empty."""
_THROW_BITS = 8
_MOST_THROWS = 2**_THROW_BITS - 1
_STEP = 0x9E3779B97F4A7C15
_FOUND_AT_THE_THRESHOLD = 0.995
"""Of the pairs that are just alike enough, the part that is proposed; of pairs that are more alike, nearly all."""
_BLOCK_ROWS = 4096
_PREDECESSORS = 3
"""With how many rows before it in its bucket a row is compared, besides the first of the bucket: buckets of up to four
rows are compared in full, and one of a hundred thousand equal rows costs no more per row."""
_REFUSED_REMEMBERED = 2**18
_CHARACTERS_AT_ONCE = 2**20
_PAIRS_AT_ONCE = 1024


@dataclass(frozen=True)
class Pair:
    """Two rows that are near-duplicates."""

    first: int
    second: int
    jaccard: float
    """How many distinct word triples they share, of all that either has."""


class NearDuplicates:
    """Rows are added; then `pairs` tells which are nearly the same. The same rows always give the same pairs.

    Signatures wait in an unnamed file in the folder, so that memory holds four bytes per row at most.
    """

    def __init__(self, spool: Path, *, jaccard: float) -> None:
        self.rows = 0
        self._jaccard = jaccard
        self._width = _bins_per_band(jaccard)
        self._signatures = _SignatureFile(spool, _BINS // self._width)

    def add(self, texts: Sequence[str]) -> None:
        """The texts of the next rows, any number of them; the very first row is row 0."""
        for piece in in_pieces(texts):
            self._signatures.write(_band_keys(*word_triples(piece), self._width))
        self.rows += len(texts)

    def pairs(self, text_of: TextOf) -> Iterator[Pair]:
        """The near-duplicates among all rows added so far; `text_of` gives the text of a row again.

        Every pair is verified. Together they link each cluster and close no circle: rows that other pairs have brought
        together already are told no more, so a cluster of n rows takes n - 1 pairs. A row of fewer than three words is
        in no pair.
        """
        clusters = _Clusters(self.rows)
        refused = np.empty(0, np.uint64)
        for band in self._signatures.bands():
            for candidates in _candidates(band):
                # Pairs that are less alike than asked for come up in one band after another.
                fresh = np.setdiff1d(clusters.apart(candidates), refused, assume_unique=True)
                yield from self._verified(fresh, clusters, text_of)
                refused = np.concatenate([refused, clusters.apart(fresh)])[-_REFUSED_REMEMBERED:]

    def close(self) -> None:
        self._signatures.close()

    def __enter__(self) -> NearDuplicates:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _verified(self, candidates: Numbers, clusters: _Clusters, text_of: TextOf) -> Iterator[Pair]:
        for batch, texts in _with_texts(candidates, text_of):
            triples = _distinct_triples(texts)
            for first, second in batch:
                if clusters.together(first, second):
                    continue
                jaccard = _jaccard(triples[first], triples[second])
                if jaccard >= self._jaccard:
                    clusters.unite(first, second)
                    yield Pair(first, second, jaccard)


def _bins_per_band(jaccard: float) -> int:
    """The widest bands that still propose enough of the pairs at the threshold, and so the fewest others."""

    def found(width: int) -> float:
        return 1 - (1 - jaccard**width) ** (_BINS // width)

    return max(width for width in range(1, 17) if width == 1 or found(width) >= _FOUND_AT_THE_THRESHOLD)


def _band_keys(triples: Numbers, counts: NDArray[np.intp], width: int) -> BandKeys:
    """One key per band and row: rows that are alike have some in common. 0 is no key: the row has no triples."""
    bins = _min_hashes(triples, counts)
    bands = _BINS // width
    keys = bins[:, :bands].copy()
    for place in range(1, width):
        mix(keys)
        keys += bins[:, place * bands : (place + 1) * bands]
    mix(keys)
    short = (keys >> np.uint64(32)).astype(np.uint32)
    np.maximum(short, 1, out=short)
    short[counts == 0] = 0
    return short.T


def _min_hashes(triples: Numbers, counts: NDArray[np.intp]) -> Numbers:
    """The smallest triple of each bin, where the leading bits of a triple choose its bin: one hash does for all bins.

    A text with few triples throws them again, with another hash each time, until hardly a bin is empty; a bin keeps the
    smallest of the first throw that reached it. So texts of any length agree in each bin as often as their Jaccard
    index says, and in one bin whatever they do in another.
    """
    bins = np.full(len(counts) * _BINS, _EMPTY)
    first_bins = np.repeat(np.arange(len(counts)) * _BINS, counts)
    throws = np.repeat(np.minimum(-(-_THROWN_TRIPLES // np.maximum(counts, 1)), _MOST_THROWS), counts)
    for throw in range(int(throws.max(initial=0))):
        goes_on = throws > throw
        if not goes_on.all():
            triples, first_bins, throws = triples[goes_on], first_bins[goes_on], throws[goes_on]
        thrown = triples + np.uint64(throw * _STEP % 2**64)
        mix(thrown)
        slots = (thrown >> np.uint64(64 - _BIN_BITS)).view(np.intp) + first_bins
        thrown >>= np.uint64(_THROW_BITS)
        thrown |= np.uint64(throw << (64 - _THROW_BITS))
        np.minimum.at(bins, slots, thrown)
    return bins.reshape(len(counts), _BINS)


def _candidates(band: Keys) -> Iterator[Numbers]:
    """Pairs of rows that have a key in common; of a crowded bucket only some. Rows that are alike meet in others, too."""
    for rows, keys in by_key(band):
        yield from _candidates_among(keys, rows.astype(np.uint32))


def _candidates_among(keys: BandKeys, rows: NDArray[np.uint32]) -> Iterator[Numbers]:
    # Keys and rows are sorted as one number: so equal keys come together, and the order is always the same.
    packed = _packed(keys, rows)
    packed.sort()
    packed = packed[np.searchsorted(packed, 2**32) :]
    if len(packed) == 0:
        return
    sorted_keys, rows = _unpacked(packed)
    follows = sorted_keys[1:] == sorted_keys[:-1]
    in_company = np.append(follows, False)
    in_company[1:] |= follows
    sorted_keys, rows = sorted_keys[in_company], rows[in_company]
    begins = np.flatnonzero(np.diff(sorted_keys, prepend=0))
    firsts = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
    others = rows != firsts
    yield _packed(firsts[others], rows[others])
    for distance in range(1, _PREDECESSORS + 1):
        near = sorted_keys[distance:] == sorted_keys[:-distance]
        near &= rows[:-distance] != firsts[distance:]
        yield _packed(rows[:-distance][near], rows[distance:][near])


def _packed(high: NDArray[np.uint32], low: NDArray[np.uint32]) -> Numbers:
    """Two numbers of 32 bits as one of 64."""
    packed = np.empty((len(high), 2), "<u4")
    packed[:, 0], packed[:, 1] = low, high
    return packed.view("<u8")[:, 0]


def _unpacked(packed: Numbers) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    halves = packed.view("<u4").reshape(-1, 2)
    return halves[:, 1], halves[:, 0]


def _with_texts(candidates: Numbers, text_of: TextOf) -> Iterator[tuple[list[tuple[int, int]], dict[int, str]]]:
    """The candidates in batches, with the texts that each batch needs."""
    batch: list[tuple[int, int]] = []
    texts: dict[int, str] = {}
    characters = 0
    firsts, seconds = _unpacked(candidates)
    for pair in zip(firsts.tolist(), seconds.tolist(), strict=True):
        batch.append(pair)
        for row in pair:
            if row not in texts:
                texts[row] = text_of(row)
                characters += len(texts[row])
        if characters >= _CHARACTERS_AT_ONCE or len(batch) >= _PAIRS_AT_ONCE:
            yield batch, texts
            batch, texts, characters = [], {}, 0
    if batch:
        yield batch, texts


def _distinct_triples(texts: dict[int, str]) -> dict[int, Numbers]:
    """The word triples of each text in ascending order, without repeats."""
    distinct: list[Numbers] = []
    for piece in in_pieces(list(texts.values())):
        triples, counts = word_triples(piece)
        ends = np.cumsum(counts)
        bounds = list(pairwise([0, *ends.tolist()]))
        for start, end in bounds:
            triples[start:end].sort()
        is_new = np.append(triples[1:] != triples[:-1], True)
        is_new[ends[counts > 0] - 1] = True
        distinct.extend(triples[start:end][is_new[start:end]] for start, end in bounds)
    return dict(zip(texts, distinct, strict=True))


def _jaccard(one: Numbers, other: Numbers) -> float:
    both = np.concatenate((one, other))
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared)


class _Clusters:
    """Which rows have been brought together: each points to an earlier row of its cluster, the first to itself."""

    def __init__(self, rows: int) -> None:
        # How many rows before it. Of zeros that nobody has changed the system keeps none in memory.
        self._back = np.zeros(rows, np.uint32)

    def apart(self, pairs: Numbers) -> Numbers:
        """Those of the pairs that nothing has brought together."""
        firsts, seconds = _unpacked(pairs)
        return pairs[self._firsts_of(firsts) != self._firsts_of(seconds)]

    def _firsts_of(self, rows: NDArray[np.uint32]) -> NDArray[np.uint32]:
        earlier = rows - self._back[rows]
        while (back := self._back[earlier]).any():
            earlier -= back
        moved = np.flatnonzero(earlier != rows)
        self._back[rows[moved]] = rows[moved] - earlier[moved]
        return earlier

    def together(self, one: int, other: int) -> bool:
        return self._first_of(one) == self._first_of(other)

    def unite(self, one: int, other: int) -> None:
        firsts = self._first_of(one), self._first_of(other)
        self._back[max(firsts)] = max(firsts) - min(firsts)

    def _first_of(self, row: int) -> int:
        while back := int(self._back[row]):
            # Each look-up halves the way of the next one.
            further = int(self._back[row - back])
            self._back[row] = back + further
            row -= back
        return row


class _SignatureFile:
    """The band keys of all rows, written row by row and read band by band."""

    def __init__(self, folder: Path, bands: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # It has no name, so nothing is left behind however the process ends.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._block = np.zeros((bands, _BLOCK_ROWS), np.uint32)
        self._blocks = 0
        self._filled = 0

    def write(self, keys: BandKeys) -> None:
        start = 0
        while start < keys.shape[1]:
            part = keys[:, start : start + _BLOCK_ROWS - self._filled]
            self._block[:, self._filled : self._filled + part.shape[1]] = part
            start += part.shape[1]
            self._filled += part.shape[1]
            if self._filled == _BLOCK_ROWS:
                self._file.seek(self._blocks * self._block.nbytes)
                self._file.write(self._block.data)
                self._blocks += 1
                self._filled = 0

    def bands(self) -> Iterator[_Band]:
        return (_Band(self, band) for band in range(len(self._block)))

    def __len__(self) -> int:
        return self._blocks * _BLOCK_ROWS + self._filled

    def keys(self, block: int, band: int) -> BandKeys:
        unwritten = self._block[band]
        if block == self._blocks:
            return unwritten[: self._filled]
        keys = np.empty(_BLOCK_ROWS, np.uint32)
        self._file.seek(block * self._block.nbytes + band * unwritten.nbytes)
        self._file.readinto(keys.data)
        return keys

    def close(self) -> None:
        self._file.close()


class _Band:
    """The keys of all rows in one band, read as they are asked for."""

    def __init__(self, file: _SignatureFile, number: int) -> None:
        self._file = file
        self._number = number

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, rows: slice) -> BandKeys:
        start, stop, _ = rows.indices(len(self))
        first = start // _BLOCK_ROWS
        blocks = range(first, -(-stop // _BLOCK_ROWS))
        keys = np.concatenate([self._file.keys(block, self._number) for block in blocks])
        return keys[start - first * _BLOCK_ROWS : stop - first * _BLOCK_ROWS]
