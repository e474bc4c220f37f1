"""Pages and their tokens: what comes back, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua_platform.errors import InvalidInput
from fragua_platform.paging import DEFAULT_PAGE_SIZE, Page, PageRequest, page_request


def token_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_nothing_asked_means_the_first_page_of_the_usual_size() -> None:
    assert page_request(0, "", key_length=2) == PageRequest(DEFAULT_PAGE_SIZE)


def test_the_last_page_has_no_token() -> None:
    assert PageRequest(3).cut(["a", "b", "c"], lambda row: [row]) == Page(["a", "b", "c"], "")


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_a_token_brings_back_the_key_of_the_last_item(key: list[str]) -> None:
    page = PageRequest(1).cut(["seen", "one more"], lambda _: key)

    assert page.items == ["seen"]
    assert page_request(1, page.next_token, key_length=len(key)).after == tuple(key)


def test_a_page_keeps_its_token_when_its_items_change_shape() -> None:
    assert Page([1, 2], "more").map(str) == Page(["1", "2"], "more")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ñ",
        "%%%",
        token_of("ab"),
        token_of({"0": "a", "1": "b"}),
        token_of(["a"]),
        token_of(["a", "b", "c"]),
        token_of(["a", 1]),
        token_of(["a", "\0"]),
        token_of(["a", "\ud800"]),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_token_of_nobody_is_refused_by_name(token: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        page_request(10, token, key_length=2)

    assert [violation.field for violation in refused.value.violations] == ["page_token"]


@pytest.mark.parametrize("text", ["", "ayer", "2026-13-01", "0001-01-01T00:00:00+23:59"])
def test_a_key_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        PageRequest(1, (text,)).instant(0)


@pytest.mark.parametrize("text", ["", "uno", "1.5", "9" * 30, "9" * 5000])
def test_a_key_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        PageRequest(1, (text,)).number(0)


def test_times_come_back_in_utc() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=1)))

    assert PageRequest(1, (noon.isoformat(),)).instant(0).tzinfo is UTC
    assert PageRequest(1, (noon.isoformat(),)).instant(0) == noon
