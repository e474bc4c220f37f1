"""What is remembered of rows comes back as it was written, however much of it is looked at at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from fragua_dataset.ingestion.ledger import Column, parts_of

NUMBERS = [*range(100), 2**64 - 1]


@pytest.fixture(params=[1, 7, 100, 1000])
def column(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Column]:
    monkeypatch.setattr("fragua_dataset.ingestion.ledger._ROWS_AT_ONCE", request.param)
    with closing(Column(tmp_path / "numbers")) as column:
        column.append(NUMBERS[0])
        column.extend(NUMBERS[1:50])
        column.extend_with(np.array(NUMBERS[50:], np.uint64))
        yield column


def test_numbers_are_read_by_row_by_part_and_all(column: Column) -> None:
    assert len(column) == len(NUMBERS)
    assert [column[row] for row in (0, 49, 50, 100)] == [0, 49, 50, 2**64 - 1]
    assert column[98:200].tolist() == NUMBERS[98:]
    assert [number for part in parts_of(len(column)) for number in column[part].tolist()] == NUMBERS


def test_rows_are_looked_up_in_the_order_asked_for(column: Column) -> None:
    rows = [100, 3, 3, 0, 77]
    assert column.at(np.array(rows)).tolist() == [NUMBERS[row] for row in rows]
    assert column.at(np.empty(0, np.int64)).tolist() == []


def test_a_column_without_rows_has_no_parts(tmp_path: Path) -> None:
    with closing(Column(tmp_path / "none")) as column:
        assert [*parts_of(len(column))] == []
        assert column[0:10].tolist() == []
