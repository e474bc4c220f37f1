"""Which versions of a branch a new one is compared with, to find twins and leaks between its datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fragua_dataset.domain.version import Version
from fragua_dataset.domain.version_order import VersionOrder


@dataclass(frozen=True)
class Comparison:
    counterparts: Sequence[Version]
    left_out: Sequence[Version]
    """What should be compared with, and is too much."""


def comparison_for(order: VersionOrder, usable: Sequence[Version], *, most: int, most_bytes: int) -> Comparison:
    """`usable` are the newest versions of the branch's datasets; those to evaluate with come first, then the newest."""
    counterparts: list[Version] = []
    left_out: list[Version] = []
    room = most_bytes
    for version in sorted(usable, key=lambda version: not version.evaluation):
        if version.bundle is None or _same_rows_are_no_news(order, version):
            continue
        size = sum(file.size for file in version.bundle.manifest.files)
        if len(counterparts) < most and size <= room:
            room -= size
            counterparts.append(version)
        else:
            left_out.append(version)
    return Comparison(counterparts, left_out)


def _same_rows_are_no_news(order: VersionOrder, version: Version) -> bool:
    """Datasets that the rows went through hold them too, of course; but what is learnt must never be asked."""
    return version.evaluation == order.spec.evaluation and not {*version.lineage}.isdisjoint(order.lineage)
