"""`fragua branch trigger`: rules that say when a branch is due for training, and the times they fired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from google.protobuf import json_format

from fragua.dataset.v1 import trigger_pb2
from fragua.dataset.v1 import trigger_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.names import branch_name, resource_name
from fragua_cli.options import BranchOption, LimitOption
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The trigger's name, or its full resource name.")]
_DEFAULTS = Path(__file__).parent / "default_triggers.yaml"


@client_command(app, "add")
async def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to call the rule.", show_default=False)] = "",
    samples: Annotated[int | None, typer.Option(min=1, help="A READY version has so many samples.")] = None,
    exercise_type: Annotated[
        str, typer.Option("--type", help="With --samples: of this type.", show_default=False)
    ] = "",
    accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="The mean accuracy of a cycle is at least this …")
    ] = None,
    cycles: Annotated[int, typer.Option(min=1, max=100, help="… in so many cycles in a row.")] = 2,
    cron: Annotated[str, typer.Option(help="By the clock: five fields, in UTC.", show_default=False)] = "",
    rules: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Add every rule of a YAML file.", show_default=False),
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Add the usual three: 200 samples, 92 % accuracy, monthly.")
    ] = False,
    branch: BranchOption = "",
) -> None:
    """Add a rule: --samples, --accuracy or --cron; or several with --rules or --defaults. Again changes nothing."""
    parent = await branch_name(session.suite, branch)
    if file := _DEFAULTS if defaults else rules:
        wanted = _rules_of(file)
    else:
        wanted = {name: _rule(name, samples, exercise_type, accuracy, cycles, cron)}
    for trigger_id, trigger in wanted.items():
        request = calls.CreateTriggerRequest(parent=parent, trigger_id=trigger_id, trigger=trigger)
        made = await session.suite.call(session.suite.triggers.CreateTrigger, request)
        session.output.update(made)
        session.output.say(f"{made.name}: {_condition(made)}")


@client_command(app, "list")
async def list_triggers(session: Session, branch: BranchOption = "", limit: LimitOption = 100) -> None:
    """List the rules of a branch."""
    suite, parent = session.suite, await branch_name(session.suite, branch)
    pages = all_pages(
        lambda token: suite.call(
            suite.triggers.ListTriggers, calls.ListTriggersRequest(parent=parent, page_token=token)
        ),
        "triggers",
    )
    found, more = await first(pages, limit)
    columns = {
        "NAME": [trigger.name for trigger in found],
        "FIRES": [_condition(trigger) for trigger in found],
        "STATE": ["disabled" if trigger.disabled else "enabled" for trigger in found],
        "LAST FIRED": [local_time(trigger.last_fire_time) for trigger in found],
    }
    session.output.listing(found, columns, nothing="no trigger yet: `fragua branch trigger add --defaults`", more=more)


@client_command(app, "show")
async def show(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Show one rule."""
    session.output.document(await _get(session, name, branch))


@client_command(app, "enable")
async def enable(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Let a rule fire again. What was due while it was disabled does not count."""
    await _set_disabled(session, name, branch, disabled=False)


@client_command(app, "disable")
async def disable(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Keep a rule from firing."""
    await _set_disabled(session, name, branch, disabled=True)


@client_command(app, "delete")
async def delete(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Delete a rule and the list of its firings."""
    full_name = await resource_name(session.suite, "triggers", name, branch)
    await session.suite.call(session.suite.triggers.DeleteTrigger, calls.DeleteTriggerRequest(name=full_name))
    session.output.say(f"{full_name} is deleted")


@client_command(app, "explain")
async def explain(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Tell how far a rule is from firing, without firing it."""
    full_name = await resource_name(session.suite, "triggers", name, branch)
    request = calls.ExplainTriggerRequest(name=full_name)
    explanation = await session.suite.call(session.suite.triggers.ExplainTrigger, request)
    if session.output.as_json:
        session.output.document(explanation)
        return
    session.output.say(f"{'would fire' if explanation.would_fire else 'would not fire'}: {explanation.why}")


@client_command(app, "firings")
async def firings(session: Session, name: NameArgument, branch: BranchOption = "", limit: LimitOption = 20) -> None:
    """List the times that a rule fired, newest first, and why."""
    suite, parent = session.suite, await resource_name(session.suite, "triggers", name, branch)
    pages = all_pages(
        lambda token: suite.call(
            suite.triggers.ListTriggerFirings, calls.ListTriggerFiringsRequest(parent=parent, page_token=token)
        ),
        "trigger_firings",
    )
    found, more = await first(pages, limit)
    columns = {
        "FIRED": [local_time(firing.fire_time) for firing in found],
        "WHY": [firing.why for firing in found],
        "CAUSE": [firing.cause for firing in found],
    }
    session.output.listing(found, columns, nothing="it has not fired yet", more=more)


async def _get(session: Session, name: str, branch: str) -> trigger_pb2.Trigger:
    request = calls.GetTriggerRequest(name=await resource_name(session.suite, "triggers", name, branch))
    return await session.suite.call(session.suite.triggers.GetTrigger, request)


async def _set_disabled(session: Session, name: str, branch: str, *, disabled: bool) -> None:
    trigger = await _get(session, name, branch)
    trigger.disabled = disabled
    request = calls.UpdateTriggerRequest(trigger=trigger)
    session.output.document(await session.suite.call(session.suite.triggers.UpdateTrigger, request))


def _rule(
    name: str, samples: int | None, exercise_type: str, accuracy: float | None, cycles: int, cron: str
) -> trigger_pb2.Trigger:
    conditions: list[dict[str, Any]] = []
    if samples is not None:
        conditions.append({"sample_count": {"min_samples": samples, "exercise_type": exercise_type}})
    if accuracy is not None:
        conditions.append({"accuracy": {"min_mean_accuracy": accuracy, "cycles": cycles}})
    if cron:
        conditions.append({"schedule": {"cron": cron}})
    if not name or len(conditions) != 1:
        problem = Violation("NAME", "give a name, and one of --samples, --accuracy and --cron; or --defaults alone")
        raise InvalidInput("say which rule to add", violations=[problem])
    return json_format.ParseDict(conditions[0], trigger_pb2.Trigger())


def _rules_of(file: Path) -> Mapping[str, trigger_pb2.Trigger]:
    """A map of names to triggers, in YAML."""
    try:
        rules = yaml.safe_load(file.read_text("utf-8"))
        return {str(name): json_format.ParseDict(rule, trigger_pb2.Trigger()) for name, rule in rules.items()}
    except (yaml.YAMLError, json_format.ParseError, UnicodeDecodeError, AttributeError, TypeError) as broken:
        problem = Violation("--rules", f"{file}: {broken}; see {_DEFAULTS} for how rules are written")
        raise InvalidInput(f"{file} holds no rules", violations=[problem]) from broken


def _condition(trigger: trigger_pb2.Trigger) -> str:
    match trigger.WhichOneof("condition"):
        case "sample_count":
            of_type = f" of {trigger.sample_count.exercise_type}" if trigger.sample_count.exercise_type else ""
            return f"{trigger.sample_count.min_samples:,} samples{of_type}"
        case "accuracy":
            return f"{trigger.accuracy.min_mean_accuracy:.0%} accuracy in {trigger.accuracy.cycles} cycles in a row"
        case _:
            return f"`{trigger.schedule.cron}`"
