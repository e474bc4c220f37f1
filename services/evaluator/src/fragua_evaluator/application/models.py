"""Finds the model of every arm, and pins it by digest."""

from __future__ import annotations

from dataclasses import dataclass, field

from fragua_evaluator.application.ports import Adapter, Adapters, Exports, Published
from fragua_evaluator.domain.arm import (
    ArmSpec,
    EndpointModel,
    GgufModel,
    LocalModel,
    OllamaModel,
    ReadyOutputs,
    Target,
)
from fragua_evaluator.domain.evaluation_order import (
    AdapterArm,
    ArmOrder,
    BaseModelArm,
    BaseOfArm,
    BundleToFetch,
    ExportedArm,
    ObjectToFetch,
    OutputsArm,
    outputs_prefix,
)
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation
from fragua_platform.origins import Origin, origin_of


@dataclass
class FoundModels:
    """What became of the arms of an order; `problems` tells those that could not be found."""

    arms: list[ArmSpec] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, BundleToFetch] = field(default_factory=dict)
    """By folder."""
    objects: dict[str, ObjectToFetch] = field(default_factory=dict)
    """By path."""
    problems: list[Violation] = field(default_factory=list)


class ModelFinder:
    def __init__(
        self, trainer: Adapters, exporter: Exports, store: ArtifactStore, endpoints: frozenset[Origin]
    ) -> None:
        """`endpoints` are the origins that the operator lets be asked."""
        self._trainer = trainer
        self._exporter = exporter
        self._store = store
        self._endpoints = endpoints

    async def find(self, branch: str, arms: tuple[ArmOrder, ...]) -> FoundModels:
        found = FoundModels()
        for place, arm in enumerate(arms):
            try:
                target, family, label = await self._target(branch, arm, found)
            except (NotFound, FailedPrecondition, InvalidInput) as error:
                found.problems.append(Violation(f"evaluation.arms[{place}]", f"arm {arm.name}: {error.message}"))
                continue
            found.arms.append(ArmSpec(name=arm.name, target=target, prompting=arm.prompting, family=family))
            found.labels[arm.name] = label
        return found

    async def ready_adapter(self, name: str) -> Adapter:
        adapter = await self._trainer.adapter(name)
        if adapter.state != "READY":
            raise FailedPrecondition(f"{name} is {adapter.state}; only READY adapters can be evaluated")
        return adapter

    async def _target(self, branch: str, arm: ArmOrder, found: FoundModels) -> tuple[Target, str, str]:
        """What answers, the base it descends from, and what people call it."""
        model = arm.model
        match model:
            case BaseModelArm():
                base, family = await self._base(model.base_model, found)
                return LocalModel(base=base), family, model.base_model
            case BaseOfArm():
                adapter = await self.ready_adapter(model.adapter)
                base, family = await self._base(adapter.base_model, found)
                return LocalModel(base=base), family, adapter.base_model
            case AdapterArm():
                adapter = await self.ready_adapter(model.adapter)
                base, family = await self._base(adapter.base_model, found)
                folder = _pin(found, "adapters", adapter.name, adapter.bundle)
                return LocalModel(base=base, adapter=folder, merged=model.merged), family, adapter.name
            case ExportedArm():
                return await self._exported(model, found)
            case OutputsArm():
                return await self._outputs(branch, model, found)
            case OllamaModel() | EndpointModel():
                self._require_allowed(model.url)
                return model, "", f"{model.model} at {model.url}"

    async def _base(self, name: str, found: FoundModels) -> tuple[str, str]:
        bundle = await self._trainer.base_model(name)
        return _pin(found, "models", name, bundle), bundle.manifest_sha256

    async def _exported(self, model: ExportedArm, found: FoundModels) -> tuple[Target, str, str]:
        export = await self._exporter.export(model.export)
        if export.state != "SUCCEEDED":
            raise FailedPrecondition(f"{export.name} is {export.state}; only finished exports can be evaluated")
        if model.file not in export.files:
            known = ", ".join(sorted(file for file in export.files if file.endswith(".gguf"))) or "none"
            raise NotFound(f"{export.name} has no file {model.file!r}; its GGUF files: {known}")
        adapter = await self._trainer.adapter(export.adapter)
        base = await self._trainer.base_model(adapter.base_model)
        folder = f"exports/{export.name.rpartition('/')[2]}"
        known_files = found.bundles[folder].files if folder in found.bundles else ()
        found.bundles[folder] = BundleToFetch(
            folder=folder,
            prefix=export.bundle.prefix,
            manifest_sha256=export.bundle.manifest_sha256,
            files=tuple(sorted({*known_files, model.file})),
        )
        found.provenance[export.name] = export.bundle.manifest_sha256
        return GgufModel(file=f"{folder}/{model.file}"), base.manifest_sha256, f"{export.name}/{model.file}"

    async def _outputs(self, branch: str, model: OutputsArm, found: FoundModels) -> tuple[Target, str, str]:
        if model.key != f"{outputs_prefix(branch)}/{model.sha256}":
            raise InvalidInput(f"outputs of branches/{branch} are uploaded by UploadOutputs, which tells their key")
        stored = await self._store.stat(model.key)
        path = f"outputs/{model.sha256[:16]}.jsonl"
        found.objects[path] = ObjectToFetch(path=path, key=stored.key, size=stored.size, sha256=model.sha256)
        return ReadyOutputs(file=path), "", f"outputs {model.sha256[:16]}"

    def _require_allowed(self, url: str) -> None:
        try:
            allowed = origin_of(url) in self._endpoints
        except ValueError as wrong:
            raise InvalidInput(f"{url!r} {wrong}") from wrong
        if not allowed:
            raise FailedPrecondition(
                f"{url} may not be asked here; an operator can add it to FRAGUA_EVALUATION_ENDPOINTS"
            )


def _pin(found: FoundModels, kind: str, name: str, bundle: Published) -> str:
    """The folder below `inputs/` for a bundle; the same for every arm that uses it."""
    folder = f"{kind}/{bundle.manifest_sha256[:16]}"
    found.bundles[folder] = BundleToFetch(folder=folder, prefix=bundle.prefix, manifest_sha256=bundle.manifest_sha256)
    found.provenance[name] = bundle.manifest_sha256
    return folder
