"""What the commands about exports share: finding one whose files have been published."""

from __future__ import annotations

from fragua.exporter.v1 import exporter_pb2
from fragua_cli.jobs import exports
from fragua_cli.names import resource_name
from fragua_cli.session import Session
from fragua_platform.errors import FailedPrecondition


async def published_export(session: Session, name: str, branch: str) -> exporter_pb2.Export:
    export = await exports(session.suite).get(await resource_name(session.suite, "exports", name, branch))
    if not export.HasField("bundle"):
        raise FailedPrecondition(f"{export.name} has no files yet; `fragua export watch {export.name}` waits for them")
    return export
