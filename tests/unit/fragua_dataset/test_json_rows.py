"""Lines of JSON: good ones are read as they are, bad ones are told with their place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua_dataset.ingestion.json_rows import parse_row

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "\\u0000" not in json.dumps(value))


@given(row=st.dictionaries(st.text(alphabet='a":ñ\\ {', max_size=4), VALUES, max_size=4), ascii_only=st.booleans())
def test_every_row_that_json_writes_is_read_back_as_it_was(row: dict[str, object], ascii_only: bool) -> None:
    line = json.dumps(row, ensure_ascii=ascii_only).encode() + b"\r\n"
    assert parse_row(line, max_depth=32) == row


@given(key=st.text(alphabet='a":ñ\\', max_size=4), depth=st.integers(0, 3), space=st.sampled_from(["", " ", "\t"]))
def test_a_repeated_key_is_found_at_any_depth(key: str, depth: int, space: str) -> None:
    name = json.dumps(key) + space
    line = '{"in": ' * depth + f'{{{name}:1, {name}:2, "text": "not a \\"key\\": no"}}' + "}" * depth
    flaws = parse_row(line.encode(), max_depth=32)
    assert isinstance(flaws, list)
    assert [flaw.code for flaw in flaws] == ["DUPLICATE_KEY"]
    assert flaws[0].pointer == "/in" * depth + "/" + key.replace("~", "~0").replace("/", "~1")


@pytest.mark.parametrize(
    ("line", "code", "pointer"),
    [
        (b'{"prompt": "qu\xe9"}', "INVALID_UTF8", ""),
        (b'{"prompt": "a\x00b"}', "NUL_CHARACTER", ""),
        (b'{"prompt": "a\\u0000b"}', "NUL_CHARACTER", "/prompt"),
        (b'{"prompt": "\\ud83d cut"}', "LONE_SURROGATE", "/prompt"),
        (b'{"prompt": "a",}', "INVALID_JSON", ""),
        (b"{'prompt': 'a'}", "INVALID_JSON", ""),
        (b'{"prompt": "a"} {"prompt": "b"}', "INVALID_JSON", ""),
        (b'{"a": [1, NaN]}', "NOT_A_JSON_NUMBER", "/a/1"),
        (b'{"a": -Infinity}', "NOT_A_JSON_NUMBER", "/a"),
        (b'{"a": 1e999}', "NOT_A_JSON_NUMBER", "/a"),
        (b'{"a": ' + b"9" * 5000 + b"}", "NOT_A_JSON_NUMBER", "/a"),
        (b'{"a/b": {"c~d": NaN}}', "NOT_A_JSON_NUMBER", "/a~1b/c~0d"),
        (b'{"a": ' + b"[" * 9 + b"]" * 9 + b"}", "TOO_DEEP", "/a" + "/0" * 7),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "TOO_DEEP", ""),
        (b"[1, 2]", "NOT_AN_OBJECT", ""),
        (b'"text"', "NOT_AN_OBJECT", ""),
    ],
)
def test_a_broken_line_is_told_with_its_place_and_a_way_out(line: bytes, code: str, pointer: str) -> None:
    flaws = parse_row(line, max_depth=8)
    assert isinstance(flaws, list)
    assert [(flaw.code, flaw.pointer) for flaw in flaws] == [(code, pointer)]
    assert flaws[0].message
    assert flaws[0].hint


def test_all_flaws_of_a_line_are_told_together() -> None:
    flaws = parse_row(b'{"a": NaN, "b": "\\ud800", "b": "\\udfff"}', max_depth=8)
    assert isinstance(flaws, list)
    assert {flaw.code for flaw in flaws} == {"NOT_A_JSON_NUMBER", "DUPLICATE_KEY", "LONE_SURROGATE"}
