"""`fragua dataset approve|reject|archive|keygen|sign|verify`: decide on versions, and make sure of them."""

from __future__ import annotations

import base64
import getpass
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.exits import ExitCode
from fragua_cli.keys import new_key, public_bytes, read_key, sign_version
from fragua_cli.names import dataset_version_name
from fragua_cli.options import BranchOption
from fragua_cli.session import Session, client_command
from fragua_cli.versions import RowsArgument, VersionArgument, version_state
from fragua_platform.errors import FailedPrecondition

app = typer.Typer()

ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the version.")]
ReviewerOption = Annotated[
    str,
    typer.Option(envvar="FRAGUA_REVIEWER", default_factory=getpass.getuser, help="Who decides; kept with the version."),
]
SampleSeedOption = Annotated[int, typer.Option(min=0, help="The seed of the sample that you looked at.")]
SampleSizeOption = Annotated[int, typer.Option(min=0, help="Its size; 0 when you looked at none.")]

_VERIFY_SECONDS = 3600.0
"""Every byte is fetched from the store and read, and a version may have gigabytes."""


@client_command(app, "approve")
async def approve(
    session: Session,
    version: VersionArgument,
    reason: ReasonOption,
    reviewer: ReviewerOption,
    sample_seed: SampleSeedOption = 0,
    sample_size: SampleSizeOption = 0,
    branch: BranchOption = "",
) -> None:
    """Let a version that waits for approval be trained on."""
    request = calls.ApproveDatasetVersionRequest(
        name=await dataset_version_name(session.suite, version, branch),
        reviewer=reviewer,
        reason=reason,
        sample_seed=sample_seed,
        sample_size=sample_size,
    )
    _tell(session, await session.suite.call(session.suite.dataset.ApproveDatasetVersion, request))


@client_command(app, "reject")
async def reject(
    session: Session,
    version: VersionArgument,
    reason: ReasonOption,
    reviewer: ReviewerOption,
    sample_seed: SampleSeedOption = 0,
    sample_size: SampleSizeOption = 0,
    branch: BranchOption = "",
) -> None:
    """Refuse a version that waits for approval; it can never be trained on."""
    request = calls.RejectDatasetVersionRequest(
        name=await dataset_version_name(session.suite, version, branch),
        reviewer=reviewer,
        reason=reason,
        sample_seed=sample_seed,
        sample_size=sample_size,
    )
    _tell(session, await session.suite.call(session.suite.dataset.RejectDatasetVersion, request))


@client_command(app, "archive")
async def archive(
    session: Session,
    version: VersionArgument,
    reason: ReasonOption,
    reviewer: ReviewerOption,
    branch: BranchOption = "",
) -> None:
    """Keep a READY or REJECTED version for the record, no longer for use."""
    name = await dataset_version_name(session.suite, version, branch)
    request = calls.ArchiveDatasetVersionRequest(name=name, reviewer=reviewer, reason=reason)
    _tell(session, await session.suite.call(session.suite.dataset.ArchiveDatasetVersion, request))


@client_command(app, "keygen")
async def keygen(
    session: Session,
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="A new file for the private key.")],
) -> None:
    """Make an Ed25519 key to sign with. The file is for you alone; the public key goes into a branch's policy."""
    public = base64.b64encode(public_bytes(new_key(out))).decode("ascii")
    session.output.document({"private_key_file": str(out), "public_key": public})


@client_command(app, "sign")
async def sign(
    session: Session,
    version: RowsArgument,
    key: Annotated[
        Path, typer.Option("--key", "-k", exists=True, dir_okay=False, help="Your private key, from `keygen`.")
    ],
    signer: Annotated[
        str,
        typer.Option(
            envvar="FRAGUA_REVIEWER", default_factory=getpass.getuser, help="Your name, beside the signature."
        ),
    ],
    branch: BranchOption = "",
) -> None:
    """Sign a version, here: the private key is not sent. What was tampered with is not signed."""
    private = read_key(key)
    suite = session.suite
    name = await dataset_version_name(suite, version, branch, with_rows=True)
    found = await _verified(session, name)
    if found.faults:
        raise FailedPrecondition(
            f"{name} is not what it was; `fragua dataset verify {name}` tells more", reason="TAMPERED"
        )
    stored = await suite.call(suite.dataset.GetDatasetVersion, calls.GetDatasetVersionRequest(name=name))
    request = calls.SignDatasetVersionRequest(
        name=name,
        signer=signer,
        public_key=public_bytes(private),
        signature=sign_version(private, name, stored.bundle.manifest_sha256),
    )
    signed = await suite.call(suite.dataset.SignDatasetVersion, request)
    if session.output.as_json:
        session.output.document(signed)
    session.output.say(f"{name} is signed by {escape(signer)}; signatures so far: {len(signed.signatures)}")


@client_command(app, "verify")
async def verify(session: Session, version: RowsArgument, branch: BranchOption = "") -> None:
    """Read every byte of a version again: digests, each row's id, signatures. Exits with 2 when something is wrong."""
    name = await dataset_version_name(session.suite, version, branch, with_rows=True)
    found = await _verified(session, name)
    if session.output.as_json:
        session.output.document(found)
    _tell_verification(session, name, found)
    if not found.intact:
        raise typer.Exit(ExitCode.REFUSED)


async def _verified(session: Session, name: str) -> dataset_pb2.DatasetVerification:
    suite, output = session.suite, session.output
    verify_version = partial(suite.dataset.VerifyDatasetVersion, timeout=_VERIFY_SECONDS)
    with output.console.status("reading every row") if output.live else nullcontext():
        return await suite.call(verify_version, calls.VerifyDatasetVersionRequest(name=name))


def _tell(session: Session, version: dataset_pb2.DatasetVersion) -> None:
    if session.output.as_json:
        session.output.document(version)
    session.output.say(f"{version.name} is {version_state(version)}")


def _tell_verification(session: Session, name: str, found: dataset_pb2.DatasetVerification) -> None:
    verdict = "[green]intact[/green]" if found.intact else "[bold red]not what it was[/bold red]"
    session.output.say(f"{name} is {verdict}: {found.rows_checked:,} rows were checked")
    for fault in found.faults:
        session.output.say(f"  {escape(fault)}")
    if found.signatures:
        session.output.table(
            {
                "SIGNER": [check.signer for check in found.signatures],
                "PUBLIC KEY": [base64.b64encode(check.public_key).decode("ascii") for check in found.signatures],
                "FITS": ["yes" if check.valid else "NO" for check in found.signatures],
                "TRUSTED": ["yes" if check.trusted else "no" for check in found.signatures],
            }
        )
