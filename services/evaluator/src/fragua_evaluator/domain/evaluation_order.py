"""What a client orders, and the same with everything it refers to pinned by digest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fragua_evaluator.domain.arm import Decoding, EndpointModel, Limits, OllamaModel, Prompting, RelativePath
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.frozen import Frozen, Slug
from fragua_evaluator.domain.suite import MetricChoice


class BaseModelArm(Frozen):
    kind: Literal["base_model"] = "base_model"
    base_model: str


class BaseOfArm(Frozen):
    """The base that an adapter was trained on."""

    kind: Literal["base_of"] = "base_of"
    adapter: str


class AdapterArm(Frozen):
    kind: Literal["adapter"] = "adapter"
    adapter: str
    merged: bool = False


class ExportedArm(Frozen):
    kind: Literal["exported"] = "exported"
    export: str
    file: str


class OutputsArm(Frozen):
    """An object of the artifact store that `UploadOutputs` put there."""

    kind: Literal["outputs"] = "outputs"
    key: str
    size: int
    sha256: str


OrderedModel = Annotated[
    BaseModelArm | BaseOfArm | AdapterArm | ExportedArm | OutputsArm | OllamaModel | EndpointModel,
    Field(discriminator="kind"),
]


class ArmOrder(Frozen):
    name: Slug
    model: OrderedModel
    prompting: Prompting = Prompting()


class SuiteOrder(Frozen):
    """A packaged suite by name, or a suite of the client's own as YAML; exactly one of the two is set."""

    name: str = ""
    yaml: str = ""
    dataset_version: str = ""
    metrics: tuple[MetricChoice, ...] = ()
    max_items: int | None = None
    max_new_tokens: int | None = None


class EvaluationOrder(Frozen):
    adapter: str = ""
    """What the verdict is about; empty when it is no adapter."""
    dataset_version: str = ""
    """Whose held-out rows ask where a suite names none; empty means the one that the adapter was trained on."""
    arms: tuple[ArmOrder, ...] = ()
    suites: tuple[SuiteOrder, ...] = ()
    decoding: Decoding = Decoding()
    repeats: int = 3
    seed: int = 0
    policy_name: str = ""
    policy_yaml: str = ""
    limits: Limits = Limits()


class BundleToFetch(Frozen):
    """A published folder that the engine needs, or some files of it."""

    folder: RelativePath
    """Below `inputs/`."""
    prefix: str
    manifest_sha256: str
    files: tuple[str, ...] = ()
    """All when empty."""


class ObjectToFetch(Frozen):
    path: RelativePath
    key: str
    size: int
    sha256: str


class ResolvedOrder(Frozen):
    """The order as the job keeps it."""

    order: EvaluationOrder
    spec: EvaluationSpec
    bundles: tuple[BundleToFetch, ...]
    objects: tuple[ObjectToFetch, ...]
    dataset_versions: dict[str, str]
    """By suite."""


def evaluation_prefix(name: str) -> str:
    """`branches/b/evaluations/e` lies at `evaluations/b/e`."""
    _, branch, _, evaluation = name.split("/")
    return f"evaluations/{branch}/{evaluation}"


def outputs_prefix(branch: str) -> str:
    """Where ready-made outputs lie, each under its digest."""
    return f"uploads/{branch}/outputs"
