"""`fragua export`: adapters as GGUF files with an Ollama Modelfile, and what else an export can be."""

from __future__ import annotations

from typing import Annotated

import typer

from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua_cli.commands import export_files, export_proof, export_publish
from fragua_cli.commands.job_verbs import add_job_verbs
from fragua_cli.jobs import exports
from fragua_cli.names import branch_name, dataset_version_name, resource_name
from fragua_cli.options import BranchOption, RequestIdOption, ValidateOnlyOption, WatchOption, request_id
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.output import size_of
from fragua_cli.quantizations import Quantization, quantization_name
from fragua_cli.session import Session, client_command
from fragua_cli.suite import Suite

app = typer.Typer()

for commands in (export_files, export_proof, export_publish):
    app.add_typer(commands.app)

AdapterOption = Annotated[str, typer.Option("--adapter", "-a", help="Its number, or its full resource name.")]
QuantOption = Annotated[
    list[Quantization] | None,
    typer.Option(
        "--quant", "-q", help="One GGUF file each; repeat it. f16 unless another form is asked for.", show_default=False
    ),
]
MergedOption = Annotated[
    bool, typer.Option("--merged-model", help="Also the merged model for transformers.", show_default=False)
]
AdapterGgufOption = Annotated[
    bool, typer.Option("--adapter-gguf", help="Also the adapter alone, for llama.cpp's --lora.", show_default=False)
]
ImportanceOption = Annotated[
    str,
    typer.Option(
        "--importance-dataset",
        metavar="VERSION",
        help="Its rows tell which weights the formats below 8 bits must keep best.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    str,
    typer.Option(
        "--task-dataset",
        metavar="VERSION",
        help="Every file answers its held-out rows; the difference to the merged model is kept.",
        show_default=False,
    ),
]


@client_command(app, "create")
async def create(
    session: Session,
    adapter: AdapterOption,
    branch: BranchOption = "",
    quant: QuantOption = None,
    merged_model: MergedOption = False,
    adapter_gguf: AdapterGgufOption = False,
    system: Annotated[str, typer.Option(help="System prompt for the Modelfile.", show_default=False)] = "",
    probe: Annotated[str, typer.Option(help="Asked of every file before it is published.", show_default=False)] = "",
    temperature: Annotated[float | None, typer.Option(help="For the Modelfile.", show_default="0.7")] = None,
    top_p: Annotated[float | None, typer.Option(help="For the Modelfile.", show_default="0.9")] = None,
    top_k: Annotated[int | None, typer.Option(help="For the Modelfile.", show_default="40")] = None,
    num_ctx: Annotated[int | None, typer.Option(help="For the Modelfile.", show_default="4096")] = None,
    license_name: Annotated[
        str, typer.Option("--license", help="The model's licence, e.g. `Apache-2.0`.", show_default=False)
    ] = "",
    importance_dataset: ImportanceOption = "",
    task_dataset: TaskOption = "",
    task_rows: Annotated[int, typer.Option(min=0, help="At most so many of them.", show_default="100")] = 0,
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Merge an adapter into its base and write verified files: GGUF with a Modelfile, and other forms."""
    suite = session.suite
    ordered = exporter_pb2.Export(
        adapter=await resource_name(suite, "adapters", adapter, branch),
        quantizations=[each.in_messages for each in quant or ()],
        merged_model=merged_model,
        adapter_gguf=adapter_gguf,
        system_prompt=system,
        probe_prompt=probe,
        parameters=exporter_pb2.SamplingParameters(temperature=temperature, top_p=top_p, top_k=top_k, num_ctx=num_ctx),
        license=license_name,
        task_rows=task_rows,
    )
    await _name_datasets(suite, ordered, importance_dataset, task_dataset, branch)
    request = calls.CreateExportRequest(
        parent=await branch_name(suite, branch, implied_by=ordered.adapter),
        request_id=request_id(given_request_id),
        validate_only=validate_only,
        export=ordered,
    )
    export = await suite.call(suite.exporter.CreateExport, request)
    if validate_only or not watch:
        session.output.document(export)
        return
    await _conclude(session, await follow_to_success(session, exports(suite), export.name))


@client_command(app, "estimate")
async def estimate(
    session: Session,
    adapter: AdapterOption,
    branch: BranchOption = "",
    quant: QuantOption = None,
    merged_model: MergedOption = False,
    adapter_gguf: AdapterGgufOption = False,
    importance_dataset: ImportanceOption = "",
    task_dataset: TaskOption = "",
) -> None:
    """Tell what an export would need, before anything is downloaded."""
    suite = session.suite
    ordered = exporter_pb2.Export(
        adapter=await resource_name(suite, "adapters", adapter, branch),
        quantizations=[each.in_messages for each in quant or ()],
        merged_model=merged_model,
        adapter_gguf=adapter_gguf,
    )
    await _name_datasets(suite, ordered, importance_dataset, task_dataset, branch)
    parent = await branch_name(suite, branch, implied_by=ordered.adapter)
    request = calls.EstimateExportRequest(parent=parent, export=ordered)
    found = await suite.call(suite.exporter.EstimateExport, request)
    if session.output.as_json:
        session.output.document(found)
        return
    if found.files:
        session.output.table(
            {
                "QUANTIZATION": [quantization_name(file.quantization) for file in found.files],
                "SIZE": [size_of(file.size_bytes) for file in found.files],
            }
        )
    session.output.table(
        {
            "": ["disk", "memory"],
            "NEEDED": [size_of(found.disk_bytes), size_of(found.memory_bytes)],
            "FREE AT THE SERVICE": [size_of(found.disk_free_bytes), size_of(found.memory_free_bytes)],
        }
    )


async def _name_datasets(suite: Suite, ordered: exporter_pb2.Export, importance: str, task: str, branch: str) -> None:
    branch = branch or ordered.adapter.split("/")[1]
    if importance:
        ordered.importance_dataset = await dataset_version_name(suite, importance, branch, ready=True)
    if task:
        ordered.task_dataset = await dataset_version_name(suite, task, branch, ready=True)


async def _conclude(session: Session, export: exporter_pb2.Export) -> None:
    session.output.say(f"{export.name} [green]succeeded[/green] {seconds_taken(export.status)}")
    if export.reused:
        session.output.say(f"[dim]an earlier attempt had finished: {', '.join(export.reused)}[/dim]")
    files, checks = export.files, [file.verification for file in export.files]
    columns = {
        "FILE": [file.artifact.key.rpartition("/")[2] for file in files],
        "SIZE": [size_of(file.artifact.size_bytes) for file in files],
        "SAME TOP TOKEN": [f"{check.top1_agreement:.1%}" for check in checks],
        "MEAN KL": [f"{check.mean_kl_divergence:.2g}" for check in checks],
        "MAX KL": [f"{check.max_kl_divergence:.2g}" for check in checks],
    }
    if any(check.HasField("task_score") for check in checks):
        columns["TASK"] = [f"{check.task_score:.3f} ({check.task_score_delta:+.3f})" for check in checks]
    session.output.table(columns | {"ANSWER TO THE PROBE": [check.answer for check in checks]})
    session.output.say(f"[dim]`fragua export download {export.name} --to DIR` fetches them[/dim]")


add_job_verbs(
    app,
    exports,
    columns={
        "ADAPTER": lambda job: job.adapter.rpartition("/")[2],
        "FILES": lambda job: ", ".join(
            [
                *(quantization_name(each) for each in job.quantizations),
                *(["merged"] if job.merged_model else []),
                *(["adapter"] if job.adapter_gguf else []),
            ]
        ),
        "SIGNED": lambda job: ", ".join(each.signer for each in job.signatures),
        "IN OLLAMA": lambda job: ", ".join(each.model for each in job.publications),
    },
    conclude=_conclude,
)
