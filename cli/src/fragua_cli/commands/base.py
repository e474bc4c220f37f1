"""`fragua base`: base models, mirrored into the artifact store so that workers need no internet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.names import base_model_name
from fragua_cli.options import LimitOption
from fragua_cli.output import local_time, size_of
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_cli.transfers import upload_base_model

app = typer.Typer()


@client_command(app, "import")
async def import_model(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="As save_pretrained writes it.")
    ],
    name: Annotated[str, typer.Option("--name", "-n", help="What to call the model, e.g. `tiny-base`.")],
) -> None:
    """Send a model folder: *.safetensors, *.json, *.jinja, *.model and *.txt. The same content makes no new revision."""
    model = await upload_base_model(session.suite, session.output, folder, name)
    if session.output.as_json:
        session.output.document(model)
        return
    session.output.say(f"{model.name}: {model.architecture}, {len(model.bundle.files)} files, {_size(model)}")


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


def _size(model: trainer_pb2.BaseModel) -> str:
    return size_of(sum(file.size_bytes for file in model.bundle.files))
