"""Telling what differs between two versions, row by row and field by field."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from io import BufferedReader
from pathlib import Path
from typing import Any

from fragua_dataset.application.comparison import Comparison, Difference, Place, Role
from fragua_dataset.application.mended import CHANGES, is_mended_from, mended_rows
from fragua_dataset.application.row_diffs import RowDiff, VersionDiff, cut_page
from fragua_dataset.application.row_files import RowFiles
from fragua_dataset.application.rows import malformed_token
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.rows import FieldDiff, Side, field_diffs
from fragua_dataset.domain.version import Version, require_files
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation
from fragua_platform.paging import PageRequest

_KEPT = 8
"""Comparisons that are kept for their next pages."""

Readers = Mapping[tuple[Role, Side], BufferedReader]


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
        before, after = (await self._versions.get(base)).version, (await self._versions.get(target)).version
        if is_mended_from(after, before):
            return await self._mended(after, page)
        bundles: dict[Role, Bundle] = {"base": require_files(before), "target": require_files(after)}
        comparison = await self._comparison(bundles)
        with ExitStack() as stack:
            readers = await self._open(bundles, stack)
            return await asyncio.to_thread(_read_page, comparison, readers, page)

    async def _mended(self, target: Version, page: PageRequest) -> VersionDiff:
        with closing(await self._files.open(require_files(target).manifest.file(CHANGES))) as changes:
            return await asyncio.to_thread(mended_rows, changes, target, page)

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
    differences = comparison.differences(after, page.size + 1)
    rows = (RowDiff(difference, _fields(difference, readers)) for difference in differences)
    return VersionDiff(cut_page(rows, page), counts, comparison.unchanged())


def _fields(difference: Difference, readers: Readers) -> Sequence[FieldDiff]:
    """Of a row that is in both versions."""
    if difference.base is None or difference.target is None:
        return []
    return field_diffs(_row(difference.base, readers, "base"), _row(difference.target, readers, "target"))


def _row(place: Place, readers: Readers, role: Role) -> dict[str, Any]:
    assert place.side is not None, "versions with rows are divided"
    reader = readers[role, place.side]
    reader.seek(place.begin)
    row: dict[str, Any] = json.loads(reader.readline())
    return row
