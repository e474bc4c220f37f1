"""The `fragua` command: a client of the four services, and `up` and `demo` to have them here."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from fragua_cli import exits
from fragua_cli.lazy import commands_in
from fragua_cli.preferences import EndpointOption, JsonOption, Preferences, preferences_of

# What needs gRPC is imported when a command is run, so that `fragua --help` is instant.

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=exits.HELP,
    help="Fragua, the forge: from verified examples to a fine-tuned model that runs on a laptop.",
)
for noun, module, summary in (
    ("branch", "branch", "Subjects or roles, each with its own datasets and adapters."),
    ("dataset", "dataset", "Import files of examples, and see what is wrong with them."),
    ("base", "base", "The models that fine-tuning starts from."),
    ("train", "train", "Fine-tune: a dataset version and a base model in, an adapter out."),
    ("adapter", "adapter", "A branch's line of adapters: 1, 2, 3."),
    ("eval", "evaluation", "Let base and adapter answer the same held-out questions."),
    ("export", "export", "Adapters as GGUF files with an Ollama Modelfile."),
    ("events", "events", "What the services tell each other."),
):
    app.add_typer(commands_in(f"fragua_cli.commands.{module}"), name=noun, help=summary)

DataDirOption = Annotated[
    Path, typer.Option("--data-dir", envvar="FRAGUA_DATA_DIR", file_okay=False, help="Everything is kept below it.")
]


@app.callback()
def preferences(
    context: typer.Context,
    endpoint: EndpointOption = None,
    as_json: JsonOption = False,
    patience: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to keep trying a service that is away: 30 for a call and 300 for a watch unless given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options before the noun; --endpoint and --json may also come after the verb."""
    context.obj = Preferences(endpoint=endpoint or "", as_json=as_json, patience=patience)


@app.command()
def status(context: typer.Context, endpoint: EndpointOption = None, as_json: JsonOption = False) -> None:
    """Ask the four services whether they are ready."""
    from fragua_cli.health import show_health
    from fragua_cli.session import run

    run(preferences_of(context, endpoint, as_json), show_health)


@app.command()
def up(
    data_dir: DataDirOption = Path(".fragua"),
    port: Annotated[int, typer.Option(min=1, max=65532, help="The first of four ports.")] = 7440,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    lifeline: Annotated[bool, typer.Option("--lifeline", hidden=True)] = False,
) -> None:
    """Run the four services here, in one process; jobs go on where they were when it is started again."""
    from fragua_platform.errors import FraguaError

    if lifeline:
        _stop_with_parent()
    try:
        from fragua_cli.up import run
    except ModuleNotFoundError as missing:
        print(f"error: {missing.name} is not installed; `pip install 'fragua-cli[up]'` brings it", file=sys.stderr)
        raise typer.Exit(exits.ExitCode.FAILED) from None
    try:
        run(data_dir, port, log_level)
    except FraguaError as error:
        print(f"error: {error.message}", file=sys.stderr)
        raise typer.Exit(exits.exit_code_of(error)) from None


@app.command()
def demo(
    context: typer.Context,
    data_dir: DataDirOption = Path(".fragua"),
    examples: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Where facts/ and tiny-base/ lie; found by itself in a checkout."
        ),
    ] = None,
    endpoint: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forge a small model end to end. Without --endpoint it starts a suite of its own and stops it at the end."""
    from fragua_cli.demo.run import run_demo

    run_demo(preferences_of(context, endpoint, as_json), data_dir, examples)


def main() -> None:
    app(prog_name="fragua")


def _stop_with_parent() -> None:
    """Whoever started us holds the other end of our stdin; when that closes, even by kill -9, we drain and stop."""

    def wait_for_end_of_file() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_end_of_file, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    main()
