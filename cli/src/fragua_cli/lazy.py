"""Command groups whose code is imported when one of their commands is asked for, so that `fragua --help` is instant."""

from __future__ import annotations

from importlib import import_module

import typer
from typer.core import TyperGroup


def commands_in(module: str) -> typer.Typer:
    """A group with the commands of `module.app`."""

    class LazyGroup(TyperGroup):
        def list_commands(self, ctx):  # type: ignore[no-untyped-def]  # its types are private to typer
            self._load()
            return super().list_commands(ctx)

        def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]
            self._load()
            return super().get_command(ctx, cmd_name)

        def _load(self) -> None:
            if not self.commands:
                self.commands = typer.main.get_group(import_module(module).app).commands

    return typer.Typer(cls=LazyGroup, no_args_is_help=True)
