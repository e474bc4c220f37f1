"""The bill of materials in CycloneDX 1.6: the model with its card, what it was made from, and the tools."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from fragua_exporter.conversion.documents.facts import ExportFacts, PublishedFile
from fragua_exporter.conversion.documents.model_card import LICENSE_NAME
from fragua_exporter.domain.history import Ingredient

_MODEL = "model"
_OURS = "fragua-exporter"


def bill_of_materials(facts: ExportFacts) -> dict[str, Any]:
    ingredients = [_ingredient(each) for each in facts.ingredients]
    libraries = [_library(name, version) for name, version in facts.tools.items() if name not in (_OURS, "python")]
    digests = "\n".join(f"{file.sha256} {file.name}" for file in facts.files)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # By content and not by chance, and no time of day: the same files give the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digests)}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": _OURS, "version": facts.tools[_OURS]}],
            },
            "component": {
                "type": "machine-learning-model",
                "bom-ref": _MODEL,
                "name": facts.spec.model_name,
                "description": "A LoRA adapter merged into its base",
                **_licenses(facts.spec.license),
                "modelCard": _card(facts),
                "components": [_file(file) for file in facts.files],
            },
        },
        "components": [*ingredients, *libraries],
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [each["bom-ref"] for each in ingredients]},
            *({"ref": each["bom-ref"]} for each in (*ingredients, *libraries)),
        ],
    }


def _card(facts: ExportFacts) -> dict[str, Any]:
    datasets = [{"ref": _reference(each)} for each in facts.ingredients if each.role.endswith("dataset")]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text-generation",
            "architectureFamily": "transformer",
            "modelArchitecture": facts.architecture,
            "datasets": datasets,
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [*_scores(facts), *_divergences(facts)]},
    }


def _scores(facts: ExportFacts) -> Iterator[dict[str, str]]:
    for score in facts.history.scores:
        for arm, value in (("base", score.base_score), ("adapter", score.tuned_score)):
            yield {"type": score.metric, "value": repr(value), "slice": f"{score.evaluation}, {arm}"}


def _divergences(facts: ExportFacts) -> Iterator[dict[str, str]]:
    for model in facts.models:
        measured = {
            "mean KL divergence": model.mean_kl,
            "max KL divergence": model.max_kl,
            "top-1 agreement": model.top1_agreement,
            "task token F1": model.task_score,
            "task token F1 difference": model.task_score_delta,
        }
        for kind, value in measured.items():
            if value is not None:
                yield {"type": kind, "value": repr(value), "slice": model.file}


def _file(file: PublishedFile) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{file.name}",
        "name": file.name,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "properties": [{"name": "fragua:bytes", "value": str(file.bytes)}],
    }


def _ingredient(each: Ingredient) -> dict[str, Any]:
    properties = {"fragua:role": each.role} | ({"fragua:source": each.source} if each.source else {})
    component = {
        "type": "data" if each.role.endswith("dataset") else "machine-learning-model",
        "bom-ref": _reference(each),
        "name": each.name,
        "properties": [{"name": name, "value": value} for name, value in properties.items()],
    }
    if each.manifest_sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": each.manifest_sha256}]
    if each.role.endswith("dataset"):
        component["data"] = [{"type": "dataset", "name": each.name}]
    return component


def _reference(each: Ingredient) -> str:
    """One version of a dataset may serve two purposes."""
    return f"{each.role.replace(' ', '-')}:{each.name}"


def _library(name: str, version: str) -> dict[str, str]:
    reference = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference}


def _licenses(given: str) -> dict[str, Any]:
    """By name, because whether it is one of SPDX's list only that list tells."""
    if not given:
        return {}
    if LICENSE_NAME.fullmatch(given):
        return {"licenses": [{"license": {"name": given}}]}
    text = {"contentType": "text/plain", "content": given}
    return {"licenses": [{"license": {"name": "see text", "text": text}}]}
