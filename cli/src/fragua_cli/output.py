"""What a command prints: tables and trees for people, JSON for programs; errors and notices on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fragua_platform.errors import FraguaError

_PIPE_COLUMNS: Final = 200
"""Width where there is no terminal to ask: names must not be broken there."""


class Output:
    """Where one command prints. With `as_json`, stdout carries JSON and nothing else."""

    def __init__(self, *, as_json: bool = False, on_stderr: bool = False) -> None:
        """`on_stderr` moves what is for people out of the way of a document on stdout."""
        self.as_json = as_json
        terminal = (sys.stderr if on_stderr else sys.stdout).isatty()
        self.console = Console(stderr=on_stderr, width=_width(terminal), highlight=False)
        self._errors = Console(stderr=True, width=_width(sys.stderr.isatty()), highlight=False)

    @property
    def live(self) -> bool:
        """Whether bars that move make sense."""
        return not self.as_json and self.console.is_terminal

    def say(self, text: str) -> None:
        """A line of the answer, for people; it may hold rich's markup."""
        if not self.as_json:
            self.console.print(text, soft_wrap=True)

    def notice(self, text: str) -> None:
        self._errors.print(f"[dim]{escape(text)}[/dim]", soft_wrap=True)

    @contextmanager
    def waiting(self, doing: str) -> Iterator[None]:
        """Show that something goes on that tells no progress; on a terminal only."""
        if not self.live:
            yield
            return
        with self.console.status(doing):
            yield

    def document(self, content: Message | Mapping[str, Any], *, title: str = "") -> None:
        """One resource, whole."""
        plain = as_dict(content)
        if self.as_json:
            _write(json.dumps(plain, ensure_ascii=False, indent=2))
            return
        if title:
            self.console.print(f"[bold]{escape(title)}[/bold]")
        for line in _tree(plain):
            self.console.print(line, soft_wrap=True)

    def update(self, content: Message | Mapping[str, Any]) -> None:
        """One of several states, as one line of JSON; people get theirs from the views of `following`."""
        if self.as_json:
            _write(json.dumps(as_dict(content), ensure_ascii=False))

    def listing(
        self,
        resources: Sequence[Message],
        columns: Mapping[str, Sequence[str]],
        *,
        nothing: str,
        more: bool = False,
        shown_by: str = "--limit",
    ) -> None:
        """A list of resources: one JSON array, or a table whose columns hold a cell for each resource."""
        if self.as_json:
            _write(json.dumps([as_dict(resource) for resource in resources], ensure_ascii=False, indent=2))
            return
        if not resources:
            self.say(f"[dim]{nothing}[/dim]")
            return
        self.table(columns)
        if more:
            self.say(f"[dim]there are more; {shown_by} shows them[/dim]")

    def table(self, columns: Mapping[str, Sequence[str]], *, title: str = "") -> None:
        if self.as_json:
            return
        table = Table(box=None, header_style="dim", pad_edge=False, title=title or None, title_justify="left")
        for header in columns:
            table.add_column(header, overflow="fold")
        for row in zip(*columns.values(), strict=True):
            table.add_row(*row)
        self.console.print(table)

    def error(self, error: FraguaError) -> None:
        if self.as_json:
            violations = [{"field": each.field, "description": each.description} for each in error.violations]
            body = {"reason": error.reason, "message": error.message, "violations": violations}
            print(json.dumps({"error": body}, ensure_ascii=False), file=sys.stderr)
            return
        self._errors.print(f"[bold red]error:[/bold red] {escape(error.message)}", soft_wrap=True)
        for violation in error.violations:
            line = f"{violation.field}: {violation.description}" if violation.field else violation.description
            if line != error.message:  # a single problem is often the whole message
                self._errors.print(f"  {escape(line)}", soft_wrap=True)


def as_dict(content: Message | Mapping[str, Any]) -> dict[str, Any]:
    """The canonical JSON form of a proto, with zeros and empty lists, so that scripts find every field."""
    if isinstance(content, Message):
        return MessageToDict(content, always_print_fields_with_no_presence=True)
    return dict(content)


def local_time(moment: Timestamp) -> str:
    return moment.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment.seconds else ""


def size_of(count: int) -> str:
    """`2.6 MB`"""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.2f} GB"


def _tree(content: Mapping[str, Any], depth: int = 0) -> Iterable[str]:
    indent = "  " * depth
    for key, value in content.items():
        if value in ("", [], {}) or str(value).endswith("_UNSPECIFIED"):
            continue
        if isinstance(value, Mapping):
            yield f"{indent}[dim]{key}:[/dim]"
            yield from _tree(value, depth + 1)
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            for number, entry in enumerate(value):
                yield f"{indent}[dim]{key}\\[{number}]:[/dim]"
                yield from _tree(entry, depth + 1)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{indent}[dim]{key}:[/dim] {escape(shown)}"


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    # Whoever reads a followed job line by line waits for this very line.
    sys.stdout.flush()


def _width(terminal: bool) -> int | None:
    return None if terminal or os.environ.get("COLUMNS") else _PIPE_COLUMNS
