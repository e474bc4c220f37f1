"""Makes one GGUF file on this machine, without any server: `fragua-gguf BASE [--adapter A] --out model.gguf`."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fragua_exporter.domain.export_spec import Quantization, SamplingParameters
from fragua_exporter.domain.modelfile import parse_modelfile
from fragua_platform.errors import AlreadyExists, FraguaError, InvalidInput, LimitExceeded
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter, prepare_libraries

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: the file is there; it is not the model, or we have a defect; the inputs cannot work; Ctrl-C."""

_PROBE = "Hello! Who are you? / ¡Hola! ¿Quién eres?"


def main() -> None:
    sys.exit(make_gguf(sys.argv[1:]))


def make_gguf(arguments: Sequence[str]) -> int:
    """The exit code. Nothing but a proven file ever appears under the name that was asked for."""
    options = _options(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        summary = _make(options, console)
    except FraguaError as error:
        console.print(f"[bold red]error:[/bold red] {escape(error.message)}", soft_wrap=True)
        for violation in error.violations:
            console.print(f"  {escape(violation.field)}: {escape(violation.description)}", soft_wrap=True)
        return REFUSED if isinstance(error, InvalidInput | AlreadyExists | LimitExceeded) else FAILED
    except OSError as trouble:
        console.print(f"[bold red]error:[/bold red] {escape(str(trouble))}", soft_wrap=True)
        return REFUSED
    except (Interrupted, KeyboardInterrupt):
        return INTERRUPTED
    sys.stdout.write("\n".join(summary) + "\n")
    return DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    defaults = SamplingParameters()
    parser = argparse.ArgumentParser(
        prog="fragua-gguf",
        description="Merge an adapter into its base, write one GGUF file, and prove that it is the same model. Ends with "
        "0 when it is, 1 when it is not, 2 when the inputs cannot work as they are.",
    )
    parser.add_argument("base", type=Path, metavar="BASE", help="a Hugging Face directory, weights of 16 or 32 bits")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="as PEFT saves it; the base alone without it")
    parser.add_argument("--out", type=Path, metavar="FILE.gguf", required=True)
    parser.add_argument("--quant", type=Quantization, choices=tuple(Quantization), default=Quantization.F16)
    parser.add_argument("--modelfile", type=Path, metavar="FILE", help="also write Ollama's Modelfile there")
    parser.add_argument("--system", default="", help="system prompt for the Modelfile and the probe")
    parser.add_argument("--probe", default=_PROBE, help="asked of the file")
    parser.add_argument("--num-ctx", type=int, default=defaults.num_ctx, help="context in the Modelfile (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="do not compare the file with the model in transformers, which takes 4 bytes of memory a parameter",
    )
    return parser.parse_args(arguments)


def _make(options: argparse.Namespace, console: Console) -> list[str]:
    for target in filter(None, (options.out, options.modelfile)):
        if target.exists() and not options.overwrite:
            raise AlreadyExists(f"{target} exists; --overwrite replaces it")
    for folder in filter(None, (options.base, options.adapter)):
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is no directory")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the file that is asked for: where that has room, and a rename away from its name.
    with (
        tempfile.TemporaryDirectory(prefix=".fragua-gguf-", dir=options.out.parent) as folder,
        _bar(console) as reporter,
    ):
        job = JobDirectory(Path(folder))
        _lay_out(job, options)
        return _export(job, options, reporter)


def _lay_out(job: JobDirectory, options: argparse.Namespace) -> None:
    job.inputs.mkdir()
    (job.inputs / "base").symlink_to(options.base.resolve())
    if options.adapter:
        (job.inputs / "adapter").symlink_to(options.adapter.resolve())
    spec: dict[str, Any] = {
        "model_name": _model_name(options.out),
        "base_alone": options.adapter is None,
        "quantizations": [options.quant],
        "system_prompt": options.system,
        "parameters": {"num_ctx": options.num_ctx},
        "probe_prompt": options.probe,
    }
    (job.root / "spec.json").write_text(json.dumps(spec), "utf-8")


