"""Making new versions from others, which stay as they are: fix, filter, split and merge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from fragua_dataset.application.treatment import Treatments, chosen_profile
from fragua_dataset.application.versions import VersionAndJob, Versions
from fragua_dataset.domain.policy import BranchPolicy
from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.selection import RowFilter
from fragua_dataset.domain.version import (
    Origin,
    Version,
    VersionState,
    leaves_to_approve,
    require_usable_rows,
)
from fragua_dataset.domain.version_order import RowsOf, VersionOptions, VersionOrder
from fragua_dataset.domain.version_spec import Fixer, Sides, VersionSpec
from fragua_platform.errors import FailedPrecondition, InvalidInput, Violation


class _Derivation(BaseModel):
    """What a client asks for; also what tells one request from another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = ""
    """Where the new version goes; to the parent's dataset when empty."""


class Fix(_Derivation):
    parent: str
    fixers: tuple[Fixer, ...]
    profile: str = ""
    """To check the mended rows by; the parent's when empty."""


class Filter(_Derivation):
    parent: str
    row_filter: RowFilter
    """Without its profile, which is to be chosen by the two below."""
    profile: str = ""
    profile_yaml: str = ""


class Split(_Derivation):
    parent: str
    validation_fraction: float
    split_seed: int = 0
    group_field: str = ""
    """The parent's when empty."""
    stratum_field: str = ""


class Merge(_Derivation):
    parents: tuple[str, ...]
    options: VersionOptions = VersionOptions()


class Derivations:
    def __init__(self, versions: Versions, treatments: Treatments) -> None:
        self._versions = versions
        self._treatments = treatments

    async def fix(self, asked: Fix, request_id: str) -> VersionAndJob:
        """Mend what the fixers can mend. What an INVALID version was made from is read again, and mended on the way."""

        async def resolve(dataset: str) -> VersionOrder:
            parent = await self._versions.get(asked.parent)
            profile = parent.order.spec.profile
            if asked.profile:
                profile = chosen_profile(asked.profile, "", default="", within="")
            if parent.version.state is VersionState.INVALID:
                return await self._read_again(dataset, parent, profile, asked.fixers)
            change = {"profile": profile, "fixers": asked.fixers, "sides": Sides.KEEP}
            return await self._from_rows(Origin.FIX, dataset, parent, change)

        return await self._submit(asked, asked.parent, resolve, request_id)

    async def filter(self, asked: Filter, request_id: str) -> VersionAndJob:
        """Keep the rows that meet every condition, each on its side."""

        async def resolve(dataset: str) -> VersionOrder:
            parent = await self._versions.get(asked.parent)
            row_filter = asked.row_filter
            if asked.profile or asked.profile_yaml:
                profile = chosen_profile(asked.profile, asked.profile_yaml, default="", within="filter.")
                row_filter = row_filter.model_copy(update={"profile": profile})
            change = {"row_filter": row_filter, "sides": Sides.KEEP}
            return await self._from_rows(Origin.FILTER, dataset, parent, change)

        return await self._submit(asked, asked.parent, resolve, request_id)

    async def split(self, asked: Split, request_id: str) -> VersionAndJob:
        """Divide the same rows anew."""

        async def resolve(dataset: str) -> VersionOrder:
            parent = await self._versions.get(asked.parent)
            if parent.version.evaluation:
                problem = (
                    f"{asked.parent} is to evaluate with: all of its rows are held out, and there is no other side"
                )
                raise FailedPrecondition(problem)
            spec = parent.order.spec
            change = {
                "sides": Sides.DIVIDE,
                "validation_fraction": asked.validation_fraction,
                "split_seed": asked.split_seed,
                "group_field": asked.group_field or spec.group_field,
                "stratum_field": asked.stratum_field or spec.stratum_field,
            }
            return await self._from_rows(Origin.SPLIT, dataset, parent, change)

        return await self._submit(asked, asked.parent, resolve, request_id)

    async def merge(self, asked: Merge, request_id: str) -> VersionAndJob:
        """Join the rows of several versions and divide them anew; of equal rows the first stays."""

        async def resolve(dataset: str) -> VersionOrder:
            _require_one_branch(asked)
            parents = [await self._versions.get(name) for name in asked.parents]
            evaluation = _common_purpose([parent.version for parent in parents], asked.options)
            rows_of = tuple(_rows_of(parent.version) for parent in parents)
            treatment = await self._treatments.of(dataset.split("/")[1], asked.options)
            change = {"source": "versions", "parents": asked.parents, "evaluation": evaluation}
            return VersionOrder(
                dataset=dataset,
                origin=Origin.MERGE,
                rows_of=rows_of,
                parents=asked.parents,
                lineage=_lineage(dataset, [parent.version for parent in parents]),
                requires_approval=treatment.requires_approval
                or any(leaves_to_approve(parent.version) for parent in parents),
                tokenizers=treatment.tokenizers,
                spec=_changed(treatment.spec, change),
            )

        return await self._submit(asked, asked.parents[0], resolve, request_id)

    async def _submit(
        self, asked: _Derivation, parent: str, resolve: Callable[[str], Awaitable[VersionOrder]], request_id: str
    ) -> VersionAndJob:
        home = parent.partition("/versions/")[0]
        dataset = asked.dataset or home
        if not isinstance(asked, Merge) and dataset.split("/")[1] != home.split("/")[1]:
            problem = Violation("dataset", f"{dataset} is of another branch than {parent}")
            raise InvalidInput(problem.description, violations=[problem])
        return await self._versions.submit(dataset, asked, lambda: resolve(dataset), request_id=request_id)

    async def _from_rows(
        self, origin: Origin, dataset: str, parent: VersionAndJob, change: dict[str, Any]
    ) -> VersionOrder:
        version, order = parent.version, parent.order
        policy = await self._policy_of(dataset)
        treatment = {
            "source": "versions",
            "parents": (version.name,),
            # How the parent's own source was read and mended says nothing of its rows.
            "format": "auto",
            "shape": "auto",
            "fixers": (),
            "row_filter": None,
            "personal_data": policy.personal_data,
        }
        return VersionOrder(
            dataset=dataset,
            origin=origin,
            rows_of=(_rows_of(version),),
            parents=(version.name,),
            lineage=_lineage(dataset, [version]),
            requires_approval=policy.requires_approval or leaves_to_approve(version),
            tokenizers=order.tokenizers,
            spec=_changed(order.spec, treatment | change),
        )

    async def _read_again(
        self, dataset: str, parent: VersionAndJob, profile: Profile, fixers: tuple[Fixer, ...]
    ) -> VersionOrder:
        """An INVALID version has no rows, so its order is carried out once more, with fixers."""
        policy = await self._policy_of(dataset)
        order = parent.order
        if order.synthesis:
            problem = f"{parent.version.name} was generated: download its generated.jsonl, import it and mend that"
            raise FailedPrecondition(problem)
        change = {
            "profile": profile,
            "fixers": tuple(fixer for fixer in Fixer if fixer in {*order.spec.fixers, *fixers}),
            "personal_data": policy.personal_data,
        }
        return order.model_copy(
            update={
                "dataset": dataset,
                "origin": Origin.FIX,
                "parents": (parent.version.name,),
                "lineage": _lineage(dataset, [parent.version]),
                "requires_approval": policy.requires_approval or leaves_to_approve(parent.version),
                "spec": _changed(order.spec, change),
            }
        )

    async def _policy_of(self, dataset: str) -> BranchPolicy:
        return await self._treatments.policy(dataset.split("/")[1])


