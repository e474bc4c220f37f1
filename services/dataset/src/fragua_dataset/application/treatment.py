"""From what a client asked to a complete specification: profile, branch policy and tokenizers, all of them pinned."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fragua_dataset.domain.policy import BranchPolicy
from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.profile_catalog import packaged_profile, parse_profile
from fragua_dataset.domain.selection import RowFilter
from fragua_dataset.domain.version_order import TokenizerSource, TokenizerUse, VersionOptions
from fragua_dataset.domain.version_spec import Tokenizer, VersionSpec
from fragua_platform.artifacts.bundle import load_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, NotFound, Violation

PolicyOf = Callable[[str], Awaitable[BranchPolicy]]
"""The policy of a branch, by its id."""


@dataclass(frozen=True)
class Treatment:
    spec: VersionSpec
    tokenizers: tuple[TokenizerSource, ...]
    requires_approval: bool


class Treatments:
    def __init__(self, store: ArtifactStore, policy_of: PolicyOf) -> None:
        self._store = store
        self._policy_of = policy_of

    async def policy(self, branch: str) -> BranchPolicy:
        return await self._policy_of(branch)

    async def of(self, branch: str, options: VersionOptions, *, within: str = "options.") -> Treatment:
        """How rows are treated that `options` were given for; all that is wrong with them is told together.

        `within` is where the options stand in the request, for the places of violations.
        """
        policy = await self._policy_of(branch)
        problems: list[Violation] = []
        profile = None
        try:
            profile = chosen_profile(options.profile, options.profile_yaml, default=policy.profile, within=within)
        except InvalidInput as refused:
            problems += refused.violations
        tokenizers, missing = await self._tokenizers(options.tokenizers, within)
        problems += missing
        if problems or profile is None:
            raise InvalidInput("; ".join(problem.description for problem in problems), violations=problems)
        given: dict[str, Any] = options.model_dump(include={"format", "shape", "split_seed"})
        given |= {name: value for name in _OPTIONAL if (value := getattr(options, name)) not in (None, "")}
        spec = VersionSpec(
            profile=profile,
            personal_data=policy.personal_data,
            tokenizers=tuple(
                Tokenizer(name=source.name, max_length=use.max_length)
                for source, use in zip(tokenizers, options.tokenizers, strict=True)
            ),
            **given,
        )
        return Treatment(spec, tokenizers, policy.requires_approval)

    async def _tokenizers(
        self, uses: tuple[TokenizerUse, ...], within: str
    ) -> tuple[tuple[TokenizerSource, ...], list[Violation]]:
        sources: list[TokenizerSource] = []
        missing = []
        for number, use in enumerate(uses):
            _, model, _, revision = use.base_model.split("/")
            try:
                bundle = await load_bundle(self._store, f"models/base/{model}/{revision}")
                bundle.manifest.file("tokenizer.json")
            except NotFound:
                problem = f"{use.base_model} has no tokenizer in the store; import it with ImportBaseModel"
                missing.append(Violation(f"{within}tokenizers[{number}].base_model", problem))
                continue
            sources.append(
                TokenizerSource(
                    name=_free_name(model, {source.name for source in sources}),
                    base_model=use.base_model,
                    prefix=bundle.prefix,
                    manifest_sha256=bundle.manifest_sha256,
                )
            )
        return tuple(sources), missing


_OPTIONAL = ("validation_fraction", "group_field", "stratum_field", "evaluation")


def chosen_profile(name: str, yaml: str, *, default: str, within: str) -> Profile:
    """The client's own, a built-in one, or the default; `InvalidInput` tells what is wrong with it."""
    if name and yaml:
        problem = Violation(f"{within}profile_yaml", "a profile is given by name too; leave one of the two out")
        raise InvalidInput(problem.description, violations=[problem])
    place = f"{within}profile_yaml" if yaml else f"{within}profile"
    try:
        return parse_profile(yaml) if yaml else packaged_profile(name or default)
    except NotFound as unknown:
        raise InvalidInput(unknown.message, violations=[Violation(place, unknown.message)]) from unknown
    except InvalidInput as refused:
        problems = [
            Violation(place + problem.field.removeprefix("profile"), problem.description)
            for problem in refused.violations
        ]
        raise InvalidInput(refused.message, violations=problems, reason=refused.reason) from refused


def leaving_out_bad_rows(spec: VersionSpec) -> RowFilter:
    """For rows that nobody can mend: one that the profile or the branch's policy refuses is left out and counted,
    instead of making the whole version invalid."""
    profile = spec.profile
    if spec.personal_data == "refuse":
        private = {ProblemCode.SECRET: "error", ProblemCode.PERSONAL_DATA: "error"}
        profile = profile.model_copy(update={"checks": profile.checks | private})
    return RowFilter(profile=profile)


def _free_name(model: str, taken: set[str]) -> str:
    """A folder name that tells the model; a counter keeps two of one model apart."""
    stem = re.sub(r"[^a-z0-9-]", "-", model)
    stem = stem if stem[0].isalpha() else f"m{stem}"
    name, count = stem[:60], 1
    while name in taken:
        count += 1
        name = f"{stem[:57]}-{count}"
    return name
