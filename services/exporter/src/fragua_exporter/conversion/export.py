"""The export from top to bottom: check the inputs, merge, convert, quantize, prove every file, put them in place."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fragua_exporter.conversion.documents import PROVENANCE, ExportFacts, PublishedFile, read_facts, write_documents
from fragua_exporter.conversion.hand_over import JOURNAL, HandOver, take_over
from fragua_exporter.conversion.memory import check_memory
from fragua_exporter.conversion.preflight import Preflight, check_disk, check_inputs
from fragua_exporter.conversion.products import (
    MERGED,
    adapter_file,
    base_file,
    convert_and_quantize,
    convert_base,
    gguf_files,
    intermediate_file,
    intermediate_is_unproven,
    merge,
    merged_configuration,
    remove_intermediates,
    stop_if_asked,
    write_modelfile,
)
from fragua_exporter.conversion.reference import Reference, run_reference
from fragua_exporter.conversion.steps import Steps, digest_of_inputs, nobody_listens
from fragua_exporter.conversion.verification import Verification, verify, verify_merged_model
from fragua_exporter.domain.export_spec import Quantization
from fragua_exporter.domain.exported_file import REUSED, ExportedFile
from fragua_exporter.domain.history import History, TrainingFacts
from fragua_platform.jobs.engine import JobDirectory, Reporter

_TOOLS = ("fragua-exporter", "gguf", "llama-cpp-python", "torch", "transformers", "peft")
_INFO = "export_info.json"


def export(
    job: JobDirectory, reporter: Reporter, converter: Path | None = None, carried_bytes: int | None = None
) -> None:
    """Running it again on the same directory ends in the same files; what is finished is not made again.

    `converter` is a llama.cpp checkout's own, for architectures that are not ours. `carried_bytes` is how much of what is
    finished is handed over for an attempt elsewhere; None for nothing at all.
    """
    # Files are born outside of `outputs` and move there proven: what lies in `outputs` may be published.
    unproven = job.root / "unproven"
    job.outputs.mkdir(exist_ok=True)
    move_files(job.outputs, unproven)

    reporter.progress("preflight", 0, 1, "reading base and adapter")
    preflight = check_inputs(job, converter)
    training, history = read_facts(job.inputs)
    journal = job.root / JOURNAL
    take_over(job, journal, unproven)
    settings = {"spec": preflight.spec.model_dump(mode="json"), "tools": tools()}
    inputs = digest_of_inputs(job.inputs, settings, aside=job.inputs / "checkpoint")
    hand_over = nobody_listens if carried_bytes is None else HandOver(job, reporter, carried_bytes)
    steps = Steps.resume(journal, unproven, inputs, hand_over)
    check_disk(job.root, preflight, steps.finished_bytes)
    check_memory(preflight.plan)
    reporter.progress("preflight", 1, 1, f"{len(preflight.adapter.updates)} matrices to merge{_reused(steps)}")

    merge(preflight, steps, reporter)
    convert_and_quantize(job, preflight, steps, reporter)
    prove(job, preflight, steps, reporter)
    write_modelfile(preflight, steps)

    reporter.progress("signing", 0, 1, "writing down what the files are and what they were made from")
    info = unproven / _INFO
    document = describe(preflight, steps)
    info.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    write_documents(unproven, gather_facts(preflight, steps, document, training, history))
    reporter.progress("signing", 1, 1, f"{PROVENANCE} names every file")
    # Beside the outputs, which are the same whoever finished what.
    (job.root / REUSED).write_text(json.dumps(steps.reused), "utf-8")
    # The description goes last: its presence tells that the files beside it are complete and proven.
    move_files(unproven, job.outputs, last=_INFO)
    unproven.rmdir()


def prove(job: JobDirectory, preflight: Preflight, steps: Steps, reporter: Reporter) -> None:
    """Load, ask and compare every file that has not been; what was measured is kept with it."""
    files = {q: file for q, file in gguf_files(preflight, steps).items() if not _is_proven(steps, file)}
    folder, adapter = steps.directory / MERGED, adapter_file(preflight, steps)
    prove_folder = preflight.spec.merged_model and not _is_proven(steps, merged_configuration(steps))
    intermediate = intermediate_file(steps)
    prove_intermediate = intermediate_is_unproven(preflight, steps)
    prove_adapter = preflight.spec.adapter_gguf and not _is_proven(steps, adapter)
    base = convert_base(preflight, steps, reporter) if prove_adapter else base_file(steps)

    def keep(file: Path, verification: dict[str, Any]) -> None:
        steps.learn(file, verification=verification)
        steps.reach_milestone()

    if files or prove_folder or prove_adapter or prove_intermediate:
        reporter.progress("verifying", 0, 0, "running the merged model in transformers")
        reference = make_reference(job, preflight)
        if prove_folder:
            reporter.progress("verifying", 0, 0, f"running {MERGED} in transformers")
            check = verify_merged_model(folder, preflight.spec.limit(_precision(preflight)), reference)
            keep(merged_configuration(steps), {"logits": check.as_document()})
        if prove_adapter:
            reporter.progress("verifying", 0, 0, f"running {adapter.name} in llama.cpp")
            [(_, verification)] = verify_files(preflight, {Quantization.F16: base}, reference, reporter, adapter)
            keep(adapter, verification.as_document())
        if prove_intermediate:
            [(_, verification)] = verify_files(preflight, {Quantization.F16: intermediate}, reference, reporter)
            keep(intermediate, verification.as_document())
        for quantization, verification in verify_files(preflight, files, reference, reporter):
            keep(files[quantization], verification.as_document())
    remove_intermediates(steps)


def make_reference(job: JobDirectory, preflight: Preflight) -> Reference:
    return run_reference(
        preflight.checkpoint.directory,
        None if preflight.spec.base_alone else job.inputs / "adapter",
        preflight.tokenizer,
        preflight.chat,
        preflight.probe,
        preflight.task,
        preflight.ends,
        preflight.plan.context_length,
    )


def verify_files(
    preflight: Preflight,
    files: Mapping[Quantization, Path],
    reference: Reference,
    reporter: Reporter,
    adapter: Path | None = None,
) -> Iterator[tuple[Quantization, Verification]]:
    """One file after the other, so that a later one that fails does not cost what was measured of the others."""
    total = len(files)
    for step, (quantization, file) in enumerate(files.items()):
        stop_if_asked(reporter)
        reporter.progress("verifying", step, total, f"running {file.name} in llama.cpp")
        verification = verify(
            file,
            preflight.spec.limit(quantization),
            reference,
            preflight.spec.max_task_drop,
            lambda: stop_if_asked(reporter),
            adapter,
        )
        logits = verification.logit_check
        metrics = {"mean_kl": logits.mean_kl, "max_kl": logits.max_kl, "top1_agreement": logits.top1_agreement}
        if task := verification.task_check:
            metrics["task_token_f1_delta"] = task.token_f1_delta
        reporter.progress("verifying", step + 1, total, f"{file.name} is the trained model", metrics)
        yield quantization, verification


def describe(preflight: Preflight, steps: Steps) -> dict[str, Any]:
    """The content of `export_info.json`."""
    spec, plan, adapter = preflight.spec, preflight.plan, preflight.adapter
    entries = steps.entries()
    document = {
        "model_name": spec.model_name,
        "provenance": spec.provenance,
        "model": {
            "architecture": plan.gguf_architecture,
            "context_length": plan.context_length,
            "vocabulary_size": plan.vocabulary_size,
            "pre_tokenizer": preflight.vocabulary.pre_tokenizer,
            "chat_template": preflight.chat.name,
        },
        "adapter": {"rank": adapter.rank, "scale": adapter.scale, "merged_matrices": len(adapter.updates)},
        "files": [
            {"quantization": quantization, **entries[file.name]}
            for quantization, file in gguf_files(preflight, steps).items()
        ],
        "tools": tools(),
    }
    if spec.quantizations:
        document["modelfile"] = entries["Modelfile"]
    if spec.adapter_gguf:
        document["adapter_gguf"] = entries[adapter_file(preflight, steps).name]
    if spec.merged_model:
        document["merged_model"] = [entry for name, entry in entries.items() if name.startswith(f"{MERGED}/")]
    return document


def gather_facts(
    preflight: Preflight, steps: Steps, document: Mapping[str, Any], training: TrainingFacts | None, history: History
) -> ExportFacts:
    """What the papers of this export tell."""
    files = [PublishedFile(name, entry["bytes"], entry["sha256"]) for name, entry in steps.entries().items()]
    return ExportFacts(
        spec=preflight.spec,
        architecture=preflight.plan.gguf_architecture,
        context_length=preflight.plan.context_length,
        chat_template=preflight.chat.name,
        models=tuple(ExportedFile.from_info(entry) for entry in document["files"]),
        files=(*files, PublishedFile.of(steps.directory / _INFO)),
        tools=document["tools"],
        training=training,
        history=history,
    )


def tools() -> dict[str, str]:
    return {"python": platform.python_version()} | {tool: version(tool) for tool in _TOOLS}


def move_files(source: Path, target: Path, last: str = "") -> None:
    """Every file below `source`, each at once, to the same place below `target`; emptied folders disappear."""
    target.mkdir(parents=True, exist_ok=True)
    found = sorted(source.rglob("*"), key=lambda path: (path.name == last, path))
    for path in found:
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    for path in sorted(found, reverse=True):
        if path.is_dir():
            path.rmdir()


def _reused(steps: Steps) -> str:
    return f"; goes on with {', '.join(steps.reused)}" if steps.reused else ""


def _is_proven(steps: Steps, file: Path) -> bool:
    entry = steps.find(file)
    return entry is not None and "verification" in entry.facts


def _precision(preflight: Preflight) -> Quantization:
    """The narrowest type among the base's tensors, for nothing can be closer than it."""
    dtypes = {preflight.checkpoint.entries[name].dtype for name in preflight.names}
    return next(q for q in (Quantization.BF16, Quantization.F16, Quantization.F32) if q.value.upper() in dtypes)
