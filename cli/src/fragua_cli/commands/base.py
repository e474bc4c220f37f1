"""`fragua base`: base models, mirrored into the artifact store so that workers need no internet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.names import base_model_name
from fragua_cli.options import LimitOption
from fragua_cli.output import local_time, size_of
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_cli.transfers import mirror_base_model, upload_base_model

app = typer.Typer()

NameOption = Annotated[str, typer.Option("--name", "-n", help="What to call the model, e.g. `tiny-base`.")]


@client_command(app, "import")
async def import_model(
    session: Session,
    source: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", exists=True, help="A folder as save_pretrained writes it, or a .gguf file."),
    ],
    name: NameOption,
) -> None:
    """Send a model folder (*.safetensors, *.json, *.jinja, *.model, *.txt) or a GGUF file, which is dequantized.

    The same content makes no new revision.
    """
    _tell(session, await upload_base_model(session.suite, session.output, source, name))


@client_command(app, "mirror")
async def mirror(
    session: Session,
    hub_id: Annotated[str, typer.Argument(metavar="ORG/MODEL", help="E.g. `microsoft/Phi-3.5-mini-instruct`.")],
    revision: Annotated[str, typer.Option("--revision", "-r", help="The commit to pin: 40 hexadecimal digits.")],
    name: NameOption,
    token_variable: Annotated[
        str,
        typer.Option(
            "--token-variable",
            help="For gated models: the trainer service's environment variable FRAGUA_HUB_… that holds the token.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Let the service fetch a model from a hub once; training then needs no internet. Ask again after a break: it goes on."""
    request = calls.MirrorBaseModelRequest(
        model_id=name, hub_id=hub_id, revision=revision, token_variable=token_variable
    )
    _tell(session, await mirror_base_model(session.suite, session.output, request))


@client_command(app, "list")
async def list_models(session: Session, limit: LimitOption = 100) -> None:
    """List the base models with their revisions."""
    suite = session.suite
    pages = all_pages(
        lambda token: suite.call(suite.trainer.ListBaseModels, calls.ListBaseModelsRequest(page_token=token)),
        "base_models",
    )
    found, more = await first(pages, limit)
    columns = {
        "NAME": [model.name for model in found],
        "ARCHITECTURE": [model.architecture for model in found],
        "SIZE": [_size(model) for model in found],
        "CREATED": [local_time(model.create_time) for model in found],
    }
    session.output.listing(found, columns, nothing="no base model yet: `fragua base import DIR --name N`", more=more)


@client_command(app, "show")
async def show(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name (newest revision) or full resource name.")],
) -> None:
    """Show one base model, whole."""
    suite = session.suite
    request = calls.GetBaseModelRequest(name=await base_model_name(suite, model))
    session.output.document(await suite.call(suite.trainer.GetBaseModel, request))


def _tell(session: Session, model: trainer_pb2.BaseModel) -> None:
    if session.output.as_json:
        session.output.document(model)
        return
    session.output.say(f"{model.name}: {model.architecture}, {len(model.bundle.files)} files, {_size(model)}")
    for warning in model.warnings:
        session.output.say(f"[yellow]{escape(warning)}[/yellow]")


def _size(model: trainer_pb2.BaseModel) -> str:
    return size_of(sum(file.size_bytes for file in model.bundle.files))
