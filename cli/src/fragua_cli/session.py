"""One run of one command: the services it calls, where it prints, and the exit code it leaves."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import typer

from fragua_cli.endpoints import find_endpoints
from fragua_cli.exits import ExitCode, exit_code_of
from fragua_cli.output import Output
from fragua_cli.preferences import EndpointOption, JsonOption, Preferences, preferences_of
from fragua_cli.suite import Suite
from fragua_cli.tls import find_tls
from fragua_platform.errors import FraguaError


@dataclass(frozen=True)
class Session:
    suite: Suite
    output: Output


Body = Callable[..., Awaitable[None]]


def client_command(app: typer.Typer, name: str) -> Callable[[Body], Body]:
    """Make a coroutine function a command: its first parameter is the session, the others are options and arguments.

    `--endpoint` and `--json` may stand before the noun or after the verb.
    """

    def register(body: Body) -> Body:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]

        def command(context: typer.Context, endpoint: str | None, as_json: bool, **arguments: Any) -> None:
            run(preferences_of(context, endpoint, as_json), lambda session: body(session, **arguments))

        keyword = inspect.Parameter.KEYWORD_ONLY
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads
            [
                inspect.Parameter("context", keyword, annotation=typer.Context),
                *(parameter.replace(kind=keyword) for parameter in own),
                inspect.Parameter("endpoint", keyword, default=None, annotation=EndpointOption),
                inspect.Parameter("as_json", keyword, default=False, annotation=JsonOption),
            ]
        )
        app.command(name, help=inspect.getdoc(body))(command)
        return body

    return register


def run(preferences: Preferences, body: Callable[[Session], Awaitable[None]]) -> None:
    """Run a command's coroutine with the services that the preferences name."""
    output = Output(as_json=preferences.as_json)

    async def with_services() -> None:
        endpoints = find_endpoints(preferences.endpoint)
        async with Suite(endpoints, tls=find_tls(), patience=preferences.patience, notice=output.notice) as suite:
            await body(Session(suite, output))

    run_to_exit_code(output, with_services())


def run_to_exit_code(output: Output, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine; its errors become a message and an exit code, never a traceback."""
    try:
        asyncio.run(work)
    except FraguaError as error:
        output.error(error)
        raise typer.Exit(exit_code_of(error)) from None
    except BrokenPipeError:
        # Whoever reads the answer has seen enough, as `head` has; the interpreter would flush the rest once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.FAILED) from None
    except OSError as error:
        output.error(FraguaError(f"{error.filename or 'a file'}: {error.strerror}", reason="LOCAL_FILE"))
        raise typer.Exit(ExitCode.FAILED) from None
    except UnicodeDecodeError as error:
        output.error(FraguaError(f"a file is not UTF-8: {error.reason} at byte {error.start + 1}", reason="LOCAL_FILE"))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
