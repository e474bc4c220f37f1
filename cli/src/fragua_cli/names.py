"""Short names on the command line become resource names: `facts` the newest version of a dataset, `3` an adapter."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as dataset_calls
from fragua.trainer.v1 import trainer_service_pb2 as trainer_calls
from fragua_cli.jobs import dataset_versions
from fragua_cli.suite import Suite, all_pages
from fragua_platform.errors import InvalidInput, NotFound, Violation

_WITHOUT_ROWS = (dataset_pb2.DATASET_VERSION_STATE_VALIDATING, dataset_pb2.DATASET_VERSION_STATE_INVALID)
_DATASET = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


async def branch_name(suite: Suite, branch: str, *, implied_by: str = "") -> str:
    """`branches/{branch}`: as given, or as another resource name implies, or the only branch that there is."""
    if branch:
        return f"branches/{branch.removeprefix('branches/')}"
    if implied_by.startswith("branches/"):
        return "/".join(implied_by.split("/")[:2])
    found = [each.name async for each in branches(suite)]
    if len(found) == 1:
        return found[0]
    problem = Violation("--branch", f"there are {len(found)} branches; `fragua branch list` names them")
    raise InvalidInput("say which branch is meant", violations=[problem])


async def resource_name(suite: Suite, collection: str, given: str, branch: str) -> str:
    """`branches/{branch}/{collection}/{id}` from itself or from the id alone."""
    if "/" in given:
        return given
    return f"{await branch_name(suite, branch)}/{collection}/{given}"


async def dataset_version_name(
    suite: Suite, given: str, branch: str, *, ready: bool = False, with_rows: bool = False
) -> str:
    """From a full name, `DATASET/VERSION`, or `DATASET`: then its newest version, of those that are asked for."""
    if "/versions/" in given:
        return given
    if "/datasets/" in given:
        dataset = given
    else:
        name, _, version = given.partition("/")
        dataset = f"{await branch_name(suite, branch)}/datasets/{name}"
        if version:
            return f"{dataset}/versions/{version}"
    async for version_found in dataset_versions(suite).list(dataset):
        if ready and version_found.state != dataset_pb2.DATASET_VERSION_STATE_READY:
            continue
        if with_rows and version_found.state in _WITHOUT_ROWS:
            continue
        return version_found.name
    kind = "READY version" if ready else "version with rows" if with_rows else "version"
    raise NotFound(f"{dataset} has no {kind}; import one with `fragua dataset import`")


async def base_model_name(suite: Suite, given: str) -> str:
    """From a full name, or from the model's name: then its newest revision."""
    if "/revisions/" in given:
        return given
    model = f"baseModels/{given.removeprefix('baseModels/')}"
    models = all_pages(
        lambda token: suite.call(suite.trainer.ListBaseModels, trainer_calls.ListBaseModelsRequest(page_token=token)),
        "base_models",
    )
    revisions = [each async for each in models if each.name.startswith(f"{model}/revisions/")]
    if not revisions:
        raise NotFound(f"{model} has no revision; import it with `fragua base import DIR --name {given}`")
    newest = max(revisions, key=lambda each: each.create_time.ToNanoseconds())
    return str(newest.name)


def dataset_id(given: str) -> str:
    """For a dataset that may be new; files are often called by what no dataset can be."""
    if _DATASET.fullmatch(given):
        return given
    instead = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")
    proposal = f", such as {instead!r}" if _DATASET.fullmatch(instead) else ""
    expected = f"{given!r} is not a to z, then a to z, digits and dashes, at most 40 in all{proposal}"
    raise InvalidInput("a dataset cannot be called so", violations=[Violation("--name", expected)])


def branches(suite: Suite) -> AsyncIterator[dataset_pb2.Branch]:
    return all_pages(
        lambda token: suite.call(suite.dataset.ListBranches, dataset_calls.ListBranchesRequest(page_token=token)),
        "branches",
    )
