"""Looking into versions: their rows page by page or by chance, and their audits."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from io import BufferedReader
from typing import Final

from fragua_dataset.application.row_files import RowFiles
from fragua_dataset.application.treatment import PolicyOf
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.audit import AuditReport, both_sides
from fragua_dataset.domain.rows import Side, StoredRow
from fragua_dataset.domain.version import require_files
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation
from fragua_platform.paging import Page, PageRequest

MOST_BYTES: Final = 4 * 1024 * 1024
"""What the rows of one answer may take in their files; as messages they take up to three times as much."""
_ID = slice(len('{"id":"'), len('{"id":"') + 16)
"""Where a line has the id of its row."""

Readers = Mapping[Side, BufferedReader]


class Rows:
    def __init__(self, versions: Versions, files: RowFiles, store: ArtifactStore, policy_of: PolicyOf) -> None:
        self._versions = versions
        self._files = files
        self._store = store
        self._policy_of = policy_of

    async def list(self, name: str, side: Side | None, page: PageRequest) -> Page[StoredRow]:
        """In the order of the files. A page may be shorter than asked, where rows are long."""
        bundle = await self._bundle(name)
        sides = [side] if side else [*Side]
        offset = 0
        if page.after:
            if page.after[0] not in sides:
                raise malformed_token()
            sides, offset = sides[sides.index(Side(page.after[0])) :], page.number(1)
            if not 0 <= offset <= bundle.manifest.file(sides[0].rows).size:
                raise malformed_token()
        async with self._readers(bundle, sides) as readers:
            return await asyncio.to_thread(_read_page, readers, offset, page)

    async def sample(self, name: str, size: int, seed: int) -> Sequence[StoredRow]:
        """`size` rows by chance, or as many as the branch's policy says when it is 0; their order is chance too.

        The seed gives each row its chance, by its id: the same seed gives the same rows, and a larger sample begins
        with the smaller one.
        """
        bundle = await self._bundle(name)
        size = size or (await self._policy_of(name.split("/")[1])).sample_size
        async with self._readers(bundle, [*Side]) as readers:
            return await asyncio.to_thread(_draw, readers, size, seed)

    async def audit(self, name: str, side: Side | None) -> AuditReport:
        """Also of a version that is INVALID: an audit tells what to mend."""
        manifest = await self._versions.files(name)
        reports = []
        for each in [side] if side else [*Side]:
            file = manifest.file(each.audit)
            content = await self._store.get_bytes(file.key, sha256=file.sha256)
            reports.append(AuditReport.model_validate_json(content))
        return reports[0] if side else both_sides(*reports)

    async def _bundle(self, name: str) -> Bundle:
        return require_files((await self._versions.get(name)).version)

    @asynccontextmanager
    async def _readers(self, bundle: Bundle, sides: Sequence[Side]) -> AsyncIterator[Readers]:
        with ExitStack() as stack:
            yield {
                side: stack.enter_context(closing(await self._files.open(bundle.manifest.file(side.rows))))
                for side in sides
            }


def malformed_token() -> InvalidInput:
    problem = Violation("page_token", "is not a token of this list; leave it empty for the first page")
    return InvalidInput("malformed page_token", violations=[problem])


def _read_page(readers: Readers, offset: int, page: PageRequest) -> Page[StoredRow]:
    """From `offset` of the first file on. One row more than fits tells that there is another page."""
    rows: list[StoredRow] = []
    taken = 0
    for side, reader in readers.items():
        for row in _rows_from(reader, side, offset):
            rows.append(row)
            taken += row.end - row.begin
            if len(rows) > page.size or (len(rows) > 1 and taken > MOST_BYTES):
                return replace(page, size=len(rows) - 1).cut(rows, _end_of)
        offset = 0
    return replace(page, size=len(rows)).cut(rows, _end_of)


def _end_of(row: StoredRow) -> Sequence[str]:
    return [row.side, str(row.end)]


def _rows_from(reader: BufferedReader, side: Side, offset: int) -> Iterator[StoredRow]:
    if offset:
        reader.seek(offset - 1)
        if reader.read(1) != b"\n":
            raise malformed_token()
    while (row := _row_at(reader, side, offset)) is not None:
        yield row
        offset = row.end


def _row_at(reader: BufferedReader, side: Side, begin: int) -> StoredRow | None:
    """None at the end of the file."""
    reader.seek(begin)
    line = reader.readline()
    return StoredRow(side, begin, begin + len(line), json.loads(line)) if line else None


def _draw(readers: Readers, size: int, seed: int) -> Sequence[StoredRow]:
    drawn = heapq.nsmallest(size, _chances(readers, seed))
    if sum(end - begin for _, _, begin, end in drawn) > MOST_BYTES:
        problem = Violation("size", f"{size} rows take more than {MOST_BYTES} bytes; ask for fewer")
        raise LimitExceeded(problem.description, violations=[problem])
    return [row for _, side, begin, _ in drawn if (row := _row_at(readers[side], side, begin))]


def _chances(readers: Readers, seed: int) -> Iterator[tuple[bytes, Side, int, int]]:
    salt = seed.to_bytes(8, "big")
    for side, reader in readers.items():
        begin = 0
        for line in reader:
            end = begin + len(line)
            yield hashlib.blake2b(line[_ID], digest_size=8, salt=salt).digest(), side, begin, end
            begin = end
