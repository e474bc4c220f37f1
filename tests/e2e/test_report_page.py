"""The report's page in a real browser: it shows, filters, lets people vote blind, and runs nothing that a model wrote."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from fragua_cli.votes import VoteFile, parse_votes
from fragua_evaluator.domain.report import Answer, Ending, ItemRecord
from fragua_evaluator.scoring.documents import write_documents
from tests.browser import BrowserMissing, console_problems, open_browser
from tests.evaluation_samples import (
    METRIC,
    THREE_ARMS,
    items_of,
    make_evaluation,
    make_multiple_choice,
    make_perplexity,
    report_on,
)

HOSTILE = {
    "script": "<script>document.title = 'ran'</script></script><!-- <script>",
    "image": "<img src=x onerror=\"document.title='ran'\"> <svg onload=alert(1)>",
    "link": "<a href='javascript:alert(1)'>click</a> <base href='http://example.invalid/'>",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7} &lt;b&gt; &amp;",
    "directions": "admin\u202egnp.exe\u202c \u200fשלום, мир, ¿qué tal, año?",
    "control": "bell\x07 escape\x1b[31m null\x00 line\u2028separator",
}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Chrome]:
    try:
        with open_browser(downloads) as opened:
            yield opened
    except BrowserMissing as missing:
        if os.environ.get("CI") == "true" or os.environ.get("FRAGUA_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


Opener = Callable[[Sequence[ItemRecord]], str]


@pytest.fixture
def open_page(browser: Chrome, tmp_path: Path) -> Opener:
    def open_on(records: Sequence[ItemRecord]) -> str:
        write_documents(tmp_path, report_on(records, tuple(records[0].arms)), items_of(records))
        address = (tmp_path / "report.html").as_uri()
        browser.get_log("performance")
        console_problems(browser)
        browser.get(address)
        return address

    return open_on


def show(browser: Chrome, view: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"nav a[data-view={view}]").click()


def found(browser: Chrome) -> int:
    """How many items the table says it found."""
    return int(browser.find_element(By.ID, "found").text.split(" of ")[-1].split()[0].replace(",", ""))


def choose(browser: Chrome, select: str, value: str) -> None:
    Select(browser.find_element(By.ID, select)).select_by_value(value)


def search(browser: Chrome, text: str) -> None:
    field = browser.find_element(By.ID, "search")
    field.clear()
    field.send_keys(text)
    time.sleep(0.3)  # the page waits for the end of a word


def press(browser: Chrome, keys: str) -> None:
    browser.switch_to.active_element.send_keys(keys)


def panels(browser: Chrome) -> tuple[str, str]:
    left, right = browser.find_elements(By.CSS_SELECTOR, ".pair .answer")
    return left.text, right.text


# R161
def test_page_shows_the_verdict_first_and_asks_the_network_for_nothing(browser: Chrome, open_page: Opener) -> None:
    address = open_page(make_evaluation(24)[1] + make_multiple_choice() + make_perplexity())

    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("GO\nUse fine-tuned in place of baseline.")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.strip")) > 12
    for view in ("items", "review", "report"):
        show(browser, view)
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition("#")[0] for url in asked} <= {address, "data:,"}
    assert console_problems(browser) == []


def test_what_a_script_would_send_or_load_is_refused_by_the_page(browser: Chrome, open_page: Opener) -> None:
    open_page(make_evaluation(4)[1])

    outcome = browser.execute_async_script(
        "const done = arguments[0];"
        "const script = document.createElement('script'); script.textContent = \"document.title = 'ran'\";"
        "document.body.append(script);"
        "fetch('http://127.0.0.1:9/').then(() => done('sent'), () => done(document.title));"
    )

    assert outcome not in ("sent", "ran")
    assert any("Content Security Policy" in problem for problem in console_problems(browser))


def test_items_are_found_by_suite_tag_result_and_text(browser: Chrome, open_page: Opener) -> None:
    records = make_evaluation(60)[1] + make_multiple_choice()
    open_page(records)
    show(browser, "items")
    assert found(browser) == 72

    choose(browser, "suite", "exercises")
    assert found(browser) == 12
    choose(browser, "suite", "validation")
    choose(browser, "tag", "educación")
    assert found(browser) == 10
    choose(browser, "tag", "")

    choose(browser, "from", "1")
    scores = [[record.arms[arm].scores[METRIC].value for arm in THREE_ARMS[1:]] for record in records[:60]]
    expected = Counter("worsened" if new < old else "tied" if new == old else "improved" for old, new in scores)
    for result in ("improved", "worsened", "tied"):
        choose(browser, "result", result)
        assert found(browser) == expected[result]
    choose(browser, "result", "")

    search(browser, "ÚLTIMA milla LOGROÑO")
    assert found(browser) == 10
    search(browser, "ultima logrono")  # nobody types all the accents
    assert found(browser) == 10
    search(browser, "no such words")
    assert found(browser) == 0


def test_failed_items_are_found_and_tell_why(browser: Chrome, open_page: Opener) -> None:
    records = make_evaluation(8)[1]
    broken = Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer within 600 s")
    records[3] = with_answer(records[3], "fine-tuned", broken)
    open_page(records)
    show(browser, "items")

    choose(browser, "result", "failed")

    assert found(browser) == 1
    browser.find_element(By.CSS_SELECTOR, "#table button").click()
    assert "TIMEOUT: no answer within 600 s" in browser.find_element(By.CSS_SELECTOR, "#table .detail").text


def test_reviewer_votes_blind_by_keyboard_and_hands_in_a_file(
    browser: Chrome, open_page: Opener, downloads: Path
) -> None:
    records = {record.id: record for record in make_evaluation(40)[1]}
    open_page(list(records.values()))
    show(browser, "review")
    assert "Item 1 of 10" in browser.find_element(By.ID, "place").text
    seen = []
    for key in "abtabtabta":
        assert not any(arm in browser.find_element(By.ID, "stage").text for arm in THREE_ARMS)
        seen.append(panels(browser))
        press(browser, key)
        press(browser, Keys.ARROW_RIGHT)

    # Nothing is lost, and nothing is shuffled anew, when the page is opened again.
    browser.refresh()
    assert panels(browser) == seen[0]
    assert "10 voted" in browser.find_element(By.ID, "place").text
    browser.find_element(By.ID, "reviewer").send_keys("Íñigo Núñez")
    browser.find_element(By.ID, "reveal").click()
    names = [element.text for element in browser.find_elements(By.CSS_SELECTOR, ".pair .arm")]
    assert sorted(names) == ["baseline", "fine-tuned"]
    press(browser, "t")  # too late: the names are known
    browser.find_element(By.ID, "download").click()

    file = downloaded(downloads)
    assert file.reviewer == "Íñigo Núñez"
    assert file.evaluation == "branches/ba/evaluations/20261201t091500z"
    assert [vote.preferred.value[0] for vote in file.votes] == list("lrtlrtlrtl")
    assert all(vote.blind for vote in file.votes)
    assert len({(vote.left, vote.right) for vote in file.votes}) == 2
    for vote, (left, right) in zip(file.votes, seen, strict=True):
        assert records[vote.item].arms[vote.left].answers[0].text in left
        assert records[vote.item].arms[vote.right].answers[0].text in right
    tally = browser.find_element(By.ID, "tally").text
    assert f"fine-tuned {sum(vote.winner == 'fine-tuned' for vote in file.votes)}" in tally
    assert console_problems(browser) == []


def test_names_may_be_shown_after_each_vote_and_all_items_be_asked_for(browser: Chrome, open_page: Opener) -> None:
    records = make_evaluation(30, seed=11)[1]
    open_page(records)
    show(browser, "review")
    browser.find_element(By.CSS_SELECTOR, "input[name=scope][value=all]").click()
    differ = sum(
        len({record.arms[arm].answers[0].text for arm in ("baseline", "fine-tuned")}) == 2 for record in records
    )
    assert f"Item 1 of {differ}" in browser.find_element(By.ID, "place").text
    browser.find_element(By.CSS_SELECTOR, "input[name=names][value=each]").click()

    browser.find_element(By.CSS_SELECTOR, "[data-vote=left]").click()

    assert "fine-tuned" in browser.find_element(By.ID, "stage").text
    assert not browser.find_element(By.CSS_SELECTOR, "[data-vote=right]").is_enabled()
    browser.find_element(By.ID, "next").click()
    assert "fine-tuned" not in browser.find_element(By.ID, "stage").text


def test_letters_in_a_note_are_no_votes(browser: Chrome, open_page: Opener) -> None:
    open_page(make_evaluation(20, seed=13)[1])
    show(browser, "review")
    press(browser, "a")

    browser.find_element(By.ID, "note").send_keys("better table")

    pressed = browser.find_element(By.CSS_SELECTOR, "[aria-pressed=true]")
    assert pressed.get_attribute("data-vote") == "left"


def test_one_arm_alone_is_shown_and_has_nothing_to_vote_on(browser: Chrome, open_page: Opener) -> None:
    open_page(make_evaluation(4, arms=("fine-tuned",))[1])

    show(browser, "items")
    assert found(browser) == 4
    show(browser, "review")
    assert "nothing to compare it with" in browser.find_element(By.ID, "stage").text
    assert console_problems(browser) == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_stay_text_wherever_they_stand(browser: Chrome, open_page: Opener, kind: str) -> None:
    text = HOSTILE[kind]
    records = make_evaluation(6)[1]
    hostile = with_answer(records[0], "fine-tuned", Answer(text=text, ending=Ending.STOP))
    message = hostile.messages[-1].model_copy(update={"content": text})
    records[0] = hostile.model_copy(update={"id": text, "tag": text, "messages": (message,), "expected": text})
    open_page(records)

    show(browser, "items")
    browser.find_element(By.CSS_SELECTOR, "#table button").click()
    texts = browser.execute_script(
        "return [...document.querySelectorAll('#table .detail .text')].map((element) => element.textContent)"
    )
    assert texts.count(text) == 3
    show(browser, "review")
    assert browser.title.startswith("GO")
    assert not browser.find_elements(By.CSS_SELECTOR, "main script, main img, main .text a, base, svg[onload]")
    assert console_problems(browser) == []


def test_very_long_line_is_cut_told_and_breaks_no_layout(browser: Chrome, open_page: Opener) -> None:
    records = make_evaluation(6)[1]
    records[0] = with_answer(records[0], "fine-tuned", Answer(text="ñ" * 100_000, ending=Ending.LENGTH))
    open_page(records)

    show(browser, "items")
    browser.find_element(By.CSS_SELECTOR, "#table button").click()

    assert "6,000 of 100,000 characters" in browser.find_element(By.CSS_SELECTOR, "#table .detail").text
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_five_thousand_items_stay_responsive(browser: Chrome, open_page: Opener) -> None:
    hundred = make_evaluation(100, repeats=1)[1]
    open_page([item.model_copy(update={"id": f"{item.id}-{copy}"}) for copy in range(50) for item in hundred])
    show(browser, "items")
    assert found(browser) == 5_000
    assert len(browser.find_elements(By.CSS_SELECTOR, "#table tbody tr")) == 50

    milliseconds = {
        name: browser.execute_script(
            "const field = document.getElementById(arguments[0]); const begun = performance.now();"
            "field.value = arguments[1]; field.dispatchEvent(new Event('change')); return performance.now() - begun",
            name,
            value,
        )
        for name, value in {"result": "improved", "order": "gains", "tag": "salud"}.items()
    }
    search(browser, "citas medicas")

    assert found(browser) > 0
    # A tenth of this on an idle laptop; what draws all rows needs seconds.
    assert max(milliseconds.values()) < 1_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_window_scrolls_tables_and_never_the_page(browser: Chrome, open_page: Opener, scheme: str) -> None:
    open_page(make_evaluation(12)[1] + make_multiple_choice())
    emulated = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", emulated)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        for view in ("report", "items", "review"):
            show(browser, view)
            assert browser.execute_script("return document.documentElement.scrollWidth <= 390"), view
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(23, 24, 27)") == (scheme == "dark")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def with_answer(record: ItemRecord, arm: str, answer: Answer) -> ItemRecord:
    changed = record.arms[arm].model_copy(update={"answers": (answer,)})
    return record.model_copy(update={"arms": record.arms | {arm: changed}})


def downloaded(folder: Path) -> VoteFile:
    deadline = time.monotonic() + 10
    while not (files := list(folder.glob("votes-*.json"))):
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    return parse_votes(files[0].read_bytes())
