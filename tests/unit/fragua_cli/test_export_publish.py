"""`fragua export publish`: what is asked of the service, what people and programs are told, and how it fails."""

from __future__ import annotations

import json
import time

from fragua.exporter.v1 import exporter_pb2
from fragua_cli.exits import ExitCode
from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import EXPORT, SuiteDouble


# R155
def test_publishing_names_the_model_and_how_to_run_it(fragua: Fragua, suite: SuiteDouble) -> None:
    published = fragua("export", "publish", EXPORT, "--model", "tutor")
    assert published.exit_code == 0, published.output
    assert "tutor:v2 is ready" in published.stdout
    assert "ollama run tutor:v2" in published.stdout
    assert published.stdout.count("sending tutor-1-f16.gguf") == 1
    [request] = suite.exporter.published
    assert (request.name, request.model, request.tag) == (EXPORT, "tutor", "")
    assert not (request.dry_run or request.replace or request.quantization)


def test_tag_quantization_and_replacement_are_passed_on(fragua: Fragua, suite: SuiteDouble) -> None:
    chosen = ("--tag", "clase", "--quant", "q4_k_m", "--replace")
    published = json.loads(fragua("export", "publish", EXPORT, "-m", "tutor", *chosen, "--json").stdout)
    assert published["model"] == "tutor:clase"
    [request] = suite.exporter.published
    assert (request.tag, request.replace) == ("clase", True)
    assert request.quantization == exporter_pb2.QUANTIZATION_Q4_K_M


def test_a_dry_run_tells_what_would_be_sent(fragua: Fragua) -> None:
    told = fragua("export", "publish", EXPORT, "-m", "tutor", "--dry-run").stdout
    assert "would send tutor-1-f16.gguf, and create tutor:v2 (1.05 MB)" in told
    assert "is ready" not in told
    as_json = fragua("export", "publish", EXPORT, "-m", "tutor", "--dry-run", "--json").stdout
    assert json.loads(as_json)["publication"]["model"] == "tutor:v2"


def test_an_ollama_that_is_away_is_told_at_once(fragua: Fragua, suite: SuiteDouble) -> None:
    suite.exporter.ollama_is_away = True
    started = time.monotonic()
    refused = fragua("export", "publish", EXPORT, "-m", "tutor")
    assert time.monotonic() - started < 5
    assert refused.exit_code == ExitCode.UNAVAILABLE
    assert "no Ollama answers" in refused.stderr


def test_a_name_that_ollama_cannot_take_is_refused_before_anything_is_sent(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("export", "publish", EXPORT, "-m", "Tutor:v1").exit_code == ExitCode.REFUSED
    assert suite.exporter.published == []
