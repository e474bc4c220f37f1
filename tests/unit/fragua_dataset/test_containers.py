"""JSON arrays, CSV, archives and other encodings: what is read, what is refused, and where it is wrong."""

import csv
import gzip
import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion import json_array
from fragua_dataset.ingestion.compression import Unpacked, archive_of
from fragua_dataset.ingestion.containers import read_records
from fragua_dataset.ingestion.records import Record
from fragua_platform.errors import FailureClass, FraguaError, InvalidData, LimitExceeded
from tests.unit.fragua_dataset.importing import Import, questions

ROWS: list[dict[str, Any]] = [json.loads(line) for line in questions(50).splitlines()]


def gzipped(content: bytes) -> bytes:
    """The same bytes at any time, so that tests that are named after them have one name."""
    return gzip.compress(content, mtime=0)


def read(content: bytes, **spec: Any) -> list[Record]:
    return list(read_records(io.BufferedReader(io.BytesIO(content)), VersionSpec(**spec)))


def rows(content: bytes, **spec: Any) -> list[dict[str, Any]]:
    found = [record.row for record in read(content, **spec)]
    assert all(isinstance(row, dict) for row in found), found
    return [row for row in found if isinstance(row, dict)]


def flaws(content: bytes, **spec: Any) -> list[tuple[int, str, str]]:
    """Line, code and message of all that is wrong."""
    return [
        (record.line, flaw.code.value, flaw.message)
        for record in read(content, **spec)
        if isinstance(record.row, list)
        for flaw in record.row
    ]


def as_csv(content: list[dict[str, Any]], separator: str = ",") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(content[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(content)
    return file.getvalue().encode()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
        b"\xef\xbb\xbf \r\n" + json.dumps(ROWS, indent=2).replace("\n", "\r\n").encode(),
        as_csv(ROWS),
        b"\xef\xbb\xbf" + as_csv(ROWS, ";"),
        as_csv(ROWS, "\t").replace(b"\r\n", b"\n"),
        gzipped(questions(50)),
        gzipped(questions(50)[:1_000]) + gzipped(questions(50)[1_000:]) + b"\0" * 512,
        zstandard.compress(json.dumps(ROWS).encode()),
        zstandard.compress(as_csv(ROWS)[:999]) + zstandard.compress(as_csv(ROWS)[999:]),
    ],
)
def test_the_same_rows_in_any_container_give_the_same_version(content: bytes, tmp_path: Path) -> None:
    plain, other = Import(tmp_path / "1", questions(50)), Import(tmp_path / "2", content)
    assert plain.run().files == other.run().files
    assert other.report.source.bytes == len(content)


@settings(deadline=None)
@given(
    elements=st.lists(st.dictionaries(st.text(max_size=3), st.text(alphabet='a"\\[]{},:ñ\n ', max_size=9), max_size=3)),
    indent=st.sampled_from([None, 1]),
)
def test_every_array_that_json_writes_is_read_back_element_by_element(
    elements: list[dict[str, str]], indent: int | None
) -> None:
    found = read(json.dumps(elements, indent=indent).encode(), format="json", max_line_bytes=10_000)
    nul = [any("\0" in key for key in element) for element in elements]
    assert [record.row for record, skip in zip(found, nul, strict=True) if not skip] == [
        element for element, skip in zip(elements, nul, strict=True) if not skip
    ]
    assert [record.index for record in found] == list(range(len(elements)))


def test_an_array_longer_than_any_buffer_is_read_with_the_line_of_each_element() -> None:
    elements = [{"a": 'é"\\[{' * n} for n in range(800)]
    content = "[" + ",\n".join(json.dumps(element, ensure_ascii=False) for element in elements) + "]"
    assert len(content.encode()) > 4 * 2**18
    found = read(content.encode())
    assert [record.row for record in found] == elements
    assert [record.line for record in found] == list(range(1, 801))


