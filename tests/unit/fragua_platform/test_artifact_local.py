"""What only the local artifact store meets: links, full disks, other people's files, what a killed writer left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fragua_platform.artifacts.local import ABANDONED_AFTER, LocalArtifactStore
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.artifacts.transfer import disk_errors
from fragua_platform.errors import (
    AlreadyExists,
    FailedPrecondition,
    FraguaError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)

SMALL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import LimitExceeded

store = LocalArtifactStore(Path(sys.argv[1]))
ref = asyncio.run(store.put_bytes("before", b"x" * 200_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for action in (store.put_bytes("large", b"y" * 200_000), store.get_file(ref, Path(sys.argv[2]) / "fetched")):
    try:
        asyncio.run(action)
    except LimitExceeded as limit:
        print(limit)
"""


def partial_files(folder: Path) -> list[Path]:
    return list(folder.glob(".partial*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalArtifactStore:
    return LocalArtifactStore(root)


@pytest.mark.parametrize("key", ["outside/secret", "inside/secret", "link", "loop/x"])
async def test_links_lead_nowhere(store: LocalArtifactStore, root: Path, tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"not ours")
    (root / "outside").symlink_to(tmp_path)
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    (root / "real").mkdir()
    (root / "inside").symlink_to(root / "real")

    with pytest.raises(InvalidInput, match="symbolic link"):
        await store.get_bytes(key)
    with pytest.raises(InvalidInput, match="symbolic link"):
        await store.put_bytes(key, b"1")
    with pytest.raises(InvalidInput, match="symbolic link"):
        await store.delete(key)
    assert (tmp_path / "secret").read_bytes() == b"not ours"


async def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    LocalArtifactStore(disk)
    (tmp_path / "link").symlink_to(disk)

    await LocalArtifactStore(tmp_path / "link").put_bytes("a/b", b"1")

    assert (disk / "a/b").read_bytes() == b"1"


def test_a_disk_that_takes_no_more_is_a_limit_and_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SMALL_DISK, str(root), str(tmp_path / "inputs")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert len(said) == 2
    assert all("ulimit" in line for line in said)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["store/before"]


@pytest.mark.parametrize(
    ("number", "family", "says"),
    [
        (errno.ENOSPC, LimitExceeded, "free some space"),
        (errno.EDQUOT, LimitExceeded, "quota"),
        (errno.EACCES, FailedPrecondition, "writable"),
        (errno.EROFS, FailedPrecondition, "writable"),
        (errno.EPERM, FailedPrecondition, "hard links"),
        (errno.EIO, Unavailable, "Input/output error"),
        (errno.ESTALE, Unavailable, "a/b"),
    ],
)
def test_what_the_system_says_has_its_family(number: int, family: type[FraguaError], says: str) -> None:
    with pytest.raises(family, match=says), disk_errors("a/b"):
        raise OSError(number, os.strerror(number))


async def test_a_key_cannot_be_an_object_and_a_folder(store: LocalArtifactStore) -> None:
    await store.put_bytes("a/b", b"1")

    with pytest.raises(AlreadyExists, match="folder"):
        await store.put_bytes("a", b"1")
    with pytest.raises(AlreadyExists, match="folder"):
        await store.put_bytes("a/b/c", b"1")
    with pytest.raises(NotFound):
        await store.get_bytes("a/b/c")
    await store.delete("a/b/c")
    assert [key async for key in store.list("")] == ["a/b"]


async def test_deleting_the_name_of_a_folder_deletes_nothing(store: LocalArtifactStore) -> None:
    await store.put_bytes("a/b", b"1")

    await store.delete("a")

    assert await store.get_bytes("a/b") == b"1"


async def test_opening_clears_what_killed_writers_left_a_day_ago(root: Path) -> None:
    LocalArtifactStore(root)
    old, new = root / ".incoming/old", root / ".incoming/new"
    old.write_bytes(b"of a writer that was killed")
    new.write_bytes(b"of one that may live")
    long_ago = time.time() - ABANDONED_AFTER.total_seconds() - 1
    os.utime(old, (long_ago, long_ago))

    LocalArtifactStore(root)

    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_made_is_named(root: Path) -> None:
    root.write_bytes(b"a file")

    with pytest.raises(AlreadyExists, match=str(root)):
        LocalArtifactStore(root)


async def test_a_target_that_is_a_folder_is_refused(store: LocalArtifactStore, tmp_path: Path) -> None:
    ref: ArtifactRef = await store.put_bytes("a", b"1")
    (tmp_path / "target/inside").mkdir(parents=True)

    with pytest.raises(AlreadyExists, match="target"):
        await store.get_file(ref, tmp_path / "target")
    assert not partial_files(tmp_path)