def _changed(spec: VersionSpec, change: dict[str, Any]) -> VersionSpec:
    """A copy that is checked as a whole, unlike `model_copy`."""
    return VersionSpec(**{name: getattr(spec, name) for name in VersionSpec.model_fields} | change)


def _rows_of(version: Version) -> RowsOf:
    bundle = require_usable_rows(version)
    return RowsOf(version=version.name, prefix=bundle.prefix, manifest_sha256=bundle.manifest_sha256)


def _lineage(dataset: str, parents: Sequence[Version]) -> tuple[str, ...]:
    return tuple(sorted({dataset, *(name for parent in parents for name in parent.lineage)}))


def _require_one_branch(asked: Merge) -> None:
    branch = asked.dataset.split("/")[1]
    strangers = [
        Violation(f"names[{number}]", f"{name} is of another branch than {asked.dataset}")
        for number, name in enumerate(asked.parents)
        if name.split("/")[1] != branch
    ]
    if strangers:
        raise InvalidInput("; ".join(stranger.description for stranger in strangers), violations=strangers)


def _common_purpose(parents: Sequence[Version], options: VersionOptions) -> bool:
    """Rows to evaluate with stay apart from rows to train on: in one version they would be learnt and asked."""
    purposes = {parent.evaluation for parent in parents}
    if len(purposes) > 1:
        asked = ", ".join(parent.name for parent in parents if parent.evaluation)
        problem = Violation("names", f"{asked}: to evaluate with, and the others are to train on; merge them apart")
    elif options.evaluation not in (None, *purposes):
        problem = Violation("options.purpose", "a merge keeps the purpose of its parents; leave it out")
    elif options.format != "auto" or options.shape != "auto":
        problem = Violation("options", "a merge reads versions, not a file; leave format and shape out")
    else:
        return purposes.pop()
    raise InvalidInput(problem.description, violations=[problem])