def _export(job: JobDirectory, options: argparse.Namespace, reporter: Reporter) -> list[str]:
    _load_torch(options)
    # Imported late: `--help` and a wrong path need no seconds.
    from transformers.utils import logging

    from fragua_exporter.conversion.checkout import find_converter
    from fragua_exporter.conversion.memory import check_memory
    from fragua_exporter.conversion.preflight import check_disk, check_inputs
    from fragua_exporter.conversion.products import convert_and_quantize, gguf_files, write_modelfile
    from fragua_exporter.conversion.steps import Steps

    logging.disable_progress_bar()  # Ours is there already.
    reporter.progress("preflight", 0, 1, "reading the base")
    preflight = check_inputs(job, find_converter(os.environ))
    made = job.root / "unproven"
    made.mkdir()
    steps = Steps.resume(job.root / "steps.json", made, "")
    check_disk(job.root, preflight, 0)
    if not options.no_verify:
        check_memory(preflight.plan)
    convert_and_quantize(job, preflight, steps, reporter)
    if not options.no_verify:
        from fragua_exporter.conversion.export import prove

        prove(job, preflight, steps, reporter)
    write_modelfile(preflight, steps)
    file = gguf_files(preflight, steps)[options.quant]
    entry = steps.entries()[file.name]
    if options.modelfile:
        modelfile = parse_modelfile((made / "Modelfile").read_text("utf-8"))
        options.modelfile.parent.mkdir(parents=True, exist_ok=True)
        place = os.path.relpath(options.out.resolve(), options.modelfile.resolve().parent)
        options.modelfile.write_text(replace(modelfile, file=place).render(), "utf-8")
    file.replace(options.out)
    return [*_measured(entry), f"{options.out}: {entry['bytes']:,} bytes, sha256 {entry['sha256']}"]


def _load_torch(options: argparse.Namespace) -> None:
    """Only where it has work to do: it takes seconds and hundreds of megabytes."""
    threads = prepare_libraries()
    if options.adapter or not options.no_verify:
        import torch

        torch.set_num_threads(threads)
    elif "torch" not in sys.modules:
        # transformers imports it wherever it is installed, and its tokenizers need none of it. A module that is None
        # counts as not installed.
        sys.modules["torch"] = None  # type: ignore[assignment]
        os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"


def _measured(entry: dict[str, Any]) -> Iterator[str]:
    if fallback := entry["fallback_tensors"]:
        yield f"{len(fallback)} matrices are stored in another type: their rows do not fill its blocks"
    if "verification" not in entry:
        yield "not verified"
        return
    logits, answer = entry["verification"]["logits"], entry["verification"]["answer"]
    yield (
        f"KL divergence from the model in transformers: {logits['mean_kl']:.2g} on average, {logits['max_kl']:.2g} at "
        f"most; {logits['top1_agreement']:.1%} of the likeliest tokens are the same"
    )
    yield f"asked, it answers: {answer['text']!r}"


def _model_name(out: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", out.stem.lower()).strip("._-")[:63] or "model"


@contextmanager
def _bar(console: Console) -> Iterator[Reporter]:
    """A reporter that shows a bar on a terminal, and a line for each phase elsewhere."""
    columns = (TextColumn("{task.description:<10}"), BarColumn(30), TextColumn("{task.fields[message]}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal)
    with bar as progress:
        reporter = _BarReporter(progress, console)
        former = signal.signal(signal.SIGTERM, lambda *_: reporter.request_stop())
        try:
            yield reporter
        finally:
            signal.signal(signal.SIGTERM, former)


class _BarReporter(Reporter):
    def __init__(self, progress: Progress, console: Console) -> None:
        super().__init__(io.StringIO())
        self._progress = progress
        self._console = console
        self._phase = ""
        self._task: TaskID | None = None

    def progress(
        self, phase: str, step: int, total: int, message: str = "", metrics: dict[str, float] | None = None
    ) -> None:
        if phase != self._phase:
            self._phase = phase
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(phase, message=message)
            if not self._console.is_terminal:
                self._console.print(f"{phase}: {escape(message)}", soft_wrap=True)
        assert self._task is not None
        self._progress.update(self._task, total=total or None, completed=step, message=message)


if __name__ == "__main__":
    main()
