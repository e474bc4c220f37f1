"""Chooses what is held out: whole clusters of rows, by seed, the asked share of every stratum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.ledger import Keys, Numbers, by_key, equal_rows, parts_of

Side = Literal["train", "validation"]
Strata: TypeAlias = NDArray[np.uint16]

_LEADING_BITS = 16
_OTHER_BITS = np.uint64(64 - _LEADING_BITS)


@dataclass(frozen=True)
class Division:
    held_out: NDArray[np.bool_]
    """By row."""
    forced: Side | None = None
    """The side that the quotas had left empty and that was given one cluster, the smallest."""
    single_cluster: bool = False
    """All rows have to stay together, so none is held out although some should be."""


class Clusters:
    """Rows that must not be torn apart. A row's group names its cluster, until groups are joined.

    A group is named by its rank, a hash by the seed of the split: so the order of names is the order of the draw.
    """

    def __init__(self) -> None:
        self._joined: dict[int, int] = {}

    def join(self, one: int, other: int) -> None:
        one, other = sorted((self.name_of(one), self.name_of(other)))
        if one != other:
            self._joined[other] = one

    def name_of(self, group: int) -> int:
        while (further := self._joined.get(group, group)) != group:
            # Each look-up halves the way of the next one.
            self._joined[group] = group = self._joined.get(further, further)
        return group

    def joined(self) -> list[int]:
        """Every group that was joined with another."""
        return [*{*self._joined, *self._joined.values()}]

    def of_rows(self, groups: Keys) -> Iterator[tuple[slice, Numbers]]:
        """The name of each row's cluster, part by part."""
        joined = np.fromiter(self._joined, np.uint64, len(self._joined))
        joined.sort()
        clusters = np.fromiter((self.name_of(int(name)) for name in joined), np.uint64, len(joined))
        for part in parts_of(len(groups)):
            names = np.array(groups[part], np.uint64)
            if len(joined):
                places = np.minimum(np.searchsorted(joined, names), len(joined) - 1)
                moved = joined[places] == names
                names[moved] = clusters[places[moved]]
            yield part, names


def divide(clusters: Keys, strata: Keys, fraction: float) -> Division:
    """`clusters` are ranks: in each stratum those of the lowest ranks are held out until its quota is full.

    The quotas add up to the share of all rows; where a cluster lies across a border, it goes to the nearer side.
    """
    held_out = np.zeros(len(clusters), np.bool_)
    if fraction == 0:
        return Division(held_out)
    if len(clusters) == 0:
        return Division(held_out, single_cluster=True)
    first = min(clusters[part].min() for part in parts_of(len(clusters)))
    last = max(clusters[part].max() for part in parts_of(len(clusters)))
    if first == last:
        return Division(held_out, single_cluster=True)
    strata = _home_strata(clusters, strata)
    for stratum, quota in enumerate(_quotas(_sizes(strata), fraction)):
        if (last_rank := _last_rank(clusters, strata, stratum, quota)) is not None:
            for part in parts_of(len(clusters)):
                held_out[part] |= (clusters[part] <= last_rank) & (strata[part] == stratum)
    count = np.count_nonzero(held_out)
    if 0 < count < len(clusters):
        return Division(held_out)
    smallest = _smallest(clusters)
    alone = np.concatenate([clusters[part] == smallest for part in parts_of(len(clusters))])
    return Division(alone, forced="validation") if count == 0 else Division(~alone, forced="train")


def _smallest(clusters: Keys) -> int:
    """The cluster of the fewest rows; of several that of the lowest rank."""
    fewest = []
    for _, ranks in by_key(clusters):
        names, sizes = np.unique(ranks, return_counts=True)
        if len(names):
            place = int(sizes.argmin())
            fewest.append((int(sizes[place]), int(names[place])))
    return min(fewest)[1]


def _sizes(strata: Keys) -> NDArray[np.int64]:
    sizes = np.zeros(1, np.int64)
    for part in parts_of(len(strata)):
        found = np.bincount(strata[part].astype(np.intp), minlength=len(sizes))
        found[: len(sizes)] += sizes
        sizes = found
    return sizes


def _home_strata(clusters: Keys, strata: Keys) -> Keys:
    """A cluster with rows of several strata belongs whole to that of its first row."""
    if not any(strata[part].any() for part in parts_of(len(strata))):
        return strata
    homes: Strata = np.concatenate([strata[part].astype(np.uint16) for part in parts_of(len(strata))])
    for rows in equal_rows(clusters):
        homes[rows] = homes[rows[0]]
    return homes


def _quotas(sizes: NDArray[np.int64], fraction: float) -> list[int]:
    """Rows to hold out of each stratum: the largest remainders get what rounding down leaves."""
    shares = sizes * fraction
    quotas = np.floor(shares + 1e-9).astype(np.int64)
    left = round(float(sizes.sum()) * fraction) - int(quotas.sum())
    quotas[np.argsort(quotas - shares, kind="stable")[: max(left, 0)]] += 1
    return [int(quota) for quota in quotas]


def _last_rank(clusters: Keys, strata: Keys, stratum: int, quota: int) -> np.uint64 | None:
    """The rank up to which clusters are held out whole, so that their rows are nearest to the quota; None: none is.

    Found without sorting: by how many ranks begin with the same bits, and among those of the one beginning that counts.
    """
    if quota == 0:
        return None
    counts = np.zeros(1 << _LEADING_BITS, np.int64)
    for part in parts_of(len(clusters)):
        ranks = clusters[part][strata[part] == stratum]
        counts += np.bincount((ranks >> _OTHER_BITS).astype(np.intp), minlength=len(counts))
    ends = np.cumsum(counts)
    if quota >= ends[-1]:
        return np.uint64(2**64 - 1)
    # Where the first row is that is beyond the quota.
    beginning = int(np.searchsorted(ends, quota, side="right"))
    before = int(ends[beginning] - counts[beginning])
    found = [
        clusters[part][(strata[part] == stratum) & (clusters[part] >> _OTHER_BITS == beginning)]
        for part in parts_of(len(clusters))
    ]
    ranks = np.sort(np.concatenate(found))
    rank = ranks[quota - before]
    without = before + int(np.searchsorted(ranks, rank, "left"))
    with_it = before + int(np.searchsorted(ranks, rank, "right"))
    if quota - without > with_it - quota:
        return rank
    return rank - np.uint64(1) if rank else None
