"""What an engine makes of its job directory before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is not JSON"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "is not JSON"),
        ("año".encode("latin-1"), "is not JSON"),
        (b"[]", "holds list, expected an object"),
    ],
    ids=["half", "bottomless", "not UTF-8", "a list"],
)
def test_a_spec_that_is_none_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=rf"spec\.json {problem}"):
        JobDirectory(tmp_path).read_spec()