@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
def test_it_does_not_matter_where_the_text_of_an_array_is_cut(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    elements = [{"a": '\\"ñ\\', "b": [{"c": ["]", "}", ","]}]}, {"d": "\\" * 200}, {"e": '"' * 9}]
    monkeypatch.setattr(json_array, "_READ_AT_ONCE", at_once)
    found = read(json.dumps(elements, indent=1).encode(), max_line_bytes=100)
    assert [record.row for record in found if isinstance(record.row, dict)] == [elements[0], elements[2]]
    assert [record.line for record in found] == [2, 14, 17]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b'[{"a": 1},\n]', 2, "byte 12: an element is missing before ']'"),
        (b'[{"a": 1},,{"a": 2}]', 1, "byte 11: an element is missing before ','"),
        (b'[{"a": 1}', 1, "ends inside this element"),
        (b'[{"a": 1},\n{"a": "2', 2, "begins at byte 12"),
        (b'[{"a": 1}]\n{"a": 2}', 2, "byte 12: text follows the end"),
        (b'[{"a": 1},\n {"a": \'2\'}]', 2, "(the row begins at byte 13)"),
        (b'[{"a": 1} {"a": 2}]', 1, "Extra data"),
        (b'[{"a": 1}}]', 1, "Extra data"),
    ],
)
def test_a_broken_array_is_told_with_its_line_and_byte(content: bytes, line: int, message: str) -> None:
    found = flaws(content)
    assert [(found_line, code) for found_line, code, _ in found] == [(line, "INVALID_JSON")]
    assert message in found[0][2]


def test_a_flaw_inside_an_array_is_pointed_to_from_the_array(tmp_path: Path) -> None:
    refusal = Import(tmp_path, b'[{"prompt": "a", "completion": "b"}, {"prompt": 3}, 7]').refusal()
    assert [violation.field for violation in refusal.violations] == [
        "line 1, /1/prompt",
        "line 1, /1/completion",
        "line 1, /2",
    ]


def test_a_repeat_on_the_same_line_of_an_array_is_found(tmp_path: Path) -> None:
    report = Import(tmp_path, json.dumps(ROWS + ROWS[:1]).encode()).run()
    assert report.problem_counts == {"DUPLICATE_EXAMPLE": 1}
    assert "element 0" in report.problems[0].message
    assert report.problems[0].pointer == "/50"


def test_an_element_over_the_limit_is_told_and_the_next_one_is_read() -> None:
    content = json.dumps([{"a": "b" * 3_000_000}, {"a": "\\" * 3_000_000}, {"a": "c"}]).encode()
    found = read(content, max_line_bytes=100)
    assert [code for _, code, _ in flaws(content, max_line_bytes=100)] == ["LINE_TOO_LONG"] * 2
    assert found[2].row == {"a": "c"}


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    assert read(b"[ ]\n") == []
    assert Import(tmp_path, b"[]").refusal().violations[0].field == "file"


# R12
@pytest.mark.parametrize("form", ["[%s]", "%s"])
def test_ten_thousand_levels_are_a_flaw_of_their_row_only(form: str) -> None:
    deep = '{"a": ' + "[" * 10_000 + "]" * 10_000 + "}"
    separator = "," if form == "[%s]" else "\n"
    content = (form % separator.join([deep, '{"b": 1}'])).encode()
    assert [(line, code) for line, code, _ in flaws(content)] == [(1, "TOO_DEEP")]
    assert read(content)[1].row == {"b": 1}


def test_cells_keep_line_breaks_quotes_and_separators_and_rows_their_first_line() -> None:
    content = 'prompt;completion\r\n"¿Qué\r\nes ""eso""; di?";"Una\n\ncosa"\r\nsí;no\r\n\r\n"a";"b"'
    assert rows(content.encode()) == [
        {"prompt": '¿Qué\r\nes "eso"; di?', "completion": "Una\n\ncosa"},
        {"prompt": "sí", "completion": "no"},
        {"prompt": "a", "completion": "b"},
    ]
    assert [record.line for record in read(content.encode())] == [2, 6, 8]


