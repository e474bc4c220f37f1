"""`fragua export`: what is asked of the service, what is printed, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fragua.exporter.v1 import exporter_pb2
from fragua_cli.exits import ExitCode
from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import CARD, MODELFILE, OLD, SuiteDouble

EXPORT = "branches/tutor/exports/x1"


# R153, R154, R190
def test_everything_that_an_export_can_be_may_be_asked_for(fragua: Fragua, suite: SuiteDouble) -> None:
    forms = ("-q", "q4_k_m", "-q", "bf16", "--merged-model", "--adapter-gguf", "--license", "Apache-2.0")
    sampling = ("--temperature", "0", "--top-p", "0.5", "--top-k", "7", "--num-ctx", "2048")
    datasets = ("--importance-dataset", "sumas", "--task-dataset", "sumas", "--task-rows", "20")
    words = ("--system", "Eres un señor.", "--probe", "¿Quién?")
    done = fragua(
        "export", "create", "-a", "3", "-b", "tutor", *forms, *sampling, *datasets, *words, "--no-watch", "--json"
    )
    assert done.exit_code == 0, done.output
    [request] = suite.exporter.asked
    version = f"branches/tutor/datasets/sumas/versions/{OLD}"
    assert request.export == exporter_pb2.Export(
        adapter="branches/tutor/adapters/3",
        quantizations=[exporter_pb2.QUANTIZATION_Q4_K_M, exporter_pb2.QUANTIZATION_BF16],
        merged_model=True,
        adapter_gguf=True,
        license="Apache-2.0",
        parameters=exporter_pb2.SamplingParameters(temperature=0, top_p=0.5, top_k=7, num_ctx=2048),
        importance_dataset=version,
        task_dataset=version,
        task_rows=20,
        system_prompt="Eres un señor.",
        probe_prompt="¿Quién?",
    )
    assert json.loads(done.stdout)["name"] == EXPORT


def test_what_is_not_said_is_left_to_the_service(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("export", "create", "-a", "branches/tutor/adapters/3", "--no-watch").exit_code == 0
    [request] = suite.exporter.asked
    parameters = exporter_pb2.SamplingParameters()
    assert request.export == exporter_pb2.Export(adapter="branches/tutor/adapters/3", parameters=parameters)


def test_a_format_that_does_not_exist_is_refused_with_those_that_do(fragua: Fragua, suite: SuiteDouble) -> None:
    refused = fragua("export", "create", "-a", "3", "-b", "tutor", "-q", "q3_k")
    assert refused.exit_code == ExitCode.REFUSED
    assert "q4_k_m" in refused.stderr
    assert not suite.exporter.asked


def test_an_estimate_is_a_table_or_json(fragua: Fragua) -> None:
    shown = fragua("export", "estimate", "-a", "3", "-b", "tutor", "-q", "q4_k_m")
    assert shown.exit_code == 0, shown.output
    assert "q4_k_m" in shown.stdout and "4.70 GB" in shown.stdout
    assert "21.00 GB" in shown.stdout and "33.00 GB" in shown.stdout
    told = json.loads(fragua("export", "estimate", "-a", "3", "-b", "tutor", "--json").stdout)
    assert told["memoryBytes"] == "33000000000"


def test_the_list_tells_forms_signers_and_models(fragua: Fragua) -> None:
    shown = fragua("export", "list", "-b", "tutor").stdout
    for cell in ("q4_k_m, merged", "Íñigo", "tutor:v2"):
        assert cell in shown


@pytest.mark.parametrize(("verb", "text"), [("modelfile", MODELFILE), ("card", CARD)])
def test_texts_are_printed_as_they_are(fragua: Fragua, verb: str, text: str) -> None:
    assert fragua("export", verb, EXPORT).stdout == text
    assert json.loads(fragua("export", verb, EXPORT, "--json").stdout)["text"] == text


def test_signing_sends_a_signature_over_name_and_manifest_and_no_key(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    assert fragua("dataset", "keygen", "--out", str(tmp_path / "key.pem")).exit_code == 0
    done = fragua("export", "sign", EXPORT, "--key", str(tmp_path / "key.pem"), "--signer", "Íñigo Muñoz")
    assert done.exit_code == 0, done.output
    assert "is signed by Íñigo Muñoz; signatures: 1" in done.stdout
    [kept] = suite.exporter.signatures
    message = f"fragua export v1\n{EXPORT}\n{'ab' * 32}\n".encode()
    Ed25519PublicKey.from_public_bytes(kept.public_key).verify(kept.signature, message)


def test_what_was_tampered_with_is_named_and_not_signed(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    suite.exporter.faults = ["tutor-1-f16.gguf: it is gone"]
    found = fragua("export", "verify", EXPORT)
    assert found.exit_code == ExitCode.REFUSED
    assert "not what it was" in found.stdout and "tutor-1-f16.gguf: it is gone" in found.stdout
    fragua("dataset", "keygen", "--out", str(tmp_path / "key.pem"))
    refused = fragua("export", "sign", EXPORT, "--key", str(tmp_path / "key.pem"), "--signer", "Íñigo")
    assert refused.exit_code == ExitCode.REFUSED
    assert not suite.exporter.signatures


def test_an_intact_export_is_told_with_its_signers(fragua: Fragua, suite: SuiteDouble) -> None:
    suite.exporter.signatures = [exporter_pb2.ExportSignature(signer="Begoña", public_key=b"k" * 32)]
    found = fragua("export", "verify", EXPORT)
    assert found.exit_code == 0
    assert "is intact" in found.stdout and "Begoña" in found.stdout
    assert json.loads(fragua("export", "verify", EXPORT, "--json").stdout)["intact"] is True
