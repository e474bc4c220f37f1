"""The documentation against what it speaks of: links, paths, names in the code, settings and commands."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_core import PydanticUndefined

from fragua_platform.settings import PlatformSettings

ROOT = Path(__file__).parents[2]
SERVICES = ("dataset", "trainer", "evaluator", "exporter")

FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


def pages() -> list[Path]:
    """Every markdown file that belongs to the repository, committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def read(page: str | Path) -> str:
    return (ROOT / page).read_text("utf-8")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", read(page))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


def test_every_path_that_the_architecture_names_exists() -> None:
    folders = {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    named = set(re.findall(r"`([\w.\-/]+/[\w.\-/]*)`", prose(ROOT / "docs/architecture.md")))
    in_repository = {path for path in named if path.split("/")[0] in folders}
    assert not [path for path in in_repository if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/glossary.md", "CONTRIBUTING.md"])
def test_every_name_beside_a_link_is_defined_in_the_linked_file(page: str) -> None:
    """`[store.py](…) · JobStore.create` promises that the file has a class and a function of these names."""
    missing = []
    for target, name in re.findall(r"\]\(([^()\s]+)\)\s+·\s+`([\w.]+)`", prose(ROOT / page)):
        code = ((ROOT / page).parent / target).read_text("utf-8")
        for part in name.split("."):
            if not re.search(rf"^\s*(async def|def|class|message|enum|service) {part}\b|^\s*{part}(:| =)", code, re.M):
                missing.append(f"{target}: {part}")
    assert not missing


def settings_tables() -> dict[str, dict[str, str]]:
    """Heading -> variable -> the cell with its default, from docs/operations.md."""
    section = read("docs/operations.md").partition("\n## Settings\n")[2].partition("\n## ")[0]
    tables: dict[str, dict[str, str]] = {}
    for part in section.split("\n### ")[1:]:
        rows = re.findall(r"^\| (`FRAGUA_[^|]*) \| ([^|]*) \|", part, re.MULTILINE)
        heading = part.partition("\n")[0]
        tables[heading] = {
            name: default.strip() for names, default in rows for name in re.findall(r"FRAGUA_\w+", names)
        }
    return tables


def settings_of(service: str) -> type[PlatformSettings]:
    module = importlib.import_module(f"fragua_{service}.settings")
    found: type[PlatformSettings] = getattr(module, f"{service.capitalize()}Settings")
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_documented_settings_are_those_of_the_service(service: str) -> None:
    tables = settings_tables()
    documented = tables["Of every service"] | tables[f"{service.capitalize()} service"]
    fields = {f"FRAGUA_{name.upper()}": field for name, field in settings_of(service).model_fields.items()}
    assert documented.keys() == fields.keys()
    for variable, field in fields.items():
        assert documented[variable] == told_default(variable, field.default), variable


def told_default(variable: str, default: Any) -> str:
    match variable:
        case "FRAGUA_DATABASE_URL":
            return "a SQLite file below the data directory"
        case "FRAGUA_ARTIFACTS_URL":
            return "a folder below the data directory"
    assert default is not PydanticUndefined
    text = default.get_secret_value() if hasattr(default, "get_secret_value") else str(default)
    return "unset" if default is None or not text else f"`{text}`"


def test_secrets_are_marked_and_nothing_else_is() -> None:
    page = read("docs/operations.md")
    marked = set(re.findall(r"^\| `(FRAGUA_\w+)` \| [^|]* \| \*secret\.\*", page, re.MULTILINE))
    secret = {
        f"FRAGUA_{name.upper()}"
        for service in SERVICES
        for name, field in settings_of(service).model_fields.items()
        if not field.repr or "SecretStr" in str(field.annotation)
    }
    assert marked == secret


def test_every_variable_that_the_code_reads_is_documented() -> None:
    documented = {name for table in settings_tables().values() for name in table}
    no_variables = {"FRAGUA_EVENTS", "FRAGUA_JOBS", "FRAGUA_DEAD", "FRAGUA_X_FILE"}  # streams, and a docstring's X
    sources = [
        *(ROOT / "libs").rglob("src/**/*.py"),
        *(ROOT / "services").rglob("src/**/*.py"),
        *(ROOT / "cli/src").rglob("*.py"),
    ]
    read_by_code = {
        name.removesuffix("_FILE") if name.removesuffix("_FILE") in documented else name
        for path in sources
        for name in re.findall(r"\bFRAGUA_[A-Z][A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    }
    assert read_by_code - no_variables <= documented


def commands_told() -> Iterator[Any]:
    for page in pages():
        for block in re.findall(r"```(?:sh|bash)\n(.*?)```", read(page), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if match := re.search(
                    r"(?:\.venv/bin/)?\bfragua ((?:-\S+ |\S+:\d+ )*[a-z]+.*)", line.partition(" #")[0]
                ):
                    yield pytest.param(match[1].split(), id=f"{page.name}: {match[1][:60]}")


@pytest.mark.parametrize("words", list(commands_told()))
def test_every_command_of_the_documentation_exists_with_its_options(words: list[str]) -> None:
    from fragua_cli.__main__ import app

    command: Any = typer.main.get_command(app)
    options: list[str] = []
    for word in words:
        if word.startswith("--"):
            options.append(word.partition("=")[0])
        elif hasattr(command, "get_command") and ":" not in word:
            found = command.get_command(typer.Context(command), word)
            assert found is not None, f"{command.name} has no {word!r}"
            command = found
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    common = {"--endpoint", "--json", "--patience", "--help"}
    assert set(options) <= known | common


def test_every_make_target_of_the_documentation_exists() -> None:
    makefile = read("Makefile")
    told = {
        target for page in pages() for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", read(page), re.MULTILINE)
    }
    assert not {target for target in told if not re.search(rf"^{target}:", makefile, re.MULTILINE)}


def test_the_documentation_names_no_path_of_somebodys_machine() -> None:
    for page in pages():
        assert not re.search(r"(?<![\w/])/(home|root|Users|work)/", read(page)), page


def test_scripts_that_are_named_can_be_run() -> None:
    named = {path for page in pages() for path in re.findall(r"\bscripts/[\w.]+\.sh\b", read(page))}
    assert all(os.access(ROOT / path, os.X_OK) for path in named)


def test_log_events_and_metrics_of_the_operations_page_exist() -> None:
    page = read("docs/operations.md")
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "libs/platform/src").rglob("*.py"))
    logs = page.partition("\n## Logs\n")[2].partition("\n## ")[0]
    events = {
        name for row in re.findall(r"^\| (`[^|]*) \|", logs, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    metrics = {name.removesuffix("_total") for name in re.findall(r"^\| `(fragua_\w+)`", page, re.MULTILINE)}
    assert events and metrics
    assert not {name for name in events | metrics if f'"{name}"' not in sources}
