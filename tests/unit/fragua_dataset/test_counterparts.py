"""Which versions a new one is compared with: other datasets, leaks first, within limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fragua_dataset.domain.counterparts import comparison_for
from fragua_dataset.domain.version import Origin, Version, VersionState
from fragua_dataset.domain.version_order import VersionOrder
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_platform.artifacts.manifest import Bundle, Manifest, ManifestFile

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ordered(*lineage: str, evaluation: bool = False) -> VersionOrder:
    return VersionOrder(
        dataset=lineage[0], origin=Origin.IMPORT, lineage=lineage, spec=VersionSpec(evaluation=evaluation)
    )


def version(*lineage: str, evaluation: bool = False, age: int = 0, size: int = 10) -> Version:
    """The newest of the dataset that comes first."""
    file = ManifestFile(name="train.jsonl", key="k", size=size, sha256="0" * 64)
    return Version(
        name=f"branches/tutor/datasets/{lineage[0]}/versions/1",
        origin=Origin.IMPORT,
        created=NOW - timedelta(days=age),
        profile="instruct",
        state=VersionState.READY,
        evaluation=evaluation,
        lineage=lineage,
        bundle=Bundle(manifest=Manifest(prefix="p", files=(file,)), manifest_sha256="0" * 64),
    )


def compared(order: VersionOrder, *usable: Version, most: int = 50, most_bytes: int = 1000) -> list[str]:
    found = comparison_for(order, usable, most=most, most_bytes=most_bytes).counterparts
    return [each.lineage[0] for each in found]


# R64
def test_other_datasets_are_compared_with_and_ones_own_is_not() -> None:
    assert compared(ordered("a"), version("a"), version("b"), version("c")) == ["b", "c"]


def test_where_the_rows_came_from_is_no_news_in_either_direction() -> None:
    merged = ordered("todo", "a", "b")
    assert compared(merged, version("a"), version("b"), version("c")) == ["c"]
    assert compared(ordered("a"), version("todo", "a", "b"), version("c")) == ["c"]


def test_rows_to_evaluate_with_are_compared_wherever_they_come_from_and_first() -> None:
    exam = version("examen", "a", evaluation=True, age=9)
    assert compared(ordered("a"), version("b"), exam) == ["examen", "b"]
    assert compared(ordered("a", evaluation=True), version("a"), version("examen", evaluation=True)) == ["examen", "a"]


def test_what_is_too_much_is_left_out_by_name_and_smaller_ones_still_fit() -> None:
    usable = [version("b", size=600), version("c", size=600), version("d", size=300)]
    assert compared(ordered("a"), *usable) == ["b", "d"]
    found = comparison_for(ordered("a"), usable, most=1, most_bytes=10**6)
    assert [each.lineage[0] for each in found.left_out] == ["c", "d"]
