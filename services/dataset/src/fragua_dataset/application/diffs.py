"""Telling what differs between two versions, row by row and field by field."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

from fragua_dataset.application.comparison import Comparison, Difference, Place, Role
from fragua_dataset.application.row_files import RowFiles
from fragua_dataset.application.rows import MOST_BYTES, malformed_token
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.rows import Change, FieldDiff, Side, field_diffs
from fragua_dataset.domain.version import require_files
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation
from fragua_platform.paging import Page, PageRequest

_KEPT = 8
"""Comparisons that are kept for their next pages."""

Readers = Mapping[tuple[Role, Side], BufferedReader]


@dataclass(frozen=True)
class RowDiff:
    difference: Difference
    fields: Sequence[FieldDiff]


@dataclass(frozen=True)
class VersionDiff:
    rows: Page[RowDiff]
    counts: Mapping[Change, int]
    unchanged: int


class Diffs:
    def __init__(self, versions: Versions, files: RowFiles, directory: Path) -> None:
        self._versions = versions
        self._files = files
        self._directory = directory
        self._comparisons: dict[tuple[str, str], asyncio.Task[Comparison]] = {}
        """By the digests of the two manifests, the longest unused one first."""

    async def page(self, base: str, target: str, page: PageRequest) -> VersionDiff:
        if base.split("/")[1] != target.split("/")[1]:
            problem = Violation("target", f"{target} is of another branch than {base}")
            raise InvalidInput(problem.description, violations=[problem])
        bundles: dict[Role, Bundle] = {
            "base": require_files((await self._versions.get(base)).version),
            "target": require_files((await self._versions.get(target)).version),
        }
        comparison = await self._comparison(bundles)
        with ExitStack() as stack:
            readers = await self._open(bundles, stack)
            return await asyncio.to_thread(_read_page, comparison, readers, page)

    async def _comparison(self, bundles: Mapping[Role, Bundle]) -> Comparison:
        pair = bundles["base"].manifest_sha256, bundles["target"].manifest_sha256
        made = self._comparisons.pop(pair, None)
        if made is None or (made.done() and (made.cancelled() or made.exception())):
            made = asyncio.create_task(self._compare(bundles))
        self._comparisons[pair] = made
        while len(self._comparisons) > _KEPT:
            del self._comparisons[next(iter(self._comparisons))]
        # Whoever cannot wait until large versions are compared finds it done the next time.
        return await asyncio.shield(made)

    async def _compare(self, bundles: Mapping[Role, Bundle]) -> Comparison:
        with ExitStack() as stack:
            readers = await self._open(bundles, stack)
            try:
                return await asyncio.to_thread(_compare, readers, self._directory)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                raise LimitExceeded(f"{self._directory} has no room for the comparison: {error}") from error

    async def _open(self, bundles: Mapping[Role, Bundle], stack: ExitStack) -> Readers:
        return {
            (role, side): stack.enter_context(closing(await self._files.open(bundle.manifest.file(side.rows))))
            for role, bundle in bundles.items()
            for side in Side
        }


def _compare(readers: Readers, directory: Path) -> Comparison:
    comparison = Comparison(directory)
    for (role, side), reader in readers.items():
        comparison.take(role, side, reader)
    comparison.conclude()
    return comparison


def _read_page(comparison: Comparison, readers: Readers, page: PageRequest) -> VersionDiff:
    counts = comparison.counts()
    after = page.number(0) if page.after else 0
    if not 0 <= after <= sum(counts.values()):
        raise malformed_token()
    rows: list[RowDiff] = []
    told = 0
    for difference in comparison.differences(after, page.size + 1):
        rows.append(RowDiff(difference, _fields(difference, readers)))
        told += sum(len(field.before) + len(field.after) for field in rows[-1].fields)
        if len(rows) > page.size or (len(rows) > 1 and told > MOST_BYTES):
            page = replace(page, size=len(rows) - 1)
            break
    else:
        page = replace(page, size=len(rows))
    return VersionDiff(page.cut(rows, _position_of), counts, comparison.unchanged())


def _position_of(row: RowDiff) -> Sequence[str]:
    return [str(row.difference.position)]


def _fields(difference: Difference, readers: Readers) -> Sequence[FieldDiff]:
    """Of a row that is in both versions."""
    if difference.base is None or difference.target is None:
        return []
    return field_diffs(_row(difference.base, readers, "base"), _row(difference.target, readers, "target"))


def _row(place: Place, readers: Readers, role: Role) -> dict[str, Any]:
    reader = readers[role, place.side]
    reader.seek(place.begin)
    row: dict[str, Any] = json.loads(reader.readline())
    return row
