"""`fragua events`: what the services tell each other, as it passes on NATS."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Annotated

import typer
from rich.markup import escape

from fragua_cli.options import BranchOption
from fragua_cli.output import Output
from fragua_cli.session import Session, client_command
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.events.cloudevents import SUBJECT_ROOT, CloudEvent
from fragua_platform.events.open import open_event_bus
from fragua_platform.logging import configure_logging

app = typer.Typer()


@app.callback()
def events() -> None:
    """Keeps `tail` a command of its own while it is the only one."""


@client_command(app, "tail")
async def tail(
    session: Session,
    url: Annotated[
        str,
        typer.Option("--events-url", envvar="FRAGUA_EVENTS_URL", help="nats://…, the suite's.", show_default=False),
    ] = "",
    replay: Annotated[bool, typer.Option("--replay", help="Begin with the events that the server retains.")] = False,
    subject: Annotated[
        list[str] | None,
        typer.Option(help=f"With wildcards * and >; repeat it. {SUBJECT_ROOT}.> unless given.", show_default=False),
    ] = None,
    branch: BranchOption = "",
    count: Annotated[int, typer.Option(min=0, help="Stop after so many; 0 goes on until Ctrl-C.")] = 0,
) -> None:
    """Print events as they pass: time, subject, body. With --json: one line for each."""
    _require_nats(url)
    configure_logging("fragua-cli", "ERROR", "console")  # nats-py logs, and stdout is ours
    bus = await open_event_bus(url, name="fragua events tail")
    subjects = subject or [f"{SUBJECT_ROOT}.{branch.removeprefix('branches/')}.>" if branch else f"{SUBJECT_ROOT}.>"]
    try:
        seen = 0
        # The port promises an iterator; both buses give a generator, which lets go of its consumer when closed.
        async with aclosing(bus.tail(subjects, replay=replay)) as passing:  # type: ignore[type-var]
            async for event in passing:
                _show(session.output, event)
                seen += 1
                if seen == count:
                    return
    finally:
        await bus.close()


def _require_nats(url: str) -> None:
    if url.startswith(("nats://", "tls://")):
        return
    given = f"it is {url}" if url else "it is not set"
    problem = Violation("FRAGUA_EVENTS_URL", f"{given}; set it to the nats://… address that the services use")
    raise InvalidInput(
        "events can be watched on NATS only: under `fragua up` they never leave its process", violations=[problem]
    )


def _show(output: Output, event: CloudEvent) -> None:
    body = json.loads(event.body)
    if output.as_json:
        output.update(
            {
                "time": event.time.isoformat(),
                "subject": event.subject,
                "id": event.id,
                "type": event.type,
                "source": event.source,
                "body": body,
            }
        )
        return
    told = json.dumps(body, ensure_ascii=False)
    output.say(f"[dim]{event.time.astimezone():%H:%M:%S}[/dim] [cyan]{escape(event.subject)}[/cyan] {escape(told)}")
