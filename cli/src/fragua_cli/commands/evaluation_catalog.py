"""`fragua eval suites|metrics|policies`: what there is to ask with, to score by and to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape

from fragua.evaluator.v1 import evaluator_service_pb2 as calls
from fragua_cli.session import Session, client_command
from fragua_platform.errors import NotFound

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(metavar="[NAME]", help="Show this one whole.", show_default=False)]


@client_command(app, "suites")
async def suites(session: Session, name: NameArgument = "") -> None:
    """Packaged suites; with a name its YAML, to begin one of your own with."""
    found = (await session.suite.call(session.suite.evaluator.ListSuites, calls.ListSuitesRequest())).suites
    if name:
        _show_yaml(session, _named(found, name, "suite"))
        return
    columns = {
        "NAME": [suite.name for suite in found],
        "KIND": [suite.kind for suite in found],
        "ASKS": [_asks(suite) for suite in found],
        "METRICS": [", ".join(suite.metrics) for suite in found],
        "DESCRIPTION": [escape(suite.description) for suite in found],
    }
    session.output.listing(found, columns, nothing="no suites")


@client_command(app, "metrics")
async def metrics(session: Session, name: NameArgument = "") -> None:
    """Metrics; with a name its options."""
    found = (await session.suite.call(session.suite.evaluator.ListMetrics, calls.ListMetricsRequest())).metrics
    if name:
        session.output.document(_named(found, name, "metric"))
        return
    columns = {
        "NAME": [metric.name for metric in found],
        "SCORES": ["0 to 1" if metric.graded else "0 or 1" for metric in found],
        "OPTIONS": [", ".join(option.name for option in metric.options) for metric in found],
        "DESCRIPTION": [escape(metric.description) for metric in found],
    }
    session.output.listing(found, columns, nothing="no metrics")


@client_command(app, "policies")
async def policies(session: Session, name: NameArgument = "") -> None:
    """Packaged gate policies; with a name its YAML, to begin one of your own with."""
    answer = await session.suite.call(session.suite.evaluator.ListGatePolicies, calls.ListGatePoliciesRequest())
    if name:
        _show_yaml(session, _named(answer.policies, name, "policy"))
        return
    columns = {
        "NAME": [policy.name for policy in answer.policies],
        "DESCRIPTION": [escape(policy.description) for policy in answer.policies],
    }
    session.output.listing(answer.policies, columns, nothing="no policies")


def _asks(suite: Any) -> str:
    asked = (["held-out rows"] if suite.asks_rows else []) + (
        [f"{suite.case_count} cases of its own"] if suite.case_count else []
    )
    return " and ".join(asked)


def _named(found: Sequence[Any], name: str, noun: str) -> Any:
    for each in found:
        if each.name == name:
            return each
    raise NotFound(f"there is no {noun} {name!r}; there are {', '.join(each.name for each in found)}")


def _show_yaml(session: Session, found: Any) -> None:
    if session.output.as_json:
        session.output.document(found)
    session.output.say(escape(found.yaml.rstrip()))
