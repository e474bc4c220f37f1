"""Folders of artifacts published as one: the manifest goes last, and only its presence means complete.

A bundle at `models/lora/tutor/3` is a set of objects below that prefix plus `manifest.json`, which lists each file
with its key, size and sha256. Readers go by the manifest alone, so leftovers of a writer that died are never seen.

Writers may race: a worker that lost its lease can still be uploading while its successor publishes. Nobody overwrites;
a file whose key is taken by other bytes goes to a folder of its own, and the manifest, created conditionally, decides
the one winner. From then on whatever it does not list is waste, and whoever published or came too late removes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic import ValidationError

from fragua_platform.artifacts.manifest import Bundle, Manifest, ManifestFile
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import AlreadyExists, Corrupted, FraguaError, NotFound

log = structlog.get_logger()

MANIFEST = "manifest.json"


async def publish_bundle(
    store: ArtifactStore, prefix: str, directory: Path, provenance: Mapping[str, str] | None = None
) -> Bundle:
    """Upload every file below `directory`, then the manifest. Returns the bundle that is published at `prefix`.

    When another writer published first, theirs is returned: the folder is complete, whoever made it.
    """
    if existing := await find_bundle(store, prefix):
        return await _without_waste(store, existing)
    files = []
    for name in await asyncio.to_thread(_files_below, directory):
        ref = await _put_beside_leftovers(store, prefix, name, directory / name)
        files.append(ManifestFile(name=name, key=ref.key, size=ref.size, sha256=ref.sha256))
    manifest = Manifest(prefix=prefix, files=tuple(files), provenance=dict(provenance or {}))
    content = manifest.model_dump_json(indent=1).encode()
    try:
        # The manifest goes last: readers take its presence as proof of completeness.
        await store.put_bytes(f"{prefix}/{MANIFEST}", content)
    except AlreadyExists:
        return await _without_waste(store, await load_bundle(store, prefix))
    return await _without_waste(store, Bundle(manifest=manifest, manifest_sha256=hashlib.sha256(content).hexdigest()))


def _files_below(directory: Path) -> list[str]:
    names = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
    return sorted(name for name in names if name != MANIFEST)


async def _put_beside_leftovers(store: ArtifactStore, prefix: str, name: str, path: Path) -> ArtifactRef:
    try:
        return await store.put_file(f"{prefix}/{name}", path)
    except AlreadyExists:
        return await store.put_file(f"{prefix}/retry-{secrets.token_hex(4)}/{name}", path)


async def _without_waste(store: ArtifactStore, bundle: Bundle) -> Bundle:
    """Remove what writers that died or lost left beside the bundle.

    Before there is a manifest any file may yet be listed, so nobody removes one; now a writer that is still at work
    cannot win any more, and misses nothing.
    """
    listed = {file.key for file in bundle.manifest.files} | {f"{bundle.prefix}/{MANIFEST}"}
    try:
        async for key in store.list(bundle.prefix):
            if key not in listed:
                await store.delete(key)
    except FraguaError as error:
        # It takes room, and the bundle is whole.
        log.warning("waste_left_behind", prefix=bundle.prefix, reason=error.reason, message=error.message)
    return bundle


async def find_bundle(store: ArtifactStore, prefix: str) -> Bundle | None:
    try:
        return await load_bundle(store, prefix)
    except NotFound:
        return None


async def load_bundle(store: ArtifactStore, prefix: str, *, manifest_sha256: str | None = None) -> Bundle:
    """Read a published bundle's manifest; `NotFound` when nothing complete is there."""
    content = await store.get_bytes(f"{prefix}/{MANIFEST}", sha256=manifest_sha256)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as broken:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in broken.errors())
        raise Corrupted(f"{prefix}/{MANIFEST} is not a manifest: {problems}") from broken
    if manifest.prefix != prefix:
        raise Corrupted(f"{prefix}/{MANIFEST} belongs to {manifest.prefix}")
    return Bundle(manifest=manifest, manifest_sha256=hashlib.sha256(content).hexdigest())


async def fetch_bundle(
    store: ArtifactStore, prefix: str, directory: Path, *, manifest_sha256: str | None = None
) -> Bundle:
    """Download a published bundle into `directory`, every byte verified."""
    bundle = await load_bundle(store, prefix, manifest_sha256=manifest_sha256)
    for file in bundle.manifest.files:
        await store.get_file(file.ref, directory / file.name)
    return bundle


async def look_at_manifest(store: ArtifactStore, known: Bundle) -> tuple[list[str], str]:
    """What is wrong with the manifest of a bundle that was published, and the digest that it has now."""
    try:
        stored = await load_bundle(store, known.prefix)
    except (Corrupted, NotFound) as broken:
        return [f"{MANIFEST}: {broken.message}"], ""
    if stored.manifest_sha256 == known.manifest_sha256:
        return [], known.manifest_sha256
    fault = f"{MANIFEST}: its sha256 is {stored.manifest_sha256}, and was {known.manifest_sha256}"
    return [fault], stored.manifest_sha256
