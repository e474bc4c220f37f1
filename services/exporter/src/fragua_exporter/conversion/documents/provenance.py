"""The provenance statement: which files were made, from what and by what, as in-toto and SLSA word it."""

from __future__ import annotations

from typing import Any

from fragua_exporter.conversion.documents.facts import ExportFacts

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:fragua:export:v1"
BUILDER = "urn:fragua:exporter"


def provenance_statement(facts: ExportFacts) -> dict[str, Any]:
    spec = facts.spec.model_dump(mode="json", exclude={"provenance"}, exclude_defaults=True)
    metadata = {"metadata": {"invocationId": facts.history.export}} if facts.history.export else {}
    return {
        "_type": STATEMENT,
        "subject": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in facts.files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": spec,
                "resolvedDependencies": [
                    {
                        "name": each.name,
                        "digest": {"sha256": each.manifest_sha256},
                        "annotations": {"role": each.role} | ({"source": each.source} if each.source else {}),
                    }
                    for each in facts.ingredients
                    if each.manifest_sha256
                ],
            },
            # When it was made is no part of it: the same inputs give the same statement.
            "runDetails": {"builder": {"id": BUILDER, "version": dict(facts.tools)}, **metadata},
        },
    }
