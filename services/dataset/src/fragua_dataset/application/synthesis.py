"""Ordering versions of examples that a language model writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fragua_dataset.application.treatment import Treatments, leaving_out_bad_rows
from fragua_dataset.application.versions import VersionAndJob, Versions
from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.prompt_catalog import own_prompt, packaged_prompt, packaged_variations
from fragua_dataset.domain.synthesis_order import KEY_PREFIX, ModelFiles, SynthesisOrder, SynthesisPermissions
from fragua_dataset.domain.synthesis_spec import METRICS_OF_RECORDS, Budget, Form, Generator, Prompt, SynthesisSpec
from fragua_dataset.domain.version import Origin
from fragua_dataset.domain.version_order import VersionOptions, VersionOrder
from fragua_platform.artifacts.bundle import load_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, NotFound, Violation
from fragua_platform.jobs.desk import JobDesk

_LONGEST_LINE = 16 * 2**20
"""More than an answer of the largest size makes, however it is written."""
_DEFAULT_LANGUAGE = "en"


class SynthesisRequest(BaseModel):
    """What a client asks for; also what tells one request from another. What is empty is for us to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    concepts: tuple[str, ...]
    domains: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    complexities: tuple[str, ...] = ()
    variants_per_concept: int = 0
    prompt: str = ""
    prompt_text: str = ""
    language: str = ""
    generator: Generator
    key_variable: str = ""
    metric: str = ""
    min_score: float = 0.0
    seed: int = 0
    budget: Budget = Budget()
    options: VersionOptions = VersionOptions()

    @property
    def branch(self) -> str:
        return self.dataset.split("/")[1]


class Syntheses:
    def __init__(
        self,
        desk: JobDesk,
        versions: Versions,
        treatments: Treatments,
        store: ArtifactStore,
        permissions: SynthesisPermissions,
    ) -> None:
        self._desk = desk
        self._versions = versions
        self._treatments = treatments
        self._store = store
        self._permissions = permissions

    async def submit(self, asked: SynthesisRequest, request_id: str) -> VersionAndJob:
        """Queue a synthesis; whatever could keep it from working is told now, not after an hour of asking."""

        async def resolve() -> VersionOrder:
            options = asked.options.model_copy(update={"format": "auto", "shape": "auto"})
            treatment = await self._treatments.of(asked.branch, options)
            prompt = _prompt_of(asked, treatment.spec.profile)
            spec = _spec_of(asked, prompt)
            problems = [*self._permissions.problems(spec.generator, spec.metric), *_contradictions(asked, spec)]
            models, missing = await self._models_of(spec.generator)
            if problems := problems + missing:
                listed = "; ".join(f"{problem.field} {problem.description}" for problem in problems)
                raise InvalidInput(f"the synthesis cannot work: {listed}", violations=problems)
            change = {
                "format": "jsonl",
                "shape": prompt.form,
                "max_line_bytes": _LONGEST_LINE,
                "row_filter": leaving_out_bad_rows(treatment.spec),
            }
            return VersionOrder(
                dataset=asked.dataset,
                origin=Origin.SYNTHESIS,
                lineage=(asked.dataset,),
                requires_approval=treatment.requires_approval,
                tokenizers=treatment.tokenizers,
                spec=treatment.spec.model_copy(update=change),
                synthesis=SynthesisOrder(spec=spec, key_variable=asked.key_variable, models=models),
            )

        return await self._versions.submit(asked.dataset, asked, resolve, request_id=request_id, desk=self._desk)

    async def _models_of(self, generator: Generator) -> tuple[tuple[ModelFiles, ...], list[Violation]]:
        """The files of a model of our own; no call to the services that made them is needed."""
        try:
            match generator.kind:
                case "gguf":
                    return (await self._export(generator.model),), []
                case "adapter":
                    return await self._adapter_and_base(generator.model), []
        except NotFound as missing:
            return (), [Violation("spec.generator.model", missing.message)]
        return (), []

    async def _export(self, name: str) -> ModelFiles:
        match name.split("/"):
            case ["branches", branch, "exports", export]:
                return _files("model", await self._published(name, f"models/gguf/{branch}/{export}"))
        raise NotFound(f"{name!r} is no export such as branches/tutor/exports/20261120t120000-9f86d081")

    async def _adapter_and_base(self, name: str) -> tuple[ModelFiles, ...]:
        match name.split("/"):
            case ["branches", branch, "adapters", number]:
                adapter = await self._published(name, f"models/lora/{branch}/{number}")
            case _:
                raise NotFound(f"{name!r} is no adapter such as branches/tutor/adapters/3")
        info = adapter.manifest.file("training_info.json")
        provenance = json.loads(await self._store.get_bytes(info.key, sha256=info.sha256))["provenance"]
        _, model, _, revision = provenance["base_model"].split("/")
        base = await self._published(provenance["base_model"], f"models/base/{model}/{revision}")
        return _files("adapter", adapter), _files("base", base)

    async def _published(self, name: str, prefix: str) -> Bundle:
        try:
            return await load_bundle(self._store, prefix)
        except NotFound:
            raise NotFound(f"{name!r} is not in the artifact store") from None


