"""The use case of ordering an evaluation: everything that it refers to is found, pinned and checked, before any compute."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from fragua_evaluator.application.models import FoundModels, ModelFinder
from fragua_evaluator.application.ports import DatasetCatalog, DatasetVersion
from fragua_evaluator.domain.evaluation_order import (
    AdapterArm,
    ArmOrder,
    BaseOfArm,
    BundleToFetch,
    EvaluationOrder,
    ResolvedOrder,
    SuiteOrder,
)
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.gate_catalog import packaged_policies, parse_own_policy
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.metric_catalog import check_metric_choice
from fragua_evaluator.domain.suite import SuiteSpec
from fragua_evaluator.domain.suite_catalog import Rows, SuiteTemplate, packaged_suites, parse_suite
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job

DEFAULT_SUITE = "validation"
DEFAULT_POLICY = "adopt"
BASE_ARM = "base"
TUNED_ARM = "tuned"
_ROWS_FILE = "validation.jsonl"


class Evaluations:
    def __init__(
        self, desk: JobDesk, models: ModelFinder, datasets: DatasetCatalog, allowed_metrics: Sequence[str]
    ) -> None:
        """`allowed_metrics` are the operator's own functions that may score."""
        self._desk = desk
        self._models = models
        self._datasets = datasets
        self._allowed_metrics = allowed_metrics

    async def submit(self, branch: str, order: EvaluationOrder, *, request_id: str, validate_only: bool = False) -> Job:
        """Queue an evaluation; everything that is wrong with the order is reported at once."""
        return await self._desk.submit(
            branch, order, lambda: self._resolve(branch, order), request_id=request_id, validate_only=validate_only
        )

    async def _resolve(self, branch: str, order: EvaluationOrder) -> ResolvedOrder:
        await self._datasets.require_branch(branch)
        problems = await self._adapter_problems(order)
        arms = order.arms or (() if problems else _base_against_adapter(order.adapter))
        models = await self._models.find(branch, arms)
        suites = _Suites(self._datasets, self._allowed_metrics, await self._default_version(order, arms))
        if suites.default_version or not problems:
            await suites.find(order.suites or (SuiteOrder(name=DEFAULT_SUITE),))
        policy, policy_problems = _policy(order, arms)
        problems += [*models.problems, *suites.problems, *policy_problems]
        if problems:
            raise _unresolved(problems)
        return ResolvedOrder(
            order=order,
            spec=_spec(order, models, suites, policy),
            bundles=tuple({bundle.folder: bundle for bundle in [*models.bundles.values(), *suites.bundles]}.values()),
            objects=tuple(models.objects.values()),
            dataset_versions=suites.versions,
        )

    async def _adapter_problems(self, order: EvaluationOrder) -> list[Violation]:
        if not order.adapter:
            problem = "name an adapter, or the arms that are to be compared"
            return [] if order.arms else [Violation("evaluation.adapter", problem)]
        try:
            await self._models.ready_adapter(order.adapter)
        except (NotFound, FailedPrecondition) as error:
            return [Violation("evaluation.adapter", error.message)]
        return []

    async def _default_version(self, order: EvaluationOrder, arms: Sequence[ArmOrder]) -> str:
        """The one that the order names, or the one that its adapter was trained on; empty when neither is known."""
        if order.dataset_version:
            return order.dataset_version
        named = [arm.model.adapter for arm in reversed(arms) if isinstance(arm.model, AdapterArm | BaseOfArm)]
        for adapter in [order.adapter, *named]:
            if adapter:
                try:
                    return (await self._models.ready_adapter(adapter)).dataset_version
                except (NotFound, FailedPrecondition):
                    continue  # its arm tells
        return ""


def _base_against_adapter(adapter: str) -> tuple[ArmOrder, ...]:
    return (
        ArmOrder(name=BASE_ARM, model=BaseOfArm(adapter=adapter)),
        ArmOrder(name=TUNED_ARM, model=AdapterArm(adapter=adapter)),
    )


