"""Keys are relative paths of plain segments, and every problem of a bad one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua_platform.artifacts.keys import check_key, check_prefix
from fragua_platform.errors import InvalidInput


@pytest.mark.parametrize(
    "key", ["a", "a/b.c", "año/diseño 1/模型", "models/base/x/.gitattributes", "a..b/c...", "ñ" * 127]
)
def test_plain_paths_are_keys(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "is empty"),
        ("/a", "is absolute"),
        ("a//b", "empty segment"),
        ("a/ /b", "empty segment"),
        ("a/", "empty segment"),
        ("../a", r"segment \. or \.\."),
        ("a/./b", r"segment \. or \.\."),
        (".incoming/a", "starts with a dot"),
        ("a\\b", "backslash"),
        ("a\x00b", "control characters"),
        ("a\x9fb", "control characters"),
        ("a\ud800", "not valid Unicode"),
        ("a/" * 450 + "a", "has 901 bytes; the limit is 900"),
        ("ñ" * 128, "segment of more than 255 bytes"),
    ],
)
def test_other_keys_are_refused_with_the_reason(key: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        check_key(key)


def test_all_problems_are_told_together() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_key("/../a\\b\n")

    assert len(refused.value.violations) == 4


@given(st.text(alphabet=st.sampled_from("a./\\ \n\x00ñ~"), max_size=12))
def test_no_accepted_key_leaves_its_root(key: str) -> None:
    try:
        check_key(key)
    except InvalidInput:
        return
    path = Path("/root") / key
    assert path.resolve() == path
    assert path.relative_to("/root").as_posix() == key


def test_a_prefix_is_a_folder_or_everything() -> None:
    assert check_prefix("") == ""
    assert check_prefix("a/b") == check_prefix("a/b/") == "a/b"
    for prefix in ("/", "a//", "../a"):
        with pytest.raises(InvalidInput):
            check_prefix(prefix)
