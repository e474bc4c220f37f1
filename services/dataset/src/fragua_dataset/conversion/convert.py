"""Writes each side of a version as one file in the asked format, row by row; a side without rows has no file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fragua_dataset.conversion.card import write_card
from fragua_dataset.conversion.columns import write_parquet
from fragua_dataset.conversion.lines import write_alpaca, write_chat
from fragua_dataset.domain.conversion import ConversionFormat, parse_conversion_spec
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

Row = dict[str, Any]

_SIDES: Final = ("train", "validation")
_WRITERS: Final[Mapping[ConversionFormat, tuple[str, Callable[[Iterator[Row], Path], None]]]] = {
    ConversionFormat.CHAT_JSONL: ("{side}.jsonl", write_chat),
    ConversionFormat.ALPACA: ("{side}.jsonl", write_alpaca),
    ConversionFormat.PARQUET: ("{side}.parquet", write_parquet),
    ConversionFormat.HF_FOLDER: ("data/{side}.parquet", write_parquet),
}
_SECONDS_BETWEEN_REPORTS: Final = 0.5
_decode = msgspec.json.Decoder(Row).decode


def convert(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_conversion_spec(job.read_spec())
    name, write = _WRITERS[spec.format]
    source = Source(job.inputs, reporter)
    files = {}
    for side in _SIDES:
        if source.size_of(side):
            files[side] = name.format(side=side)
            target = job.outputs / files[side]
            target.parent.mkdir(parents=True, exist_ok=True)
            write(source.rows(side), target)
    if spec.format is ConversionFormat.HF_FOLDER:
        write_card(job.outputs / "README.md", spec.version, files, source.rows_read)
    source.report()


class Source:
    """The rows of a version, read once; reports how far that is, and ends the work when a stop is requested."""

    def __init__(self, inputs: Path, reporter: Reporter) -> None:
        self._paths = {side: inputs / f"{side}.jsonl" for side in _SIDES}
        if missing := [path.name for path in self._paths.values() if not path.is_file()]:
            raise InvalidInput(f"inputs/ has no {' and no '.join(missing)}; both sides of a version are read")
        self._reporter = reporter
        self._bytes_read = 0
        self._next_report = 0.0
        self.rows_read = dict.fromkeys(_SIDES, 0)

    def size_of(self, side: str) -> int:
        return self._paths[side].stat().st_size

    def rows(self, side: str) -> Iterator[Row]:
        with self._paths[side].open("rb", buffering=1 << 18) as lines:
            for line in lines:
                self._glance()
                self._bytes_read += len(line)
                self.rows_read[side] += 1
                yield _decode(line)

    def report(self) -> None:
        total = sum(map(self.size_of, _SIDES))
        self._reporter.progress("converting", self._bytes_read, total, f"{sum(self.rows_read.values())} rows")

    def _glance(self) -> None:
        if self._reporter.stop_requested:
            # Writing the files again costs seconds, so there is no checkpoint to save.
            raise Interrupted
        if (now := time.monotonic()) >= self._next_report:
            self._next_report = now + _SECONDS_BETWEEN_REPORTS
            self.report()
