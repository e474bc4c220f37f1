"""The papers of an export: what they tell, and that other people's schemas take them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from referencing import Registry, Resource

from fragua_exporter.conversion.documents import ExportFacts, PublishedFile, read_facts, write_documents
from fragua_exporter.conversion.documents.bill_of_materials import bill_of_materials
from fragua_exporter.conversion.documents.model_card import model_card
from fragua_exporter.conversion.documents.provenance import provenance_statement
from fragua_exporter.domain.export_spec import ExportSpec, Quantization
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.history import History, Ingredient, Score, parse_training
from fragua_platform.errors import InvalidData

SCHEMAS = Path(__file__).parents[2] / "schemas"
DATASET = "branches/tutor/datasets/sumas/versions/20261120T120000Z"
EXPORT = "branches/tutor/exports/20261120t120000-aa"

TRAINING: dict[str, Any] = {
    "arguments": {
        "lora": {"rank": 16, "alpha": 32.0, "dropout": 0.0},
        "schedule": {
            "learning_rate": 2e-4,
            "batch_size": 4,
            "gradient_accumulation": 2,
            "max_length": 512,
            "seed": 42,
            "scheduler": "cosine",
        },
    },
    "provenance": {"dataset_version": DATASET, "dataset_manifest_sha256": "d" * 64},
    "precision": "bf16",
    "trainable_parameters": 262_144,
    "base_parameters": 2_604_288,
    "dataset": {"train": {"sha256": "a" * 64, "rows": 1008}, "validation": {"sha256": "b" * 64, "rows": 144}},
    "steps": 150,
    "epochs": 2.38,
    "tokens": 69_301,
    "loss": {"first": 6.41, "last": 0.004, "best": 0.004, "best_step": 150},
    "validation_loss": None,
    "started": "2026-11-20T15:35:15+00:00",
    "finished": "2026-11-20T15:35:32+00:00",
    "training_seconds": 15.2,
    "hardware": {"device": "cpu", "cpu_cores": 2},
    "versions": {"torch": "2.13.0+cpu"},
}


def model(quantization: Quantization, **measured: Any) -> ExportedFile:
    values: dict[str, Any] = {
        "file": f"tutor-3-{quantization.value}.gguf",
        "quantization": quantization,
        "bytes": 1_500_000_000,
        "sha256": "1" * 64,
        "token_ids_equal": True,
        "max_kl": 0.021,
        "mean_kl": 0.0013,
        "top1_agreement": 0.992,
        "answer": "La cigüeña | anida\n## en la torre.",
        "answer_stopped": True,
        "answer_tokens": 12,
    }
    return ExportedFile(**values | measured)


FACTS = ExportFacts(
    spec=ExportSpec(
        model_name="tutor-3",
        quantizations=(Quantization.Q4_K_M, Quantization.F16),
        adapter_gguf=True,
        probe_prompt="¿Qué hace la cigüeña?",
        license="Apache-2.0",
    ),
    architecture="llama",
    context_length=4096,
    chat_template="chatml",
    models=(
        model(Quantization.Q4_K_M, task_rows=22, task_score=0.75, task_score_delta=-0.0125, fallback_tensors=3),
        model(Quantization.F16, task_rows=22, task_score=0.7625, task_score_delta=0.0),
    ),
    files=(
        PublishedFile("tutor-3-q4_k_m.gguf", 1_500_000_000, "1" * 64),
        PublishedFile("Modelfile", 400, "2" * 64),
    ),
    tools={"python": "3.11.7", "fragua-exporter": "0.1.0", "torch": "2.13.0+cpu"},
    training=parse_training(json.dumps(TRAINING).encode()),
    history=History(
        export=EXPORT,
        ingredients=(
            Ingredient(
                role="base model",
                name="baseModels/qwen/revisions/aa",
                manifest_sha256="e" * 64,
                source="hub:Qwen/Qwen2.5-0.5B-Instruct@7ae557604adf67be50417f59c2c2f167def9a775",
            ),
            Ingredient(role="adapter", name="branches/tutor/adapters/3", manifest_sha256="f" * 64),
            Ingredient(role="task dataset", name=DATASET, manifest_sha256="d" * 64),
        ),
        scores=(
            Score(
                evaluation="branches/tutor/evaluations/e1",
                metric="token_f1",
                base_score=0.21,
                tuned_score=0.7625,
                item_count=22,
            ),
        ),
        warnings=("its weights were dequantized from a GGUF file",),
    ),
)

BARE = replace(FACTS, models=(), training=None, history=History())
"""By hand, without any service: nothing is known but the files."""


def validator(name: str) -> jsonschema.Draft7Validator:
    documents = {file.name: json.loads(file.read_text("utf-8")) for file in SCHEMAS.glob("*.json")}
    resources = [Resource.from_contents(document) for document in documents.values()]
    # By the name as the schemas refer to each other, relative to their own id.
    base = "http://cyclonedx.org/schema"
    registry: Registry[Any] = Registry().with_resources(
        [(f"{base}/{file}", each) for file, each in zip(documents, resources, strict=True)]
    )
    return jsonschema.Draft7Validator(documents[name], registry=registry)


@pytest.mark.parametrize("facts", [FACTS, BARE, replace(FACTS, spec=FACTS.spec.model_copy(update={"license": "¡Sí!"}))])
def test_the_bill_of_materials_is_cyclonedx(facts: ExportFacts) -> None:
    validator("bom-1.6.SNAPSHOT.schema.json").validate(bill_of_materials(facts))


def test_the_cyclonedx_schema_does_refuse() -> None:
    document = bill_of_materials(FACTS)
    document["metadata"]["component"]["modelCard"]["modelParameters"]["approach"]["type"] = "fine-tuned"
    with pytest.raises(jsonschema.ValidationError, match="fine-tuned"):
        validator("bom-1.6.SNAPSHOT.schema.json").validate(document)


def test_the_bill_names_every_part_once_and_refers_to_nothing_else() -> None:
    document = bill_of_materials(FACTS)
    parts = {part["bom-ref"]: part for part in document["components"]}
    assert len(parts) == len(document["components"])
    made_from = next(each["dependsOn"] for each in document["dependencies"] if each["ref"] == "model")
    assert {parts[reference]["name"] for reference in made_from} == {each.name for each in FACTS.ingredients}
    card = document["metadata"]["component"]["modelCard"]
    assert {parts[each["ref"]]["type"] for each in card["modelParameters"]["datasets"]} == {"data"}
    assert {each["ref"] for each in document["dependencies"]} == {"model", *parts}
    hashes = {part["name"]: part["hashes"][0]["content"] for part in document["metadata"]["component"]["components"]}
    assert hashes == {file.name: file.sha256 for file in FACTS.files}


@pytest.mark.parametrize("facts", [FACTS, BARE])
def test_the_provenance_is_an_in_toto_statement_with_slsas_predicate(facts: ExportFacts) -> None:
    validator("in-toto-slsa-provenance.schema.json").validate(provenance_statement(facts))


def test_the_provenance_pins_what_went_in_and_what_came_out() -> None:
    statement = provenance_statement(FACTS)
    assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == {
        "tutor-3-q4_k_m.gguf": "1" * 64,
        "Modelfile": "2" * 64,
    }
    definition = statement["predicate"]["buildDefinition"]
    assert {each["annotations"]["role"]: each["digest"]["sha256"] for each in definition["resolvedDependencies"]} == {
        "base model": "e" * 64,
        "adapter": "f" * 64,
        "task dataset": "d" * 64,
        "training dataset": "d" * 64,
    }
    assert definition["externalParameters"]["quantizations"] == ["q4_k_m", "f16"]
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == EXPORT


def test_the_card_tells_what_was_measured() -> None:
    card = model_card(FACTS)
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert head.splitlines()[:2] == ["license: apache-2.0", 'base_model: "Qwen/Qwen2.5-0.5B-Instruct"']
    assert f"| training dataset | `{DATASET}` | `{'d' * 64}` |" in body
    assert "| LoRA | rank 16, alpha 32 |" in body
    assert "| training loss | 6.41 → 0.004, best 0.004 at step 150 |" in body
    assert "validation loss" not in body, "it was not measured"
    assert "| `branches/tutor/evaluations/e1` | token_f1 | 22 | 0.2100 | 0.7625 |" in body
    assert "| `tutor-3-q4_k_m.gguf` | q4_k_m | 1.50 GB | 0.0013 | 0.021 | 99.2% | 0.7500 | -0.0125 |" in body
    assert "3 matrices are stored in another type" in body
    assert "ollama create tutor-3:v1 -f Modelfile" in body
    assert "llama-cli -m tutor-3-q4_k_m.gguf" in body
    assert "--lora tutor-3-adapter.gguf" in body
    assert "its weights were dequantized from a GGUF file" in body
    assert f"fragua export verify {EXPORT}" in body


# R164
def test_the_card_tells_what_an_evaluation_came_to_and_why() -> None:
    judged = FACTS.history.scores[0].model_copy(
        update={
            "verdict": "INCONCLUSIVE",
            "reasons": ("22 questions cannot tell 5 % apart", "a | reason"),
            "decision": "Íñigo: try it in class",
        }
    )
    plain = FACTS.history.scores[0].model_copy(update={"evaluation": "branches/tutor/evaluations/e2"})
    card = model_card(replace(FACTS, history=History(scores=(judged, plain))))
    assert "| `branches/tutor/evaluations/e1` | token_f1 | 22 | 0.2100 | 0.7625 | INCONCLUSIVE |" in card
    assert "| `branches/tutor/evaluations/e2` | token_f1 | 22 | 0.2100 | 0.7625 |  |" in card
    assert "- INCONCLUSIVE of `branches/tutor/evaluations/e1`: 22 questions cannot tell 5 % apart\n" in card
    assert "- INCONCLUSIVE of `branches/tutor/evaluations/e1`: a \\| reason\n" in card
    assert "- decided on `branches/tutor/evaluations/e1`: Íñigo: try it in class\n" in card


def test_what_a_model_says_cannot_become_markup() -> None:
    card = model_card(FACTS)
    assert "    La cigüeña | anida\n    ## en la torre." in card
    assert "\n## en la torre" not in card


def test_a_card_does_not_tell_what_is_not_known() -> None:
    card = model_card(replace(BARE, spec=BARE.spec.model_copy(update={"license": ""})))
    assert "license:" not in card and "base_model:" not in card
    assert "## Training" not in card and "KL" not in card
    assert "No evaluation of this adapter was known" in card
    assert "The base's licence and the rights to the training data hold." in card


def test_the_same_facts_give_the_same_bytes_and_the_statement_covers_the_other_papers(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = write_documents(tmp_path / name, FACTS)
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
    statement = json.loads(written[0]["provenance.intoto.json"])
    digests = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    for name in ("README.md", "bom.cdx.json"):
        assert digests[name] == hashlib.sha256(written[0][name]).hexdigest()


def test_other_files_give_another_serial_number() -> None:
    other = replace(FACTS, files=(PublishedFile("tutor-3-q4_k_m.gguf", 1_500_000_000, "3" * 64),))
    assert bill_of_materials(other)["serialNumber"] != bill_of_materials(FACTS)["serialNumber"]


def test_a_training_record_of_another_kind_is_refused_by_its_fields(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    assert read_facts(tmp_path) == (None, History())
    (tmp_path / "adapter" / "training_info.json").write_text(json.dumps(TRAINING | {"steps": "muchos"}), "utf-8")
    with pytest.raises(InvalidData) as refused:
        read_facts(tmp_path)
    assert [violation.field for violation in refused.value.violations] == ["training_info.json: steps"]