@settings(deadline=None)
@given(
    cells=st.lists(st.tuples(*[st.text(alphabet='a",;\t\r\nñ', min_size=1, max_size=6)] * 2), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
)
def test_every_csv_that_python_writes_is_read_back(cells: list[tuple[str, str]], separator: str) -> None:
    written = [{"prompt": prompt, "completion": completion} for prompt, completion in cells]
    assert rows(as_csv(written, separator)) == written


def test_columns_with_structure_hold_json_and_empty_cells_nothing() -> None:
    content = b'question,choices,answer,group\n"1 + 1","[""1"", ""2""]",B,\n'
    assert rows(content) == [{"question": "1 + 1", "choices": ["1", "2"], "answer": "B"}]
    for cell, code in (("[1,", "INVALID_JSON"), ("[1], 2", "INVALID_JSON"), ("[NaN]", "NOT_A_JSON_NUMBER")):
        assert [found for _, found, _ in flaws(f'question,choices\na,"{cell}"\n'.encode())] == [code]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'prompt,completion\n"a"b,c\nd,e\n', [(2, "INVALID_CSV")]),
        (b'prompt,completion\na,b\n"c,d\n', [(3, "INVALID_CSV")]),
        (b"prompt,completion\na,b\na,b,c\na\n", [(3, "INVALID_CSV"), (4, "INVALID_CSV")]),
        (b"prompt,prompt\na,b\n", [(1, "DUPLICATE_KEY")]),
        (b"prompt,completion\na,b\nqu\xe9,d\n", [(3, "INVALID_UTF8")]),
        (b"prompt,completion\na,b\0\n", [(2, "NUL_CHARACTER")]),
        (b"prompt,completion\na,b\n" + b"c" * 101 + b",d\n", [(3, "LINE_TOO_LONG")]),
        (b'prompt,completion\n"a,b\n' + b"\n" * 300, [(2, "LINE_TOO_LONG")]),
    ],
)
def test_a_broken_record_is_told_at_the_line_where_it_begins(content: bytes, expected: list[tuple[int, str]]) -> None:
    assert [(line, code) for line, code, _ in flaws(content, max_line_bytes=100)] == expected


def test_a_table_with_strange_names_says_which_names_are_known(tmp_path: Path) -> None:
    problem = Import(tmp_path, b"pregunta;respuesta\n1;2\n").refusal().violations[0]
    assert problem.field == "line 2"
    assert "'pregunta'" in problem.description
    assert "{prompt, completion}" in problem.description


def test_a_named_format_is_believed() -> None:
    assert rows(b"prompt\na\n", format="csv") == [{"prompt": "a"}]
    assert [code for _, code, _ in flaws(b'{"a": 1}', format="json")] == ["INVALID_JSON"]


# With the checksum that the `zstd` command writes; without it damage can pass for other text.
PACKED = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}


@pytest.mark.parametrize("archive", PACKED)
def test_an_archive_that_was_cut_or_damaged_is_refused_by_name(archive: str, tmp_path: Path) -> None:
    noise = random.Random(1)
    text = b"".join(b'{"prompt": "%x", "completion": "b"}\n' % noise.getrandbits(256) for _ in range(9_000))
    packed = PACKED[archive](text)
    for name, content, reason in (
        ("cut", packed[:-9], "TRUNCATED_ARCHIVE"),
        ("head", packed[:12], "TRUNCATED_ARCHIVE"),
        ("damaged", packed[:60_000] + b"\xff" * 9_000 + packed[69_000:], "CORRUPT_ARCHIVE"),
        ("followed", packed + b"rubbish", "CORRUPT_ARCHIVE"),
    ):
        imported = Import(tmp_path / name, content)
        refusal = imported.refusal()
        assert (refusal.reason, refusal.failure_class) == (reason, FailureClass.USER_DATA), name
        assert archive in refusal.message
        assert imported.outputs == set()


@pytest.mark.parametrize("archive", PACKED)
@pytest.mark.parametrize("filler", [b"\n", b" "])
def test_a_bomb_is_refused_before_it_takes_memory(archive: str, filler: bytes, tmp_path: Path) -> None:
    imported = Import(tmp_path, PACKED[archive](filler * (300 << 20)))
    tracemalloc.start()
    try:
        refusal = imported.refusal()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (refusal.reason, refusal.failure_class) == ("DECOMPRESSION_BOMB", FailureClass.USER_DATA)
    assert most < 100 << 20
    assert imported.outputs == set()


def test_an_archive_may_not_hold_more_than_its_limit(tmp_path: Path) -> None:
    refusal = Import(tmp_path, gzip.compress(questions(50)), max_unpacked_bytes=1_000).refusal()
    assert isinstance(refusal, LimitExceeded)
    assert "max_unpacked_bytes" in refusal.message


