"""The synthesis engine as the worker runs it: killed and started again, and with models on this very machine."""

from __future__ import annotations

import io
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.domain.synthesis_spec import SynthesisReport, SynthesisSpec
from fragua_dataset.synthesis.generators.adapter import LocalAdapter
from fragua_dataset.synthesis.generators.gguf import LocalGguf
from fragua_dataset.synthesis.generators.port import Generator, Unanswered
from fragua_exporter.conversion.export import export
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import EXIT_INTERRUPTED, JobDirectory, Reporter
from tests.language_model_server import LanguageModelServer
from tests.tiny_models import make_tiny_llama, make_tiny_tokenizer
from tests.unit.fragua_dataset.synthesizing import Synthesis, generator, job_spec, synthesis
from tests.unit.fragua_exporter.adapters import make_adapter

CHAT = [{"role": "user", "content": "¿Cuál es la capital de España?"}]


@pytest.fixture
def server() -> Iterator[LanguageModelServer]:
    with LanguageModelServer().running() as server:
        server.seconds = 0.3
        yield server


def start(folder: Path, spec: SynthesisSpec) -> subprocess.Popen[str]:
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(job_spec(spec).model_dump_json(), "utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "fragua_dataset.synthesis", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end_of(engine: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    records, _ = engine.communicate(timeout=60)
    return engine.returncode, [json.loads(line) for line in records.splitlines()]


def report_of(folder: Path) -> SynthesisReport:
    return SynthesisReport.model_validate_json((folder / "outputs/synthesis.json").read_bytes())


def test_after_kill_9_no_request_that_was_answered_is_asked_again(server: LanguageModelServer, tmp_path: Path) -> None:
    spec = synthesis(generator=generator(f"{server.origin}/v1"))
    engine = start(tmp_path, spec)
    wait_for(lambda: len(server.requests) == 5)
    engine.kill()
    end_of(engine)
    answered = (tmp_path / "requests.jsonl").read_bytes().count(b"\n")

    status, _ = end_of(start(tmp_path, spec))

    assert status == 0
    assert answered == 4, "the fifth was under way"
    assert server.requests[4] == server.requests[5]
    assert len(server.requests) == 8 + 1
    assert (report_of(tmp_path).asked, report_of(tmp_path).kept) == (8, 8)


def test_after_a_drain_another_worker_goes_on_from_the_checkpoint(server: LanguageModelServer, tmp_path: Path) -> None:
    spec = synthesis(generator=generator(f"{server.origin}/v1"))
    engine = start(tmp_path / "first", spec)
    wait_for(lambda: len(server.requests) == 3)
    engine.send_signal(signal.SIGTERM)
    status, records = end_of(engine)
    assert status == EXIT_INTERRUPTED
    latest = [record for record in records if record["record"] == "checkpoint"][-1]
    assert latest["step"] == 2, "the third was under way"

    (tmp_path / "second/inputs").mkdir(parents=True)
    (tmp_path / "first" / latest["directory"]).rename(tmp_path / "second/inputs/checkpoint")
    status, _ = end_of(start(tmp_path / "second", spec))

    assert status == 0
    assert server.requests[2] == server.requests[3]
    assert len(server.requests) == 8 + 1
    assert report_of(tmp_path / "second").kept == 8


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapter on it, and both as one GGUF file."""
    job = JobDirectory(tmp_path_factory.mktemp("export"))
    make_adapter(make_tiny_llama(job.inputs / "base", seed=5, strong=True), job.inputs / "adapter")
    make_tiny_tokenizer().save_pretrained(job.inputs / "adapter")  # as the trainer does
    export_spec = {
        "model_name": "tutor",
        "quantizations": ["q8_0"],
        "probe_prompt": "¿Cuál es la capital de España?",
        "probe_max_tokens": 8,
    }
    (job.root / "spec.json").write_text(json.dumps(export_spec), "utf-8")
    job.outputs.mkdir()
    export(job, Reporter(io.StringIO()))
    return job.root


def local(kind: str, tiny: Path, **options: Any) -> Generator:
    spec = generator("", kind=kind, **options)
    if kind == "gguf":
        return LocalGguf(spec, tiny / "outputs")
    return LocalAdapter(spec, tiny / "inputs/base", tiny / "inputs/adapter")


@pytest.mark.parametrize("kind", ["gguf", "adapter"])
def test_a_model_of_our_own_answers_by_its_seed_and_counts_its_tokens(kind: str, tiny: Path) -> None:
    model = local(kind, tiny, temperature=1.5, max_tokens=12)

    first, again, other = (model.answer(CHAT, seed, math.inf) for seed in (1, 1, 2))

    assert first == again
    assert first.text != other.text
    assert first.tokens is not None and 12 < first.tokens < 60
    assert not first.complete, "twelve tokens do not end a turn of a model that has learnt nothing"
    with pytest.raises(Unanswered, match="question too long"):
        model.answer([{"role": "user", "content": "¿Y mañana? " * 500}], 1, math.inf)
    model.close()


def test_a_local_model_goes_the_same_way_as_any_endpoint(tiny: Path, tmp_path: Path) -> None:
    """One that has learnt nothing writes nothing of use, and that is told."""
    spec = synthesis(generator=generator("", kind="adapter", max_tokens=4), variants_per_concept=1)
    work = Synthesis(tmp_path, spec)
    for folder in ("base", "adapter"):
        (work.job.inputs / folder).symlink_to(tiny / "inputs" / folder)

    failure = work.failure()

    assert failure.reason == "NOTHING_GENERATED"
    report = work.report
    assert report.asked == 2 and report.kept == 0
    assert sum(report.unparsable.values()) + sum(report.unanswered.values()) == 2


@pytest.mark.parametrize(("kind", "module"), [("gguf", "llama_cpp"), ("adapter", "peft")])
def test_a_worker_without_the_libraries_says_which_extra_brings_them(
    kind: str, module: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "fragua_dataset.synthesis.generators"
    monkeypatch.setattr(f"{folder}.{kind}.find_spec", lambda name: None if name == module else object())
    with pytest.raises(InvalidInput, match=rf"fragua-dataset\[{kind}\]") as refused:
        local(kind, tiny)
    assert refused.value.reason == "EXTRA_MISSING"
