"""The sandbox for code that a model wrote: the outer side, which chooses how and starts it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.metric_catalog import CODE_SANDBOX_VARIABLE
from fragua_evaluator.scoring.metrics.process import (
    MAX_PROCESSES,
    Child,
    Died,
    TimedOut,
    TooManyProcesses,
    TooMuch,
    clean_environment,
    guard,
    process_limit,
    works,
)
from fragua_platform.errors import InvalidInput

_MAX_RESULT_BYTES: Final = 1024 * 1024
_SCRATCH_MIB: Final = 64
_START_SECONDS: Final = 5.0
"""To build the sandbox, beside the time of the tests."""
_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child")

_PROOFS: Final = {
    "it has a network": "import socket; assert [name for _, name in socket.if_nameindex()] in ([], ['lo'])",
    "it sees other processes": "import os; assert not os.path.exists('/proc/self')",
    "it sees this machine's files": "import os; assert not set(os.listdir('/')) & {'home', 'var', 'run', 'mnt', 'sys'}",
    "its directory is not empty": "import os; assert os.listdir('.') == [] and os.getcwd() == '/scratch'",
    "it sees the environment": "import os; assert not [name for name in os.environ if name.startswith('FRAGUA_E')]",
    "it can write outside": """
import os, sys
for folder in ('/', '/dev', sys.base_prefix):
    try:
        os.mkdir(folder + '/fragua-probe')
    except OSError:
        continue
    raise AssertionError(folder)
""",
    "it has rights over the system": """
import os
for attempt in (lambda: os.chroot('/scratch'), lambda: os.setuid(1), lambda: os.nice(-5)):
    try:
        attempt()
    except OSError:
        continue
    raise AssertionError
""",
}


class Isolation(StrEnum):
    """What an operator asks for before a model's code may run."""

    NAMESPACES = "namespaces"
    """No network, no files but the interpreter's, no other processes; where the system cannot do that, nothing runs."""
    LIMITS = "limits"
    """Limits on time, memory, processes and files alone, for a worker that is itself thrown away and sees nothing of worth."""
    OFF = "off"
    """No code runs."""


class SandboxFailed(Exception):
    """The sandbox, not the code, went wrong; the message says how."""


@dataclass(frozen=True)
class Sandbox:
    isolation: Isolation
    limits: Limits

    def run(self, program: str, tests: Sequence[str]) -> list[str]:
        """For each test what went wrong, empty when it passed. Raises SandboxFailed."""
        nonce = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="fragua-code-", ignore_cleanup_errors=True) as directory:
            isolated = self.isolation is Isolation.NAMESPACES
            becomes_nobody = isolated and os.geteuid() == 0
            request = {
                "namespaces": isolated,
                "is_root": becomes_nobody,
                "directory": directory,
                "readable": _readable(),
                "scratch_mib": _SCRATCH_MIB,
                "memory_mib": self.limits.metric_memory_mib,
                "seconds": self.limits.metric_seconds,
                # Root becomes a user that has no other processes.
                "processes": MAX_PROCESSES if becomes_nobody else process_limit(own_user_namespace=isolated),
                "program": program,
                "tests": list(tests),
                "nonce": nonce,
            }
            environment = clean_environment(Path("/scratch") if isolated else Path(directory), kept=("TZ",))
            environment["LANG"] = "C.UTF-8"
            child = Child((*_start(self.isolation), *_interpreter()), environment, Path(directory))
            try:
                return _results(
                    child.run(
                        json.dumps(request).encode(), self.limits.metric_seconds + _START_SECONDS, _MAX_RESULT_BYTES
                    ),
                    nonce,
                    len(tests),
                )
            except TimedOut:
                return ["it took too long"] * len(tests)
            except TooManyProcesses:
                return [f"it started more than {MAX_PROCESSES} processes"] * len(tests)
            except (Died, TooMuch) as broken:
                raise SandboxFailed("it wrote more than it may") from broken
            finally:
                child.end()


def open_sandbox(limits: Limits) -> Sandbox:
    """Tried out before it is trusted. Raises InvalidInput, reason CODE_SANDBOX_UNAVAILABLE."""
    setting = os.environ.get(CODE_SANDBOX_VARIABLE, "") or Isolation.NAMESPACES
    if setting not in tuple(Isolation):
        raise _unavailable(f"{CODE_SANDBOX_VARIABLE} is {setting!r}, expected {', '.join(Isolation)}")
    if setting == Isolation.OFF:
        raise _unavailable(f"the operator switched it off ({CODE_SANDBOX_VARIABLE}=off)")
    sandbox = Sandbox(Isolation(setting), limits)
    if sandbox.isolation is Isolation.LIMITS:
        proofs = {"it does not start": "pass"}
    elif not shutil.which("unshare") or not works((*_start(sandbox.isolation), "true")):
        raise _unavailable("this system lets us make no namespaces")
    else:
        proofs = _PROOFS
    try:
        results = sandbox.run("", list(proofs.values()))
    except SandboxFailed as broken:
        raise _unavailable(str(broken)) from broken
    if failed := [f"{name} ({result})" for name, result in zip(proofs, results, strict=True) if result]:
        raise _unavailable("; ".join(failed))
    return sandbox


def _unavailable(why: str) -> InvalidInput:
    way_out = (
        "let the worker make user namespaces, or, where its container is thrown away, has no network and holds nothing "
        f"of worth, set {CODE_SANDBOX_VARIABLE}=limits"
    )
    message = f"code_tests cannot run code safely here: {why}; {way_out}, or leave the metric out"
    return InvalidInput(message, reason="CODE_SANDBOX_UNAVAILABLE")


def _start(isolation: Isolation) -> tuple[str, ...]:
    if isolation is Isolation.LIMITS:
        return guard()
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    ends_with_us = (setpriv, "--pdeathsig", "KILL") if (setpriv := shutil.which("setpriv")) else ()
    return (*ends_with_us, shutil.which("unshare") or "unshare", *user, *_NAMESPACES)


def _interpreter() -> tuple[str, ...]:
    source = (Path(__file__).parent / "confined.py").read_text("utf-8")
    return (os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", source)


def _readable() -> list[str]:
    """What the interpreter needs: its own installation, and the system's libraries."""
    paths = [os.path.realpath(sys.base_prefix), "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache"]
    paths = [*paths, "/lib", "/lib64"]
    base = paths[0]
    return [base, *(path for path in paths[1:] if Path(path).exists() and not f"{path}/".startswith(f"{base}/"))]


def _results(written: bytes, nonce: str, count: int) -> list[str]:
    try:
        answer: dict[str, Any] = json.loads(written)
        results = [str(result) for result in answer["results"]]
        if answer["nonce"] != nonce or len(results) != count:
            raise ValueError("somebody else's answer")
    except (ValueError, KeyError, TypeError, RecursionError) as broken:
        raise SandboxFailed("it gave no results") from broken
    return results
