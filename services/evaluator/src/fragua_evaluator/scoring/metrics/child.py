"""The child process of one metric: scores answers by foreign code, or by patterns that may take for ever.

    python -P child.py TASK_FILE

The task says which metric it is. JSON lines come in on standard input and go out on what was standard output; whatever
the metric prints is lost. The first line out tells that the metric is ready, or why it cannot be; then every line in
holds an item and an output, and the line that answers it a score or a failure. End of file ends it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import numbers
import os
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

Score = Callable[[dict[str, Any], str], Any]

MAX_COMPONENTS = 64
_MAX_NAME_CHARS = 64
_MAX_MESSAGE_CHARS = 300
_PR_SET_PDEATHSIG = 1


def main() -> None:
    _die_with_the_parent()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    _limit(task["memory_mib"] * 2**20, task["processes"])
    try:
        score = _open(task["name"], task["options"])
    except BaseException as broken:  # whatever foreign code does when it is imported
        _tell(replies, {"error": _words_of(broken)})
        return
    _tell(replies, {"ready": True})
    for line in requests:
        request = json.loads(line)
        _tell(replies, {"id": request["id"]} | _scored(score, request["item"], request["output"]))


def _open(name: str, options: Mapping[str, Any]) -> Score:
    if ":" in name:
        module, _, function = name.partition(":")
        found = getattr(importlib.import_module(module), function)
        if not callable(found):
            raise TypeError(f"{name} is {type(found).__name__}, no function")
        loaded: Score = found
        return loaded
    opened = _built_in(name, options)
    return lambda _item, output: opened(output)


def _built_in(name: str, options: Mapping[str, Any]) -> Callable[[str], tuple[float, dict[str, float]]]:
    if name == "regex":
        return _open_regex(options)
    if name == "checklist":
        return _open_checklist(options)
    # Imported late: the others need nothing of ours.
    from fragua_evaluator.scoring.metrics.schemas import open_schema

    return open_schema(name.removesuffix("_schema"), options)


def _open_regex(options: Mapping[str, Any]) -> Callable[[str], tuple[float, dict[str, float]]]:
    pattern = re.compile(options["pattern"], _flags(options))
    find = pattern.fullmatch if options["match"] == "full" else pattern.search
    return lambda output: (float(find(output) is not None), {})


def _open_checklist(options: Mapping[str, Any]) -> Callable[[str], tuple[float, dict[str, float]]]:
    points = [
        (name, re.compile(pattern, _flags(options)), is_wanted)
        for is_wanted, patterns in ((True, options["wanted"]), (False, options["unwanted"]))
        for name, pattern in patterns.items()
    ]

    def score(output: str) -> tuple[float, dict[str, float]]:
        # An empty answer says nothing unwanted, and earns nothing by that.
        said = bool(output.strip())
        held = {
            name: float(said and (pattern.search(output) is not None) is wanted) for name, pattern, wanted in points
        }
        return sum(held.values()) / len(held), held

    return score


def _flags(options: Mapping[str, Any]) -> re.RegexFlag:
    return re.MULTILINE | (re.IGNORECASE if options["ignore_case"] else re.NOFLAG)


def _scored(score: Score, item: dict[str, Any], output: str) -> dict[str, Any]:
    try:
        return _checked(score(item, output))
    except MemoryError:
        return {"failure": "METRIC_OUT_OF_MEMORY: it asked for more memory than it may have"}
    except Exception as broken:  # not ours, so it may raise anything; what ends a process, such as SystemExit, ends it
        return {"failure": f"METRIC_RAISED: {_words_of(broken)}"}


def _checked(value: Any) -> dict[str, Any]:
    """A number, or `{"score": number, "components": {name: number}}`, each from 0 to 1."""
    components: Any = {}
    if isinstance(value, tuple):
        value, components = value
    elif isinstance(value, Mapping):
        if unknown := sorted(map(str, value.keys() - {"score", "components"})):
            return _invalid(f"it returned {unknown[0]!r}; a map holds `score` and `components`")
        value, components = value.get("score"), value.get("components") or {}
    if not isinstance(components, Mapping) or len(components) > MAX_COMPONENTS:
        return _invalid(f"components are no map of at most {MAX_COMPONENTS} names to numbers")
    for name, part in [("score", value), *components.items()]:
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_CHARS:
            return _invalid(f"a component is called {name!r:.80}; names have 1 to {_MAX_NAME_CHARS} characters")
        if not isinstance(part, numbers.Real) or not 0 <= float(part) <= 1:  # which is false of NaN, too
            return _invalid(f"its {name} is {part!r:.80}, expected a number from 0 to 1")
    return {"score": float(value), "components": {name: float(part) for name, part in components.items()}}


def _invalid(problem: str) -> dict[str, Any]:
    return {"failure": f"METRIC_INVALID_SCORE: {problem}"}


def _words_of(error: BaseException) -> str:
    """Only the first line, and not all of it: it may be an answer of a megabyte."""
    try:
        message = next(iter(str(error).splitlines()), "")[:_MAX_MESSAGE_CHARS]
    except Exception:  # a foreign exception may not even know how to be printed
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _tell(replies: BinaryIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()


def _limit(memory_bytes: int, processes: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


def _die_with_the_parent() -> None:
    """However the engine ends, a metric that hangs does not outlive it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