@pytest.mark.parametrize(
    ("content", "reason", "name"),
    [
        (b"PAR1....", "CORRUPT_PARQUET", "Parquet"),
        (gzipped(b"PAR1...."), "UNSUPPORTED_FORMAT", "Parquet"),
        (b"PK\x03\x04....", "UNSUPPORTED_FORMAT", "zip"),
        (gzipped(gzipped(b"{}")), "UNSUPPORTED_FORMAT", "gzip archive inside another"),
        ("{}".encode("utf-16"), "UNSUPPORTED_ENCODING", "iconv -f UTF-16 -t UTF-8"),
        (questions(3).decode().encode("utf-16-le"), "UNSUPPORTED_ENCODING", "UTF-16LE"),
        (questions(3).decode().encode("utf-16-be"), "UNSUPPORTED_ENCODING", "UTF-16BE"),
        (gzipped("[]".encode("utf-32")), "UNSUPPORTED_ENCODING", "UTF-32"),
        (questions(3).decode().encode("mac_roman"), "UNSUPPORTED_ENCODING", "iconv -f MACINTOSH -t UTF-8"),
        (questions(3).decode().encode("cp1252"), "UNSUPPORTED_ENCODING", "iconv -f WINDOWS-1252 -t UTF-8"),
        (as_csv(ROWS, ";").decode().encode("latin-1"), "UNSUPPORTED_ENCODING", "¿Cuánto es 0"),
        (questions(3).decode().encode("mac-roman"), "UNSUPPORTED_ENCODING", "UTF-8"),
    ],
)
def test_another_format_or_encoding_is_refused_by_its_name(
    content: bytes, reason: str, name: str, tmp_path: Path
) -> None:
    refusal: FraguaError = Import(tmp_path, content).refusal()
    assert isinstance(refusal, InvalidData)
    assert (refusal.reason, refusal.failure_class) == (reason, FailureClass.USER_DATA)
    assert name in refusal.message


def test_one_character_that_is_not_utf8_is_told_at_its_row_with_what_it_may_be(tmp_path: Path) -> None:
    refusal = Import(tmp_path, questions(3) + b'{"prompt": "qu\xe9", "completion": "b"}\n').refusal()
    assert [violation.field for violation in refusal.violations] == ["line 4"]
    assert "qué" in refusal.violations[0].description


def test_mojibake_warns_and_the_version_stays_valid(tmp_path: Path) -> None:
    report = Import(tmp_path, questions(3) + '{"prompt": "Â¿PiÃ±a?", "completion": "SÃ­."}\n'.encode()).run()
    assert report.valid
    assert report.problem_counts == {"MOJIBAKE": 2}
    assert [(problem.line, problem.pointer) for problem in report.problems] == [(4, "/prompt"), (4, "/completion")]


HOSTILE = st.lists(
    st.binary(max_size=8)
    | st.sampled_from(
        [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b";", b"\t", b"\r", b"\n", b'"":', b"1", b"\0", b"\xc3"]
    ),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(content=HOSTILE, container=st.sampled_from(["auto", "jsonl", "json", "csv"]))
def test_whatever_the_bytes_are_they_are_rows_or_flaws_or_refused_by_name(content: bytes, container: str) -> None:
    found: list[Record] = []
    reason = ""
    try:
        found = read(content, format=container, max_line_bytes=64)
    except InvalidData as refusal:
        reason = refusal.reason
    assert reason in {"", "UNSUPPORTED_ENCODING", "UNSUPPORTED_FORMAT"}
    assert len({str(record.place) for record in found}) == len(found)
    assert all(record.row or isinstance(record.row, dict) for record in found)


@pytest.mark.parametrize("archive", PACKED)
@settings(deadline=None)
@given(content=HOSTILE, keep=st.integers(4, 60))
def test_whatever_follows_in_an_archive_it_is_unpacked_or_refused_by_name(
    archive: str, content: bytes, keep: int
) -> None:
    packed = PACKED[archive](questions(1))[:keep] + content
    reason = ""
    try:
        unpacked(packed)
    except InvalidData as refusal:
        reason = refusal.reason
    assert reason in {"", "TRUNCATED_ARCHIVE", "CORRUPT_ARCHIVE", "DECOMPRESSION_BOMB"}


def unpacked(packed: bytes) -> bytes:
    archive = archive_of(packed)
    assert archive
    file = io.BytesIO(packed)
    return Unpacked(file, archive, VersionSpec(), lambda: None).read()  # type: ignore[arg-type]
