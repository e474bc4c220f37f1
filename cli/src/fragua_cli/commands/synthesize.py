"""`fragua dataset synthesize`: have a language model write examples about concepts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.names import branch_name, resource_name
from fragua_cli.options import BranchOption, RequestIdOption, request_id
from fragua_cli.session import Session, client_command
from fragua_cli.versions import ProfileOption, WaitOption, follow_version
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer()

_ENDPOINT = "http://127.0.0.1:11434"


class Source(StrEnum):
    """Where the answers come from."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    GGUF = "gguf"
    ADAPTER = "adapter"


_KINDS = {
    Source.OPENAI: dataset_pb2.GeneratorModel.KIND_OPENAI_COMPATIBLE,
    Source.OLLAMA: dataset_pb2.GeneratorModel.KIND_OLLAMA,
    Source.GGUF: dataset_pb2.GeneratorModel.KIND_GGUF,
    Source.ADAPTER: dataset_pb2.GeneratorModel.KIND_ADAPTER,
}
_COLLECTIONS = {Source.GGUF: "exports", Source.ADAPTER: "adapters"}


@client_command(app, "synthesize")
async def synthesize(
    session: Session,
    dataset: Annotated[str, typer.Option("--name", "-n", help="The dataset; begins with its first version.")],
    generator: Annotated[
        Source, typer.Option(help="An endpoint like OpenAI's or Ollama's, or an export or adapter of this suite.")
    ],
    model: Annotated[
        str, typer.Option(help="The endpoint's name of the model; the id of the export, the number of the adapter.")
    ],
    concept: Annotated[
        list[str] | None, typer.Option(help="What examples are about; may be repeated.", show_default=False)
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="One on each line.", show_default=False),
    ] = None,
    generator_endpoint: Annotated[
        str, typer.Option(help=f"{_ENDPOINT}/v1 for openai, {_ENDPOINT} for ollama unless given.", show_default=False)
    ] = "",
    key_variable: Annotated[
        str,
        typer.Option(
            help="The worker's FRAGUA_SYNTHESIS_… variable that holds the endpoint's key.", show_default=False
        ),
    ] = "",
    language: Annotated[str, typer.Option(help="Two letters, such as es; en unless given.", show_default=False)] = "",
    variants: Annotated[
        int, typer.Option(min=0, max=50, help="Of each concept; 4 unless given.", show_default=False)
    ] = 0,
    domain: Annotated[
        list[str] | None, typer.Option(help="To vary concepts over; may be repeated.", show_default=False)
    ] = None,
    audience: Annotated[list[str] | None, typer.Option(help="The same.", show_default=False)] = None,
    complexity: Annotated[list[str] | None, typer.Option(help="The same.", show_default=False)] = None,
    prompt: Annotated[
        str,
        typer.Option(help="`instruct` or `business-requirements`; by the profile unless given.", show_default=False),
    ] = "",
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A prompt of your own, with {concept} in it.", show_default=False
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="completeness, length, yaml-valid, requirements, or module:function; by the prompt unless given.",
            show_default=False,
        ),
    ] = "",
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Examples below are left out.")] = 0.0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 always says the likeliest.")] = 0.8,
    max_tokens: Annotated[
        int, typer.Option(min=0, max=32768, help="Of one answer; the endpoint's own unless given.", show_default=False)
    ] = 0,
    budget_requests: Annotated[
        int, typer.Option(min=0, help="End after so many requests; 1,000 unless given.", show_default=False)
    ] = 0,
    budget_tokens: Annotated[int, typer.Option(min=0, help="End after so many tokens.", show_default=False)] = 0,
    budget_seconds: Annotated[
        int, typer.Option(min=0, help="End after so many seconds of asking.", show_default=False)
    ] = 0,
    budget_examples: Annotated[
        int, typer.Option(min=0, help="End with so many examples that are good enough.", show_default=False)
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed asks for other variants.")] = 0,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Share that is held out; 0.2 unless given.", show_default=False)
    ] = None,
    profile: ProfileOption = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Have a language model write examples about concepts, and keep the good ones as a new version."""
    parent = f"{await branch_name(session.suite, branch, implied_by=model)}/datasets/{dataset}"
    if generator in _COLLECTIONS:
        model = await resource_name(session.suite, _COLLECTIONS[generator], model, branch)
    spec = dataset_pb2.SynthesisSpec(
        concepts=_concepts(concept or [], concepts),
        domains=domain,
        audiences=audience,
        complexities=complexity,
        variants_per_concept=variants,
        prompt=prompt,
        prompt_text=prompt_file.read_text("utf-8") if prompt_file else "",
        language=language,
        generator=dataset_pb2.GeneratorModel(
            kind=_KINDS[generator],
            endpoint=generator_endpoint or _default_endpoint(generator),
            model=model,
            key_variable=key_variable,
            temperature=temperature,
            max_tokens=max_tokens,
        ),
        metric=metric,
        min_score=min_score,
        seed=seed,
        budget=dataset_pb2.SynthesisBudget(
            max_requests=budget_requests,
            max_tokens=budget_tokens,
            max_seconds=budget_seconds,
            max_examples=budget_examples,
        ),
    )
    request = calls.SynthesizeDatasetRequest(
        parent=parent,
        request_id=request_id(given_request_id),
        spec=spec,
        options=dataset_pb2.ImportOptions(profile=profile, validation_fraction=validation_fraction),
    )
    made = await session.suite.call(session.suite.dataset.SynthesizeDataset, request)
    await follow_version(session, made, wait=wait, label="writing examples")


def _concepts(given: list[str], file: Path | None) -> list[str]:
    found = given + (file.read_text("utf-8").splitlines() if file else [])
    if concepts := list(dict.fromkeys(line.strip() for line in found if line.strip())):
        return concepts
    problem = Violation("--concept", "name at least one, or a file of them with --concepts")
    raise InvalidInput("there is nothing to write about", violations=[problem])


def _default_endpoint(generator: Source) -> str:
    return {Source.OPENAI: f"{_ENDPOINT}/v1", Source.OLLAMA: _ENDPOINT}.get(generator, "")
