"""The documents of an evaluation: what they say, and that nothing a model wrote gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fragua_evaluator.domain.report import Answer, Ending, EvaluationReport, ItemRecord
from fragua_evaluator.domain.verdict import Outcome, Reason, ReasonState, Tier
from fragua_evaluator.scoring.documents import markdown, plots, sample, summary, write_documents
from tests.evaluation_samples import (
    METRIC,
    THREE_ARMS,
    items_of,
    make_evaluation,
    make_multiple_choice,
    make_perplexity,
    report_on,
)

DOCUMENTS = Path(summary.__file__).parent

HOSTILE = (
    "<script>alert(1)</script>",
    "a | b \\| c",
    "![x](http://example.invalid/x.png) [y](javascript:alert(1))",
    "# heading\n\n- list\n1. one",
    "`code` **bold** _it_ ~~gone~~ $x$",
    "<!-- comment --> &lt; &#60;",
    "```\n</details>\n```",
    "\u202egnp.exe \x1b[31m",
    "https://example.invalid www.example.invalid a@example.invalid",
    "- item",
    "1. one",
    "+ plus",
)


def written(tmp_path: Path, report: EvaluationReport, records: list[ItemRecord]) -> dict[str, str]:
    write_documents(tmp_path, report, items_of(records))
    return {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def cells(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [token.content for token in tokens if token.type == "inline"]


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


# R100
def test_markdown_begins_with_the_verdict_and_its_reasons(tmp_path: Path) -> None:
    text = written(tmp_path, *make_evaluation(24))["report.md"]

    assert text.splitlines()[2] == "**GO.** Use fine-tuned in place of baseline."
    html = rendered(text)
    for part in ("at least +0.050 is asked", "Cohen", "power", "pessimistic", "optimistic", "got worse"):
        assert part in html
    assert html.index("at least +0.050 is asked") < html.index("Arms")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_markdown_is_that_text_on_one_line(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {markdown.escape(text)} | end |\n"
    bullet = f"* {markdown.escape(text)}\n"

    html = rendered(table) + rendered(bullet)

    assert cells(table)[-1] == "end"
    assert len(cells(table)) == 4
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td|ul|li)\b)", html), html
    if "\x1b" not in text and "\u202e" not in text:
        shown = re.sub(r"<[^>]+>", "", rendered(bullet)).strip()
        unescaped = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
        assert unescaped == re.sub(r"\s+", " ", text)


def test_conditions_of_several_suites_are_told_in_words() -> None:
    drawn = {"validation": "22 of 176, drawn by seed 0", "stress": "13 of 13"}
    assert markdown.condition(drawn) == "validation: 22 of 176, drawn by seed 0; stress: 13 of 13"
    assert markdown.condition({"temperature": 0.0, "greedy": True}) == "temperature: 0.0; greedy: yes"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answer_cannot_end_its_block(text: str) -> None:
    after = f"{markdown.block(text)}\n\nafter\n"

    html = rendered(after)

    assert html.count("<pre>") == 1 and html.endswith("<p>after</p>\n")


def test_hostile_item_adds_no_element_to_any_document(tmp_path: Path) -> None:
    report, records = make_evaluation(4)
    attack = '"></td><script>alert(1)</script><img src=x onerror=alert(1)>'
    answer = Answer(text=attack, ending=Ending.STOP)
    changed = records[0].arms["fine-tuned"].model_copy(update={"answers": (answer,)})
    records[0] = records[0].model_copy(
        update={"id": attack, "tag": attack, "expected": attack, "arms": records[0].arms | {"fine-tuned": changed}}
    )
    report = report_on(records).model_copy(update={"versions": {attack: attack}, "provenance": {attack: attack}})

    documents = written(tmp_path, report, records)

    assert "<img" not in documents["report.html"] and documents["report.html"].count("</script>") == 2
    assert "<img" not in rendered(documents["report.md"]) and "<script" not in rendered(documents["report.md"])
    assert embedded(documents["report.html"])["items"][0]["id"] == attack


def test_scripts_make_elements_of_nothing_but_text() -> None:
    scripts = "".join(path.read_text("utf-8") for path in sorted((DOCUMENTS / "templates").glob("*.js")))

    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(", scripts
    )
    assert "textContent" in scripts


def test_page_lets_run_and_style_only_what_it_was_written_with(tmp_path: Path) -> None:
    page = written(tmp_path, *make_evaluation(3))["report.html"]

    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy and script and style
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none';") and "unsafe" not in allowed and "http" not in allowed
    for kind, text in (("script", script[1]), ("style", style[1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in allowed
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert not re.search(r"\sstyle=", page.split("<body>")[1].split("<script")[0])


def test_repeats_that_are_the_same_are_carried_once() -> None:
    _, records = make_evaluation(1, repeats=3)

    (row,) = sample.sample_items(records, THREE_ARMS, seed=7).rows

    answers = json.loads(row)["arms"][0]["answers"]
    assert [answer["repeats"] for answer in answers] == [[1, 2, 3]]


def test_large_evaluation_carries_the_items_that_its_seed_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    _, records = make_evaluation(60, repeats=1)
    everything = sample.sample_items(records, THREE_ARMS, seed=7)
    monkeypatch.setattr(sample, "MAX_ITEMS", 20)

    few = sample.sample_items(records, THREE_ARMS, seed=7)
    shuffled = sample.sample_items(reversed(records), THREE_ARMS, seed=7)

    def ids(rows: tuple[str, ...], draws: int = 60) -> set[str]:
        return {row["id"] for row in map(json.loads, rows) if row["draw"] < draws}

    assert (len(few.rows), few.total) == (20, 60)
    assert ids(few.rows) == ids(shuffled.rows) == ids(everything.rows, 20)
    assert ids(few.rows) != ids(sample.sample_items(records, THREE_ARMS, seed=8).rows)


def test_page_never_outgrows_its_limit_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MAX_CHARS", 60_000)
    report, records = make_evaluation(60)

    page = written(tmp_path, report, records)["report.html"]

    data = embedded(page)
    assert 0 < len(data["items"]) < 60 and data["total"] == 60
    assert f"This page carries {len(data['items'])} of 60 items" in page
    assert sum(len(json.dumps(item, ensure_ascii=False)) for item in data["items"]) < 80_000


# R68, R70, R71, R129, R131
def test_benchmark_names_the_winner_and_why(tmp_path: Path) -> None:
    report, records = as_benchmark(winner="phi-3-mini")

    benchmark = json.loads(written(tmp_path, report, records)["benchmark.json"])

    assert benchmark["winner"] == "phi-3-mini"
    assert benchmark["why"] == ["phi-3-mini scores 0.70; more than 0.65 is asked."]
    model = benchmark["models"][0]
    assert set(model) == {
        "arm",
        "model",
        "avg_score",
        "elapsed_sec",
        "tokens_per_sec",
        "ram_usage_mb",
        "yaml_valid_rate",
        "completeness",
        "notes",
    }
    scores = [record.arms["qwen-3b"].scores[METRIC].value for record in records]
    valid = [record.arms["qwen-3b"].checks["valid"] for record in records if record.arms["qwen-3b"].checks]
    assert model["avg_score"] == pytest.approx(sum(scores) / len(scores))
    assert model["yaml_valid_rate"] == pytest.approx(sum(valid) / len(valid))
    assert model["ram_usage_mb"] == pytest.approx(5.3e9 / 2**20, abs=0.1)


def test_benchmark_without_a_winner_says_what_was_not_met(tmp_path: Path) -> None:
    report, records = as_benchmark(winner=None)

    documents = written(tmp_path, report, records)

    benchmark = json.loads(documents["benchmark.json"])
    assert benchmark["winner"] is None
    assert benchmark["why"] == ["qwen-3b needs 9.1 GB; less than 8 GB is asked."]
    assert "None of the models meets the rule." in documents["report.md"]
    assert "None of the models meets the rule." in documents["report.html"]


def test_selection_goes_by_one_suite_and_so_do_its_figures(tmp_path: Path) -> None:
    report, _ = as_benchmark(winner="phi-3-mini")
    arms = tuple(arm.arm for arm in report.arms)
    records = make_multiple_choice(6, arms=arms) + make_evaluation(12, arms=arms)[1]
    policy = {"name": "base-model", "selection": {"suite": "validation"}}
    both = report_on(records, arms).model_copy(
        update={"verdict": report.verdict, "spec": report.spec | {"policy": policy}}
    )

    benchmark = json.loads(written(tmp_path, both, records)["benchmark.json"])

    deciding = both.arms[0].suite("validation")
    assert deciding and benchmark["models"][0]["avg_score"] == deciding.metrics[0].score
    assert benchmark["models"][0]["yaml_valid_rate"] == deciding.checks["valid"]


def test_selection_that_cannot_decide_says_so(tmp_path: Path) -> None:
    report, records = as_benchmark(winner=None)
    assert report.verdict
    verdict = report.verdict.model_copy(update={"outcome": Outcome.INCONCLUSIVE})

    text = written(tmp_path, report.model_copy(update={"verdict": verdict}), records)["report.md"]

    assert "**INCONCLUSIVE.** There is not enough data to select a model." in text


def test_base_models_without_a_selecting_policy_are_tabled_and_none_wins(tmp_path: Path) -> None:
    report, records = as_benchmark(winner=None)
    report = report.model_copy(update={"verdict": None, "spec": report.spec | {"policy": None}})

    benchmark = json.loads(written(tmp_path, report, records)["benchmark.json"])

    assert benchmark["winner"] is None and "no policy" in benchmark["why"][0]


# R92, R96, R97, R100
def test_three_arms_give_a_three_way_comparison(tmp_path: Path) -> None:
    report, records = make_evaluation(22)

    documents = written(tmp_path, report, records)

    assert "benchmark.json" not in documents
    comparison = json.loads(documents["3way_comparison.json"])
    assert [arm["role"] for arm in comparison["arms"]] == ["baseline", "simpler", "candidate"]
    assert comparison["arms"][2]["repeats"] == 3 and comparison["arms"][2]["sd"] > 0
    (expected,) = comparison["expectations"]
    assert expected["pessimistic"] < expected["realistic"] < expected["optimistic"]
    assert comparison["decision"]["outcome"] == "GO"
    assert "test" in comparison["comparisons"][0] and "effect_size" in comparison["comparisons"][0]


# R49
def test_before_and_after_tells_what_each_was_trained_on_and_what_changed(tmp_path: Path) -> None:
    report, records = make_evaluation(12, arms=("adapter-2", "adapter-3"))
    arms = [
        {"name": name, "target": {"kind": "model", "base": "base", "adapter": f"adapters/{name}"}}
        for name in ("adapter-2", "adapter-3")
    ]
    for name, examples, loss in (("adapter-2", 200, 0.8), ("adapter-3", 500, 0.6)):
        folder = tmp_path / "inputs/adapters" / name
        folder.mkdir(parents=True)
        told = {
            "dataset": {
                "train": {"rows": examples, "sha256": f"{examples}"},
                "validation": {"rows": 22, "sha256": "5b" * 32},
            },
            "epochs": 3.0,
            "loss": {"best": loss - 0.1},
            "validation_loss": {"first": 2.0, "last": loss, "best": loss, "best_step": 9},
            "provenance": {"dataset_version": f"branches/ba/datasets/d/versions/{name}"},
        }
        (folder / "training_info.json").write_text(json.dumps(told), "utf-8")
    (tmp_path / "outputs").mkdir()
    report = report.model_copy(update={"spec": report.spec | {"arms": arms}})

    write_documents(tmp_path / "outputs", report, items_of(records), tmp_path / "inputs")

    text = (tmp_path / "outputs/report.md").read_text("utf-8")
    assert "| training examples | 200 | 500 | +300 | +150.0 % |" in text
    assert "| best validation loss | 0.8000 | 0.6000 | −0.2000 | −25.0 % |" in text
    assert "| best training loss | 0.7000 | 0.5000 | – | – |" in text  # on other rows
    assert "| epochs | 3.00 | 3.00 | 0.00 | 0.0 % |" in text
    assert "branches/ba/datasets/d/versions/adapter-3" in text
    assert "training examples" in (tmp_path / "outputs/report.html").read_text("utf-8")


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"epochs": "<script>"}'])
def test_adapter_whose_training_is_not_told_leaves_only_what_was_measured(tmp_path: Path, content: str | None) -> None:
    report, records = make_evaluation(6)
    if content is not None:
        (tmp_path / "inputs/adapter").mkdir(parents=True)
        (tmp_path / "inputs/adapter/training_info.json").write_text(content, "utf-8")
    (tmp_path / "outputs").mkdir()

    write_documents(tmp_path / "outputs", report, items_of(records), tmp_path / "inputs")

    text = (tmp_path / "outputs/report.md").read_text("utf-8")
    assert "training examples" not in text
    assert "| items answered | 1.000 | 1.000 | 0.000 | 0.0 % |" in text


def test_two_arms_give_no_three_way_comparison(tmp_path: Path) -> None:
    assert set(written(tmp_path, *make_evaluation(5, arms=("baseline", "fine-tuned")))) == {"report.md", "report.html"}


def test_average_score_weighs_suites_by_their_items_and_leaves_perplexity_out(tmp_path: Path) -> None:
    records = make_evaluation(20)[1] + make_multiple_choice(10) + make_perplexity(5)
    arm = report_on(records).arm("baseline")

    generation, choice, _ = arm.suites
    expected = (20 * generation.metrics[0].score + 10 * choice.metrics[0].score) / 30
    assert summary.average_score(arm) == pytest.approx(expected)
    documents = written(tmp_path, report_on(records), records)
    for name in ("report.md", "report.html"):
        assert "suites of perplexity are left out" in " ".join(documents[name].split())


def test_one_arm_alone_is_reported_without_a_verdict(tmp_path: Path) -> None:
    documents = written(tmp_path, *make_evaluation(3, arms=("fine-tuned",)))

    assert "**No verdict.** One arm alone was measured." in documents["report.md"]
    assert "No verdict" in documents["report.html"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_a_word_and_not_a_colour_alone(tmp_path: Path, outcome: Outcome) -> None:
    report, records = make_evaluation(3)
    assert report.verdict
    report = report.model_copy(
        update={"verdict": report.verdict.model_copy(update={"outcome": outcome, "recommended_arm": "baseline"})}
    )

    documents = written(tmp_path, report, records)

    word = outcome.value.replace("_", " ")
    assert f'<span class="word">{word}</span>' in documents["report.html"]
    assert f"**{word}.**" in documents["report.md"]


def test_lone_surrogate_is_written_as_a_question_mark(tmp_path: Path) -> None:
    report, records = make_evaluation(2)
    broken = Answer.model_construct(**(records[0].arms["baseline"].answers[0].__dict__ | {"text": "año \ud800"}))
    changed = records[0].arms["baseline"].model_copy(update={"answers": (broken,)})
    records[0] = records[0].model_copy(update={"arms": records[0].arms | {"baseline": changed}})

    data = embedded(written(tmp_path, report, records)["report.html"])

    assert data["items"][0]["arms"][0]["answers"][0]["text"] == "año ?"


@pytest.mark.parametrize(
    "values", [(0.61, 0.97), (0.5, 0.5), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (0.123, 0.1234), (0.99, 1.0)]
)
def test_axis_of_scores_holds_all_values_and_stays_between_0_and_1(values: tuple[float, float]) -> None:
    axis = plots.axis_of_scores(values, bounded=True)

    assert 0 <= axis.low <= min(values) <= max(values) <= axis.high <= 1
    assert axis.high - axis.low >= 0.199 and 2 <= len(axis.ticks()) <= 8
    assert axis.ticks()[-1] == pytest.approx(axis.high)


@pytest.mark.parametrize("values", [(-0.02, 0.31), (0.0, 0.0), (-1.0, 1.0), (-37.5, 80.0), (-4000.0, 12.0)])
def test_axis_of_differences_shows_zero(values: tuple[float, float]) -> None:
    axis = plots.axis_of_differences(values)

    assert axis.low <= min(values) <= 0 <= max(values) <= axis.high
    assert 0.0 in axis.ticks() or len(axis.ticks()) == 2


def test_colours_are_readable_in_light_dark_and_print() -> None:
    css = (DOCUMENTS / "templates/report.css").read_text("utf-8")
    palettes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", rule)) for rule in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]

    assert len(palettes) == 3
    for palette in palettes:
        for paper in ("paper", "raised", "faint"):
            for ink in ("ink", "quiet", "accent", "go", "no", "maybe"):
                assert contrast(palette[ink], palette[paper]) >= 4.5, (ink, paper, palette[ink])


def contrast(one: str, other: str) -> float:
    """Of WCAG 2: from 1 to 21; 4.5 is asked of text."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def as_benchmark(*, winner: str | None) -> tuple[EvaluationReport, list[ItemRecord]]:
    """Three base models under a policy that selects."""
    arms = ("qwen-3b", "phi-3-mini", "gemma-2b")
    report, records = make_evaluation(12, arms=arms)
    reason = (
        Reason(
            criterion="score",
            tier=Tier.CRITICAL,
            state=ReasonState.MET,
            measured=0.7,
            threshold=0.65,
            text="phi-3-mini scores 0.70; more than 0.65 is asked.",
        ),
        Reason(
            criterion="ram",
            tier=Tier.CRITICAL,
            state=ReasonState.UNMET,
            measured=9.1,
            threshold=8,
            text="qwen-3b needs 9.1 GB; less than 8 GB is asked.",
        ),
    )
    assert report.verdict
    outcome = Outcome.GO if winner else Outcome.NO_GO
    verdict = report.verdict.model_copy(update={"outcome": outcome, "recommended_arm": winner, "reasons": reason})
    spec = {
        "seed": 7,
        "arms": [{"name": arm, "target": {"kind": "model", "base": arm, "adapter": None}} for arm in arms],
        "policy": {"name": "base-model", "selection": {"suite": None}},
    }
    return report.model_copy(update={"verdict": verdict, "spec": spec}), records