def _files(folder: str, bundle: Bundle) -> ModelFiles:
    return ModelFiles(folder=folder, prefix=bundle.prefix, manifest_sha256=bundle.manifest_sha256)


def _prompt_of(asked: SynthesisRequest, profile: Profile) -> Prompt:
    form = _form_of(profile)
    if asked.prompt and asked.prompt_text:
        problem = Violation("spec.prompt_text", "a prompt is given by name too; leave one of the two out")
        raise InvalidInput(problem.description, violations=[problem])
    try:
        if asked.prompt_text:
            return own_prompt(asked.prompt_text, form)
        if not asked.prompt and form == "multiple_choice":
            raise NotFound("no packaged prompt asks for questions with choices; give a prompt_text of your own")
        default = "business-requirements" if form == "requirements" else "instruct"
        prompt = packaged_prompt(asked.prompt or default, asked.language or _DEFAULT_LANGUAGE)
    except NotFound as unknown:
        raise InvalidInput(unknown.message, violations=[Violation("spec.prompt", unknown.message)]) from unknown
    except InvalidInput as refused:
        problems = [Violation(f"spec.{problem.field}", problem.description) for problem in refused.violations]
        raise InvalidInput(refused.message, violations=problems) from refused
    if profile.shapes and prompt.form not in profile.shapes:
        problem = Violation(
            "spec.prompt", f"makes rows of shape {prompt.form}, which the profile {profile.name!r} does not take"
        )
        raise InvalidInput(f"the prompt {problem.description}", violations=[problem])
    return prompt


def _form_of(profile: Profile) -> Form:
    """What rows have to look like to be of use; questions and answers where that is open."""
    match profile.shapes:
        case ("requirements",):
            return "requirements"
        case ("multiple_choice",):
            return "multiple_choice"
    return "alpaca"


def _spec_of(asked: SynthesisRequest, prompt: Prompt) -> SynthesisSpec:
    language = asked.language or _DEFAULT_LANGUAGE
    packaged = packaged_variations(language)
    varied = {
        name: getattr(asked, name) or getattr(packaged, name) for name in ("domains", "audiences", "complexities")
    }
    default_metric = "requirements" if prompt.form == "requirements" else "length"
    fields: dict[str, Any] = {
        "concepts": asked.concepts,
        "variations": varied,
        "prompt": prompt,
        "language": language,
        "generator": asked.generator,
        "metric": asked.metric or default_metric,
        "min_score": asked.min_score,
        "seed": asked.seed,
        "budget": asked.budget,
    }
    if asked.variants_per_concept:
        fields["variants_per_concept"] = asked.variants_per_concept
    try:
        return SynthesisSpec(**fields)
    except ValidationError as invalid:
        problems = [
            Violation(".".join(("spec", *(str(part) for part in error["loc"] if part != "variations"))), error["msg"])
            for error in invalid.errors(include_input=False, include_url=False)
        ]
        listed = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
        raise InvalidInput(f"the synthesis cannot work: {listed}", violations=problems) from invalid


def _contradictions(asked: SynthesisRequest, spec: SynthesisSpec) -> Iterable[Violation]:
    remote = spec.generator.kind in ("openai", "ollama")
    if remote and not spec.generator.endpoint:
        yield Violation("spec.generator.endpoint", "is missing: where does the model answer?")
    if not remote and (spec.generator.endpoint or asked.key_variable):
        yield Violation(
            "spec.generator.endpoint", f"and key_variable are not for {spec.generator.kind}; leave them out"
        )
    if asked.key_variable in (f"{KEY_PREFIX}ENDPOINTS", f"{KEY_PREFIX}METRICS"):
        yield Violation("spec.generator.key_variable", f"{asked.key_variable} is a setting, not a key")
    if spec.metric in METRICS_OF_RECORDS and spec.prompt.form != "requirements":
        yield Violation("spec.metric", f"{spec.metric!r} is for requirement records, and the prompt asks for others")
