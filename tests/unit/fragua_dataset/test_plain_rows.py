"""The fast way through blocks of plain rows comes to the same verdict as the careful one, or leaves it to it."""

import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion import json_lines
from fragua_dataset.ingestion.json_lines import PlainBlock, json_line_keys
from fragua_dataset.ingestion.plain_rows import PlainRows
from fragua_dataset.ingestion.shapes import Example, example_from_row

Verdict = list[tuple[int, str]]
"""By line: the id of the row, or that it is wrong."""


def verdict_on(found: Any) -> str:
    return found.id if isinstance(found, Example) else "wrong"


def careful(content: bytes, spec: VersionSpec) -> Verdict:
    records = json_lines.json_lines(io.BufferedReader(io.BytesIO(content)), spec)
    return [
        (record.line, verdict_on(example_from_row(record.row, spec) if isinstance(record.row, dict) else None))
        for record in records
    ]


def fast(content: bytes, spec: VersionSpec) -> Verdict:
    found: Verdict = []
    for record in json_line_keys(io.BufferedReader(io.BytesIO(content)), spec):
        if isinstance(record, PlainBlock):
            found += [(record.first_line + place, f"{key:016x}") for place, key in enumerate(record.keys)]
        else:
            row = example_from_row(record.row, spec) if isinstance(record.row, dict) else None
            found.append((record.line, verdict_on(row)))
    return found


def is_plain(content: bytes, **spec: Any) -> bool:
    return PlainRows(VersionSpec(**spec)).keys(content) is not None


TEXTS = st.text(alphabet='aZ ñÉ日😀"\\\n\t\u00a0{}:,\x7f', max_size=6)
ROWS = st.one_of(
    st.fixed_dictionaries({"prompt": TEXTS, "completion": TEXTS}),
    st.fixed_dictionaries({"instruction": TEXTS, "input": TEXTS, "output": TEXTS}),
    st.fixed_dictionaries({"output": TEXTS, "instruction": TEXTS}),
)
FLAWS = st.sampled_from(
    [
        lambda line: line.replace("}", ', "prompt": "b"}'),
        lambda line: line.replace("}", ', "prompt": 1}'),
        lambda line: line.replace(': "', ": 1, ", 1),
        lambda line: '{"prompt": 1, "completion": "b", "prompt": "c"}',
        lambda line: '{"prompt": "a", "completion": 1, "completion": 2}',
        lambda line: line + line,
        lambda line: line + "\n\n",
        lambda line: line.replace(": ", ":\n"),
        lambda line: line.replace(": ", " :"),
        lambda line: line.replace(', "', ' , "'),
        lambda line: line + "\r",
        lambda line: line + " ",
        lambda line: " " + line,
        lambda line: line[:-1],
        lambda line: line.replace('"}', '\\u0000"}'),
        lambda line: line.replace('"}', '\\ud800"}'),
        lambda line: line.replace('"}', '\x01"}'),
        lambda line: line.replace('"}', '\\\\"}'),
        lambda line: line.replace("prompt", "\\u0070rompt"),
        lambda line: line.replace("}", ', "tema": "x"}'),
        lambda line: line.replace("}", ', "group": 1.5}'),
        lambda line: line.replace("}", ', "metadata": "x"}'),
        lambda line: "[]",
        lambda line: "",
    ]
)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), ascii_only=st.booleans(), compact=st.booleans())
def test_both_ways_see_the_same_rows_on_the_same_lines(data: st.DataObject, ascii_only: bool, compact: bool) -> None:
    one = data.draw(ROWS)
    rows = [one, *data.draw(st.lists(st.just(one) | ROWS.filter(lambda row: row.keys() == one.keys()), max_size=5))]
    separators = (",", ":") if compact else None
    lines = [json.dumps(row, ensure_ascii=ascii_only, separators=separators) for row in rows]
    for place in data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=2)):
        lines[place] = data.draw(FLAWS)(lines[place])
    content = ("\n".join(lines) + data.draw(st.sampled_from(["\n", ""]))).encode()
    spec = VersionSpec(shape="auto", format="jsonl", max_line_bytes=data.draw(st.sampled_from([64, 10_000])))
    with pytest.MonkeyPatch.context() as patch:
        # Rows of a later block are held against those of an earlier one.
        patch.setattr(json_lines, "_BLOCK", data.draw(st.sampled_from([70, 256 << 10])))
        assert fast(content, spec) == careful(content, spec)


@settings(max_examples=300, deadline=None)
@given(
    text=st.binary(max_size=6) | st.text(alphabet="¿ñÉ–日😀 \u2003", max_size=4).map(str.encode),
    field=st.sampled_from(["prompt", "completion"]),
)
@example(text="Árbol".encode("latin-1"), field="prompt")
@example(text="Àpex".encode("latin-1"), field="completion")
def test_bytes_that_are_no_utf8_or_cannot_be_seen_are_never_taken_for_text(text: bytes, field: str) -> None:
    row = {"prompt": b"a", "completion": b"b"} | {field: text}
    line = b'{"prompt": "%s", "completion": "%s"}\n' % (row["prompt"], row["completion"])
    spec = VersionSpec(format="jsonl")
    assert fast(line * 3, spec) == careful(line * 3, spec)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "¿Qué?", "completion": "Nada."},
        {"instruction": "Di", "input": "", "output": "Árbol", "topic": "Ñ"},
        {"instruction": "Di", "input": "esto", "output": "línea\nlínea"},
    ],
)
def test_common_rows_take_the_fast_way(row: dict[str, str]) -> None:
    for ascii_only in (True, False):
        assert is_plain(json.dumps(row, ensure_ascii=ascii_only).encode() + b"\n")


def test_a_profile_that_takes_other_shapes_is_respected() -> None:
    line = b'{"prompt": "a", "completion": "b"}\n'
    assert is_plain(line)
    assert not is_plain(line, profile={"name": "choices", "shapes": ["multiple_choice"]})
    assert not is_plain(line, shape="messages")


@pytest.mark.parametrize("block", [1, 40, 100])
def test_lines_are_counted_across_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", block)
    good, bad, long = b'{"prompt": "a", "completion": "b"}', b"no", b'{"prompt": "' + b"a" * 300 + b'"}'
    content = b"\n".join([good, good, bad, good, long, b"", good, good])
    spec = VersionSpec(format="jsonl", max_line_bytes=100)
    assert fast(content, spec) == careful(content, spec)
    assert [line for line, _ in fast(content, spec)] == [1, 2, 3, 4, 5, 7, 8]
    assert [line for line, row in fast(content, spec) if row == "wrong"] == [3, 5]
