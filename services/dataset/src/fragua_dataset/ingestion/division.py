"""Chooses what is held out: whole clusters of rows, by seed, the asked share of every stratum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.ledger import Numbers, Rows, equal_rows

Side = Literal["train", "validation"]
Strata: TypeAlias = NDArray[np.uint16]

_ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Division:
    held_out: NDArray[np.bool_]
    """By row."""
    forced: Side | None = None
    """The side that the quotas had left empty and that was given one cluster."""
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

    def of_rows(self, groups: Numbers) -> Numbers:
        """The name of each row's cluster."""
        if not self._joined:
            return groups
        names = np.array(groups)
        joined = np.fromiter(self._joined, np.uint64, len(self._joined))
        joined.sort()
        clusters = np.fromiter((self.name_of(int(name)) for name in joined), np.uint64, len(joined))
        for start in range(0, len(names), _ROWS_AT_ONCE):
            part = names[start : start + _ROWS_AT_ONCE]
            places = np.minimum(np.searchsorted(joined, part), len(joined) - 1)
            moved = joined[places] == part
            part[moved] = clusters[places[moved]]
        return names


def divide(clusters: Numbers, strata: Strata, fraction: float) -> Division:
    """`clusters` are ranks: in each stratum those of the lowest ranks are held out until its quota is full.

    The quotas add up to the share of all rows; where a cluster lies across a border, it goes to the nearer side.
    """
    if fraction == 0:
        return Division(np.zeros(len(clusters), np.bool_))
    if len(clusters) == 0:
        return Division(np.zeros(0, np.bool_), single_cluster=True)
    first, last = clusters.min(), clusters.max()
    if first == last:
        return Division(np.zeros(len(clusters), np.bool_), single_cluster=True)
    strata = _home_strata(clusters, strata)
    sizes = np.bincount(strata)
    held_out = np.zeros(len(clusters), np.bool_)
    order = np.lexsort((clusters, strata)) if len(sizes) > 1 else np.argsort(clusters, kind="stable")
    ends = np.cumsum(sizes)
    for quota, start, end in zip(_quotas(sizes, fraction), ends - sizes, ends, strict=True):
        rows = order[start:end]
        held_out[rows[: _whole_clusters(clusters, rows, quota)]] = True
    count = np.count_nonzero(held_out)
    if count == 0:
        return Division(clusters == first, forced="validation")
    if count == len(clusters):
        return Division(clusters != last, forced="train")
    return Division(held_out)


def _home_strata(clusters: Numbers, strata: Strata) -> Strata:
    """A cluster with rows of several strata belongs whole to that of its first row."""
    if strata.max() == 0:
        return strata
    homes = np.array(strata)
    for rows in equal_rows(clusters):
        homes[rows] = strata[rows[0]]
    return homes


def _quotas(sizes: NDArray[np.int64], fraction: float) -> list[int]:
    """Rows to hold out of each stratum: the largest remainders get what rounding down leaves."""
    shares = sizes * fraction
    quotas = np.floor(shares + 1e-9).astype(np.int64)
    left = round(float(sizes.sum()) * fraction) - int(quotas.sum())
    quotas[np.argsort(quotas - shares, kind="stable")[: max(left, 0)]] += 1
    return [int(quota) for quota in quotas]


def _whole_clusters(clusters: Numbers, rows: Rows, quota: int) -> int:
    """How many of the rows, which are in the order of their clusters, are whole clusters and nearest to the quota."""
    if not 0 < quota < len(rows):
        return quota
    before = after = quota
    while before and clusters[rows[before - 1]] == clusters[rows[quota]]:
        before -= 1
    if before == quota:
        return quota
    while after < len(rows) and clusters[rows[after]] == clusters[rows[quota]]:
        after += 1
    return before if quota - before <= after - quota else after
