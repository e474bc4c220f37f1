"""Writes all documents of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fragua_evaluator.domain.report import EvaluationReport, ItemRecord
from fragua_evaluator.scoring.documents.before_after import before_and_after
from fragua_evaluator.scoring.documents.benchmark import BENCHMARK_FILE, make_benchmark
from fragua_evaluator.scoring.documents.markdown import MARKDOWN_FILE, write_markdown
from fragua_evaluator.scoring.documents.page import PAGE_FILE, write_page
from fragua_evaluator.scoring.documents.summary import compares_base_models, gather_facts
from fragua_evaluator.scoring.documents.three_way import THREE_WAY_FILE, make_three_way


def write_documents(
    outputs: Path,
    report: EvaluationReport,
    items: Callable[[], Iterator[ItemRecord]],
    inputs: Path | None = None,
) -> None:
    """`items` is called several times and read as a stream: however many there are, few of them are held at once.

    In `inputs` adapters tell how they were trained; without it, before and after leaves that out.
    """
    facts = gather_facts(items())
    changes = before_and_after(report, facts, inputs)
    _write(outputs / MARKDOWN_FILE, write_markdown(report, facts, changes, items))
    _write(outputs / PAGE_FILE, write_page(report, facts, changes, items))
    if compares_base_models(report):
        _write(outputs / BENCHMARK_FILE, make_benchmark(report, facts).model_dump_json(indent=2) + "\n")
    if len(report.arms) == 3:
        _write(outputs / THREE_WAY_FILE, make_three_way(report, facts).model_dump_json(indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    # A lone surrogate, which no file can hold, becomes a question mark.
    partial.write_bytes(text.encode("utf-8", "replace"))
    partial.replace(path)
