"""`fragua export verify|sign`: make sure of an export, and say so with a key."""

from __future__ import annotations

import base64
import getpass
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.exits import ExitCode
from fragua_cli.exports import published_export
from fragua_cli.keys import public_bytes, read_key, sign_export
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.session import Session, client_command
from fragua_platform.errors import FailedPrecondition

app = typer.Typer()

_VERIFY_SECONDS = 3600.0
"""Every byte is fetched from the store and read, and an export may have many gigabytes."""


@client_command(app, "verify")
async def verify(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Read every byte of an export again: sizes, digests, signatures. Exits with 2 when something is wrong."""
    name = await resource_name(session.suite, "exports", name, branch)
    found = await _verified(session, name)
    if session.output.as_json:
        session.output.document(found)
    verdict = "[green]intact[/green]" if found.intact else "[bold red]not what it was[/bold red]"
    session.output.say(f"{name} is {verdict}")
    for fault in found.faults:
        session.output.say(f"  {escape(fault)}")
    if found.signatures:
        session.output.table(
            {
                "SIGNER": [check.signer for check in found.signatures],
                "PUBLIC KEY": [base64.b64encode(check.public_key).decode("ascii") for check in found.signatures],
                "FITS": ["yes" if check.valid else "NO" for check in found.signatures],
            }
        )
    if not found.intact:
        raise typer.Exit(ExitCode.REFUSED)


@client_command(app, "sign")
async def sign(
    session: Session,
    name: NameArgument,
    key: Annotated[
        Path,
        typer.Option(
            "--key", "-k", exists=True, dir_okay=False, help="Your private key; `fragua dataset keygen` makes one."
        ),
    ],
    signer: Annotated[
        str,
        typer.Option(
            envvar="FRAGUA_REVIEWER", default_factory=getpass.getuser, help="Your name, beside the signature."
        ),
    ],
    branch: BranchOption = "",
) -> None:
    """Sign an export, here: the private key is not sent. What was tampered with is not signed."""
    private = read_key(key)
    suite = session.suite
    export = await published_export(session, name, branch)
    if (await _verified(session, export.name)).faults:
        raise FailedPrecondition(
            f"{export.name} is not what it was; `fragua export verify {export.name}` tells more", reason="TAMPERED"
        )
    request = calls.SignExportRequest(
        name=export.name,
        signer=signer,
        public_key=public_bytes(private),
        signature=sign_export(private, export.name, export.bundle.manifest_sha256),
    )
    signed = await suite.call(suite.exporter.SignExport, request)
    if session.output.as_json:
        session.output.document(signed)
    session.output.say(f"{export.name} is signed by {escape(signer)}; signatures: {len(signed.signatures)}")


async def _verified(session: Session, name: str) -> exporter_pb2.ExportVerification:
    suite, output = session.suite, session.output
    verify_export = partial(suite.exporter.VerifyExport, timeout=_VERIFY_SECONDS)
    with output.console.status("reading every byte") if output.live else nullcontext():
        return await suite.call(verify_export, calls.VerifyExportRequest(name=name))
