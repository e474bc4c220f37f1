"""Runs a program against its tests, with nothing around it: the inner side of the sandbox.

Started as `python -I -S -B -c <this text>`, so that it needs no file of ours; it imports the standard library only. The
request comes as one JSON object on standard input, the results go out as one on standard output. With `namespaces` it
is process 1 of namespaces of its own and may mount: it builds a root with an interpreter in it and little else, and gives up
every right before the first foreign line runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 1, 28, 38
NO_ROOT_RIGHTS = 0x2F
"""User 0 is a user like others, also after exec, and nobody can change that."""
CAPABILITY_VERSION = 0x20080522
NOBODY = 65534
SCRATCH = "/scratch"
DEVICES = ("null", "zero", "urandom", "random")


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    if request["namespaces"]:
        enter_root(Path(request["directory"]), request["readable"], request["scratch_mib"])
        give_up_rights(is_root=request["is_root"])
    elif sys.platform == "linux":
        call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limit(request)
    worker = os.fork()
    if worker == 0:
        results = run_tests(request["program"], request["tests"], request["seconds"], request["nonce"].encode())
        sys.stdout.write(json.dumps({"nonce": request["nonce"], "results": results}))
        sys.stdout.flush()
        os._exit(0)
    # Process 1 has to take leave of everything that ends, and when it goes the kernel kills what is left.
    while os.wait()[0] != worker:
        pass
    os._exit(0)


def enter_root(root: Path, readable: list[str], scratch_mib: int) -> None:
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for name in readable:
        show(Path(name), root / name.removeprefix("/"))
    for name in DEVICES:
        place = root / "dev" / name
        place.parent.mkdir(exist_ok=True)
        place.touch()
        mount(f"/dev/{name}", place, None, MS_BIND)
    scratch = root / SCRATCH.removeprefix("/")
    scratch.mkdir()
    if not (root / "tmp").exists():  # else the interpreter is in there
        (root / "tmp").symlink_to(SCRATCH)
    mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, f"size={scratch_mib}m,nr_inodes=4096,mode=1777")
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chroot(root)
    os.chdir(SCRATCH)


def show(path: Path, place: Path) -> None:
    """The same files, for reading only, with what is mounted below."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        place.symlink_to(path.readlink())
        return
    if path.is_dir():
        place.mkdir(exist_ok=True)
    else:
        place.touch()
    mount(path, place, None, MS_BIND | MS_REC)
    for below in mounts_below(place):
        # What was set by someone with more rights, such as noexec, has to stay as it is. The other bits of statvfs
        # mean something else here.
        kept = os.statvfs(below).f_flag & ~(MS_REMOUNT | MS_BIND)
        mount(None, below, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)


def mounts_below(place: Path) -> list[str]:
    """With the place itself."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    points = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines]
    return [point for point in points if Path(point).is_relative_to(place)]


def give_up_rights(*, is_root: bool) -> None:
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", PR_SET_SECUREBITS, NO_ROOT_RIGHTS, 0, 0, 0)
    if is_root:  # else it is the user that we are outside, and cannot be another one
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    call("capset", (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)())


def limit(request: dict[str, Any]) -> None:
    seconds = int(request["seconds"]) + 1
    for kind, value in (
        (resource.RLIMIT_AS, request["memory_mib"] * 2**20),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, request["scratch_mib"] * 2**20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, request["processes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def run_tests(program: str, tests: list[str], seconds: float, nonce: bytes) -> list[str]:
    """One by one, each in a process of its own with the program loaded anew; the time is shared fairly."""
    deadline = time.monotonic() + seconds
    results = []
    for number, test in enumerate(tests):
        share = max(deadline - time.monotonic(), 0.0) / (len(tests) - number)
        results.append(run_test(program, test, share, nonce))
    return results


def run_test(program: str, test: str, seconds: float, nonce: bytes) -> str:
    """Empty when it passed, else what went wrong. Ending early, in any way, is no way to pass."""
    reading, writing = os.pipe()
    try:
        process = os.fork()
    except OSError as refused:
        return f"no process for it: {refused}"
    if process == 0:
        os.close(reading)
        os.setpgid(0, 0)
        if sys.platform == "linux":
            call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        tester = os.getpid()
        words = try_test(program, test, writing)
        if os.getpid() == tester:  # what the code forked comes here, too
            os.write(writing, nonce + words.encode("utf-8", "backslashreplace"))
        os._exit(0)
    os.close(writing)
    told, ready = b"", select.select([reading], [], [], seconds)[0]
    if ready:
        told = os.read(reading, 4096)
    os.close(reading)
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            end(process, signal.SIGKILL)
    os.waitpid(process, 0)
    if told.startswith(nonce):
        return told.removeprefix(nonce).decode("utf-8", "replace")
    return "it ended the process" if ready else f"it took more than {seconds:.1f} s"


def try_test(program: str, test: str, writing: int) -> str:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for descriptor in range(3, 64):
        if descriptor != writing:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    names = {"__name__": "answer"}
    try:
        exec(compile(program, "<answer>", "exec"), names)
        exec(compile(test, "<test>", "exec"), names)
    except BaseException as broken:
        try:
            return f"{type(broken).__name__}: {broken}"[:300]
        except BaseException:
            return "it failed"
    return ""


def mount(
    source: str | Path | None, target: str | Path, kind: str | None, flags: int, options: str | None = None
) -> None:
    names = (None if name is None else os.fsencode(name) for name in (source, target, kind))
    call("mount", *names, ctypes.c_ulong(flags), None if options is None else options.encode())


def call(name: str, *arguments: Any) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


LIBC = ctypes.CDLL(None, use_errno=True)

main()
