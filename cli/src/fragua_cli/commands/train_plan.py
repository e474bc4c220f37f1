"""`fragua train presets|estimate`: what can be trained, and what it would need, before anything is."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import typer
from rich.markup import escape

from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.names import base_model_name, branch_name, dataset_version_name
from fragua_cli.options import BranchOption
from fragua_cli.output import size_of
from fragua_cli.session import Session, client_command
from fragua_cli.training_specs import PresetOption, SetOption, SpecOption, spec_yaml

app = typer.Typer()

_ESTIMATE_SECONDS: Final = 24 * 3600.0
"""The service limits it by a setting of its own; a large base takes minutes to load alone."""

DatasetOption = Annotated[
    str, typer.Option("--dataset", "-d", help="DATASET (its newest READY version), DATASET/VERSION or full name.")
]
BaseOption = Annotated[
    str, typer.Option("--base", "--base-model", help="The base model (its newest revision) or full name.")
]


@client_command(app, "presets")
async def presets(
    session: Session,
    name: Annotated[str, typer.Argument(help="Show the values of this one.", show_default=False)] = "",
) -> None:
    """List the named sets of values for `--preset`, or show one."""
    suite = session.suite
    answer = await suite.call(suite.trainer.ListTrainingPresets, calls.ListTrainingPresetsRequest())
    found = [preset for preset in answer.training_presets if name in ("", preset.name)]
    if name and found and not session.output.as_json:
        session.output.say(escape(found[0].spec_yaml.rstrip()))
        return
    columns = {"NAME": [preset.name for preset in found], "FOR": [preset.description for preset in found]}
    session.output.listing(found, columns, nothing=f"no preset {escape(name)}; `fragua train presets` lists them")


@client_command(app, "estimate")
async def estimate(
    session: Session,
    dataset: DatasetOption,
    base: BaseOption,
    branch: BranchOption = "",
    preset: PresetOption = "",
    spec: SpecOption = None,
    assignments: SetOption = None,
    measure: Annotated[bool, typer.Option("--measure", help="Take a few steps, for a time that is measured.")] = False,
) -> None:
    """Tell what a run would need and do; everything that is wrong with it is told at once."""
    suite = session.suite
    version = await dataset_version_name(suite, dataset, branch, ready=True)
    request = calls.EstimateTrainingJobRequest(
        parent=await branch_name(suite, branch, implied_by=version),
        training_job=trainer_pb2.TrainingJob(
            dataset_version=version,
            base_model=await base_model_name(suite, base),
            preset=preset,
            spec_yaml=spec_yaml(spec, assignments),
        ),
        measure=measure,
    )
    look = partial(suite.trainer.EstimateTrainingJob, timeout=_ESTIMATE_SECONDS)
    with session.output.waiting("looking at the dataset and the base model"):
        found = await suite.call(look, request)
    if session.output.as_json:
        session.output.document(found)
        return
    _show(session, found)


def _show(session: Session, found: trainer_pb2.TrainingEstimate) -> None:
    say, mask = session.output.say, found.mask
    say(f"trains {found.trainable_parameters:,} parameters over {found.base_parameters:,} of the base")
    session.output.table(
        {
            "TARGET": [match.target for match in found.targets],
            "LAYERS": [str(match.layers) for match in found.targets],
            "SHAPE": [" x ".join(map(str, match.shape)) for match in found.targets],
        }
    )
    say(
        f"takes {found.steps:,} steps, at {found.tokens_per_epoch:,} tokens per epoch; the longest row has "
        f"{mask.longest_row_tokens:,} tokens"
    )
    say(
        f"the loss counts {mask.supervised_tokens:,} of {mask.tokens:,} tokens, those held out among them; it holds the "
        f"end of every answer in {mask.rows_with_end_of_turn:,} of {mask.rows:,} rows"
    )
    say(f"needs {size_of(found.memory_bytes)} of memory and {size_of(found.disk_bytes)} of disk")
    if found.seconds:
        say(f"lasts {_duration(found.seconds)}, {found.seconds_per_step:.3g} s for each step")
    else:
        say("[dim]--measure tells how long it lasts[/dim]")
    for notice in found.notices:
        say(f"[yellow]{escape(notice)}[/yellow]")


def _duration(seconds: float) -> str:
    """`35 s`, `12 min`, `5 h 20 min`"""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
