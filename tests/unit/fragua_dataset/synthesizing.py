"""Syntheses in this process, on job directories of a test."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.domain.prompt_catalog import packaged_prompt, packaged_variations
from fragua_dataset.domain.selection import RowFilter
from fragua_dataset.domain.synthesis_spec import Generator, SynthesisJobSpec, SynthesisReport, SynthesisSpec
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.synthesis.synthesize import synthesize
from fragua_platform.errors import FraguaError
from fragua_platform.jobs.engine import JobDirectory, Reporter

CONCEPTS = ("la piñata", "el año bisiesto")


def synthesis(profile: str = "instruct", **fields: Any) -> SynthesisSpec:
    records = profile == "business-requirements"
    given: dict[str, Any] = {
        "concepts": CONCEPTS,
        "variations": packaged_variations("es"),
        "prompt": packaged_prompt(profile, "es"),
        "language": "es",
        "generator": generator("http://127.0.0.1:1"),
        "metric": "requirements" if records else "length",
    }
    return SynthesisSpec(**given | fields)


def generator(endpoint: str, **fields: Any) -> Generator:
    """Patient for no longer than a test should be."""
    given: dict[str, Any] = {
        "kind": "openai",
        "model": "maestro",
        "endpoint": endpoint,
        "request_seconds": 5,
        "patience_seconds": 10,
    }
    return Generator(**given | fields)


def job_spec(spec: SynthesisSpec, **version: Any) -> SynthesisJobSpec:
    profile = packaged_profile("business-requirements" if spec.prompt.form == "requirements" else "instruct")
    given: dict[str, Any] = {
        "profile": profile,
        "format": "jsonl",
        "shape": spec.prompt.form,
        "row_filter": RowFilter(profile=profile),
    }
    return SynthesisJobSpec(synthesis=spec, version=VersionSpec(**given | version))


class Synthesis:
    """One job directory, and what a synthesis left in it."""

    def __init__(self, root: Path, spec: SynthesisSpec, **version: Any) -> None:
        self.job = JobDirectory(root)
        self.records = io.StringIO()
        self.reporter = Reporter(self.records)
        for folder in (self.job.inputs, self.job.outputs, self.job.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        (root / "spec.json").write_text(job_spec(spec, **version).model_dump_json(), "utf-8")

    def run(self) -> SynthesisReport:
        synthesize(self.job, self.reporter)
        return self.report

    def failure(self) -> FraguaError:
        with pytest.raises(FraguaError) as failed:
            synthesize(self.job, self.reporter)
        return failed.value

    @property
    def report(self) -> SynthesisReport:
        return SynthesisReport.model_validate_json((self.job.outputs / "synthesis.json").read_bytes())

    @property
    def rows(self) -> list[dict[str, Any]]:
        sides = [self.job.outputs / f"{side}.jsonl" for side in ("train", "validation")]
        return [json.loads(line) for side in sides for line in side.read_text("utf-8").splitlines()]

    @property
    def messages(self) -> list[str]:
        """Of the progress records."""
        return [json.loads(line).get("message", "") for line in self.records.getvalue().splitlines()]
