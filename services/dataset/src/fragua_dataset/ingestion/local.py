"""Looks at a file on this machine as an import would, without any server, and says what is wrong with it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from fragua_dataset.domain.profile import Profile, Shape
from fragua_dataset.domain.profile_catalog import packaged_names, packaged_profile, parse_profile
from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.domain.version_spec import Container, parse_version_spec
from fragua_dataset.ingestion.ingest import Watch, make_version
from fragua_dataset.ingestion.writing import write_json
from fragua_platform.errors import FraguaError, InvalidInput

VALID, INVALID, REFUSED = 0, 1, 2
"""Exit codes; argparse ends with 2, too."""
_PROBLEMS_SHOWN = 20


def validate_file(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _options(arguments)
    try:
        report = _report_on(options)
        if options.report:
            write_json(report, options.report)
    except FraguaError as refusal:
        sys.stderr.write(f"{options.file}: {refusal.message}\n")
        return REFUSED
    except OSError as trouble:
        sys.stderr.write(f"{trouble.filename or options.file}: {trouble.strerror}\n")
        return REFUSED
    sys.stdout.write("\n".join(_summary(report, options)) + "\n")
    return VALID if report.valid else INVALID


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fragua_dataset.ingestion",
        description="Say what is wrong with a file of examples. Ends with 0 when it is valid, 1 when it is not, "
        "2 when it cannot be read at all.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--profile", default="instruct", help=f"{', '.join(packaged_names())}, or a YAML file of yours")
    parser.add_argument("--report", type=Path, metavar="OUT.json", help="write the whole report there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the rows there, divided into two files")
    parser.add_argument("--format", default="auto", choices=("auto", *get_args(Container)))
    parser.add_argument("--shape", default="auto", choices=("auto", *get_args(Shape)))
    parser.add_argument("--validation-fraction", type=float, default=0.2, metavar="SHARE")
    return parser.parse_args(arguments)


def _report_on(options: argparse.Namespace) -> VersionReport:
    spec = parse_version_spec(
        {
            "format": options.format,
            "shape": options.shape,
            "validation_fraction": options.validation_fraction,
            "profile": _profile(options.profile),
        }
    )
    if not options.file.is_file():
        raise InvalidInput("there is no such file")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fragua-") as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        (inputs / "source").symlink_to(options.file.resolve())
        report, _ = make_version(spec, inputs, options.out, Watch(_tell_progress, lambda: False))
    return report


def _profile(given: str) -> Profile:
    if given in packaged_names():
        return packaged_profile(given)
    try:
        return parse_profile(Path(given).read_text("utf-8"))
    except UnicodeDecodeError as broken:
        raise InvalidInput(f"{given} is not UTF-8: byte {broken.start + 1} cannot be read") from broken
    except FileNotFoundError as missing:
        known = ", ".join(packaged_names())
        raise InvalidInput(f"{given!r} is neither a file nor one of the packaged profiles: {known}") from missing


def _tell_progress(step: int, total: int, message: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{step / max(total, 1):.0%}, {message} ")


def _summary(report: VersionReport, options: argparse.Namespace) -> Iterator[str]:
    for problem in report.problems[:_PROBLEMS_SHOWN]:
        yield f"{problem.place}: {problem.severity.value.lower()}: {problem.code}: {problem.message}; {problem.hint}"
    told = min(len(report.problems), _PROBLEMS_SHOWN)
    if sum(report.problem_counts.values()) > told:
        where = f"; {options.report} lists more" if options.report else "; --report lists more"
        yield f"({told} of {sum(report.problem_counts.values())} problems{where})"
    for code, count in sorted(report.problem_counts.items(), key=lambda found: (-found[1], found[0])):
        yield f"{count:>9,}  {code} ({report.severities[code].value.lower()})"
    yield f"{report.rows:,} rows: {report.train_rows:,} to train on, {report.validation_rows:,} held out"
    yield f"{'valid' if report.valid else 'INVALID'} by the profile {report.spec.profile.name!r}"