class _Suites:
    """Finds what every suite asks."""

    def __init__(self, datasets: DatasetCatalog, allowed_metrics: Sequence[str], default_version: str) -> None:
        self._datasets = datasets
        self._allowed_metrics = allowed_metrics
        self.default_version = default_version
        self.specs: list[SuiteSpec] = []
        self.bundles: list[BundleToFetch] = []
        self.versions: dict[str, str] = {}
        self.provenance: dict[str, str] = {}
        self.problems: list[Violation] = []

    async def find(self, orders: Sequence[SuiteOrder]) -> None:
        for place, order in enumerate(orders):
            at = f"evaluation.suites[{place}]"
            try:
                template = self._template(order, at)
                rows = await self._rows(template, order)
                self.specs.append(_with_wishes(template.suite(rows), order))
            except InvalidInput as invalid:
                self.problems += [
                    Violation(f"{at}.yaml.{violation.field.removeprefix('suite.')}", violation.description)
                    for violation in invalid.violations
                ] or [Violation(at, invalid.message)]
            except (NotFound, FailedPrecondition) as error:
                self.problems.append(Violation(f"{at}.dataset_version", error.message))
            except ValidationError as invalid:
                self.problems += [
                    Violation(at, error["msg"].removeprefix("Value error, "))
                    for error in invalid.errors(include_url=False)
                ]
            except ValueError as wrong:
                self.problems.append(Violation(at, str(wrong)))

    def _template(self, order: SuiteOrder, at: str) -> SuiteTemplate:
        for number, metric in enumerate(order.metrics):
            self.problems += check_metric_choice(metric, f"{at}.metrics[{number}]", self._allowed_metrics)
        if order.yaml:
            return parse_suite(order.yaml, self._allowed_metrics)
        if order.name not in packaged_suites():
            known = ", ".join(packaged_suites())
            raise InvalidInput(f"there is no suite {order.name!r}; there are {known}, or give your own as YAML")
        return packaged_suites()[order.name]

    async def _rows(self, template: SuiteTemplate, order: SuiteOrder) -> str | None:
        named = order.dataset_version or (self.default_version if template.rows is Rows.REQUIRED else "")
        if template.rows is Rows.NONE or not named:
            return None
        version = await self._ready_version(named)
        folder = f"datasets/{version.bundle.manifest_sha256[:16]}"
        self.versions[template.name] = version.name
        self.provenance[version.name] = version.bundle.manifest_sha256
        self.bundles.append(
            BundleToFetch(
                folder=folder,
                prefix=version.bundle.prefix,
                manifest_sha256=version.bundle.manifest_sha256,
                files=(_ROWS_FILE,),
            )
        )
        return f"{folder}/{_ROWS_FILE}"

    async def _ready_version(self, name: str) -> DatasetVersion:
        version = await self._datasets.version(name)
        if version.state != "READY":
            raise FailedPrecondition(f"{name} is {version.state}; only READY versions can ask questions")
        if version.validation_rows == 0:
            raise FailedPrecondition(
                f"{name} holds nothing out; import it with a validation_fraction above 0, or to evaluate with"
            )
        return version


def _with_wishes(suite: SuiteSpec, order: SuiteOrder) -> SuiteSpec:
    """The suite with what the order says otherwise."""
    wishes = {
        "metrics": order.metrics or None,
        "max_items": order.max_items,
        "max_new_tokens": order.max_new_tokens,
    }
    changed = suite.model_dump() | {name: value for name, value in wishes.items() if value is not None}
    return SuiteSpec.model_validate(changed)


def _policy(order: EvaluationOrder, arms: Sequence[ArmOrder]) -> tuple[GatePolicy | None, list[Violation]]:
    try:
        policy = _chosen_policy(order, len(arms))
    except InvalidInput as invalid:
        problems = [Violation(f"evaluation.{v.field}", v.description) for v in invalid.violations]
        return None, problems or [Violation("evaluation.policy", invalid.message)]
    names = [arm.name for arm in arms]
    if arms and policy is not None and policy.candidate is not None and policy.candidate not in names:
        problem = f"{policy.candidate!r} is no arm of this evaluation; it has {', '.join(names)}"
        return None, [Violation("evaluation.policy.candidate", problem)]
    return policy, []


def _chosen_policy(order: EvaluationOrder, arms: int) -> GatePolicy | None:
    if order.policy_yaml:
        return parse_own_policy(order.policy_yaml)
    if not order.policy_name:
        return packaged_policies()[DEFAULT_POLICY] if arms > 1 else None
    if order.policy_name not in packaged_policies():
        known = ", ".join(packaged_policies())
        raise InvalidInput(f"there is no policy {order.policy_name!r}; there are {known}, or give your own as YAML")
    return packaged_policies()[order.policy_name]


def _spec(order: EvaluationOrder, models: FoundModels, suites: _Suites, policy: GatePolicy | None) -> EvaluationSpec:
    try:
        return EvaluationSpec(
            arms=tuple(models.arms),
            suites=tuple(suites.specs),
            decoding=order.decoding,
            repeats=order.repeats,
            seed=order.seed,
            policy=policy,
            limits=order.limits,
            models=models.labels,
            provenance=models.provenance | suites.provenance,
        )
    except ValidationError as invalid:
        raise _unresolved(
            [
                Violation(".".join(["evaluation", *map(str, error["loc"])]), error["msg"].removeprefix("Value error, "))
                for error in invalid.errors(include_url=False)
            ]
        ) from invalid


def _unresolved(problems: Sequence[Violation]) -> InvalidInput:
    message = "; ".join(problem.description for problem in problems)
    return InvalidInput(message, violations=list(problems), reason="UNRESOLVED_REFERENCE")
