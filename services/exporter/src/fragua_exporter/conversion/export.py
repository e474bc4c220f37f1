"""The export from top to bottom: check the inputs, merge and convert in one pass, prove the files, put them in place."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gguf

from fragua_exporter.conversion import chat_template
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.chat_template import ChatFormat
from fragua_exporter.conversion.checkpoint import Checkpoint, open_checkpoint
from fragua_exporter.conversion.merge import Adapter, load_adapter
from fragua_exporter.conversion.modelfile import make_modelfile
from fragua_exporter.conversion.reference import Ends, Probe, make_probe, run_reference
from fragua_exporter.conversion.task import Task, load_task
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_exporter.conversion.verification import Verification, verify
from fragua_exporter.conversion.vocabulary import Vocabulary, load_vocabulary
from fragua_exporter.conversion.writer import file_size, write_gguf_files
from fragua_exporter.domain.export_spec import ExportSpec, Quantization, parse_export_spec
from fragua_exporter.domain.modelfile import check_texts
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_TOOLS = ("fragua-exporter", "gguf", "llama-cpp-python", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Preflight:
    """Everything that is known, and known to fit together, before the first byte is written."""

    spec: ExportSpec
    checkpoint: Checkpoint
    plan: ModelPlan
    adapter: Adapter
    vocabulary: Vocabulary
    tokenizer: TrainedTokenizer
    chat: ChatFormat
    probe: Probe
    ends: Ends
    task: Task | None


def export(job: JobDirectory, reporter: Reporter) -> None:
    """Running it again on the same directory starts over and ends in the same files."""
    started = time.monotonic()
    # Files are born outside of `outputs` and move there proven: what lies in `outputs` may be published.
    unproven = job.root / "unproven"
    for leftover in (unproven, job.outputs):
        shutil.rmtree(leftover, ignore_errors=True)
        leftover.mkdir(parents=True)

    reporter.progress("preflight", 0, 1, "reading base and adapter")
    preflight = check_inputs(job)
    reporter.progress("preflight", 1, 1, f"{len(preflight.adapter.updates)} matrices to merge")

    files = {q: unproven / preflight.spec.file_name(q) for q in preflight.spec.quantizations}
    convert(preflight, files, reporter)
    verifications = verify_files(job, preflight, files, reporter)

    spec = preflight.spec
    modelfile = unproven / "Modelfile"
    modelfile.write_text(
        make_modelfile(
            spec.file_name(spec.quantizations[0]), preflight.chat, spec, preflight.plan.context_length
        ).render(),
        "utf-8",
    )
    info = unproven / "export_info.json"
    document = describe(preflight, files, modelfile, verifications, time.monotonic() - started)
    info.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    # The description goes last: its presence tells that the files beside it are complete and proven.
    for file in (*files.values(), modelfile, info):
        file.replace(job.outputs / file.name)
    unproven.rmdir()


def check_inputs(job: JobDirectory) -> Preflight:
    spec = parse_export_spec(job.read_spec())
    check_texts(system_prompt=spec.system_prompt, license=spec.license)
    checkpoint = open_checkpoint(job.inputs / "base")
    plan = plan_model(checkpoint)
    adapter = load_adapter(job.inputs / "adapter", plan)
    vocabulary = load_vocabulary(checkpoint.directory, plan.vocabulary_size)
    tokenizer = TrainedTokenizer(checkpoint.directory)
    chat = chat_template.recognise(tokenizer.render, tokenizer.bos)
    probe = make_probe(tokenizer, chat, spec.system_prompt, spec.probe_prompt, spec.probe_max_tokens)
    _check_context(spec, plan, probe)
    _check_disk(job.root, spec, plan)
    return Preflight(
        spec=spec,
        checkpoint=checkpoint,
        plan=plan,
        adapter=adapter,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        chat=chat,
        probe=probe,
        ends=find_ends(vocabulary, chat),
        task=_load_task(job, spec, tokenizer, plan),
    )


def convert(preflight: Preflight, files: dict[Quantization, Path], reporter: Reporter) -> None:
    total = len(preflight.plan.tensors)

    def on_tensor(done: int) -> None:
        _stop_if_asked(reporter)
        reporter.progress("converting", done, total, preflight.plan.tensors[done - 1].target)

    def write_metadata(writer: gguf.GGUFWriter) -> None:
        # Not as general.name: llama.cpp treats special tokens otherwise in models whose name holds "phi3".
        writer.add_finetune(preflight.spec.model_name)
        writer.add_chat_template(chat_template.without_training_marks(preflight.tokenizer.chat_template))
        # Ollama and llama.cpp end an answer on `eot` even where the tokenizer's `eos` is another token.
        writer.add_eot_token_id(preflight.ends.end_of_turn)

    write_gguf_files(
        files,
        preflight.plan,
        preflight.checkpoint,
        preflight.adapter,
        preflight.vocabulary,
        write_metadata,
        on_tensor,
    )


def verify_files(
    job: JobDirectory, preflight: Preflight, files: dict[Quantization, Path], reporter: Reporter
) -> dict[Quantization, Verification]:
    total = len(files) + 1
    reporter.progress("verifying", 0, total, "running the merged model in transformers")
    reference = run_reference(
        preflight.checkpoint.directory,
        job.inputs / "adapter",
        preflight.tokenizer,
        preflight.chat,
        preflight.probe,
        preflight.task,
        preflight.ends,
        preflight.plan.context_length,
    )
    verifications = {}
    for step, (quantization, file) in enumerate(files.items(), start=1):
        _stop_if_asked(reporter)
        reporter.progress("verifying", step, total, f"running {file.name} in llama.cpp")
        verifications[quantization] = verify(
            file,
            preflight.spec.limit(quantization),
            reference,
            preflight.spec.max_task_drop,
            lambda: _stop_if_asked(reporter),
        )
        logits = verifications[quantization].logit_check
        metrics = {"mean_kl": logits.mean_kl, "max_kl": logits.max_kl, "top1_agreement": logits.top1_agreement}
        if task := verifications[quantization].task_check:
            metrics["task_token_f1_delta"] = task.token_f1_delta
        reporter.progress("verifying", step + 1, total, f"{file.name} is the trained model", metrics)
    return verifications


def describe(
    preflight: Preflight,
    files: dict[Quantization, Path],
    modelfile: Path,
    verifications: dict[Quantization, Verification],
    seconds: float,
) -> dict[str, Any]:
    """The content of `export_info.json`."""
    spec, plan, adapter = preflight.spec, preflight.plan, preflight.adapter
    return {
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
            _file_entry(file)
            | {"quantization": quantization, "verification": verifications[quantization].as_document()}
            for quantization, file in files.items()
        ],
        "modelfile": _file_entry(modelfile),
        "tools": {"python": platform.python_version()} | {tool: version(tool) for tool in _TOOLS},
        "duration_seconds": round(seconds, 3),
    }


def _file_entry(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": file.name, "bytes": file.stat().st_size, "sha256": digest}


def find_ends(vocabulary: Vocabulary, chat: ChatFormat) -> Ends:
    end_of_turn = vocabulary.control_id(chat.end_of_turn)
    if end_of_turn is None:
        raise InvalidInput(
            f"base model: its chat template prints {chat.end_of_turn}, but the tokenizer does not hold it as one added "
            "token; use a base whose tokenizer was made for its template",
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        )
    tokens = {vocabulary.control_id(stop) for stop in chat.stops} | {vocabulary.special_ids.get("eos")}
    return Ends(end_of_turn, tuple(sorted(token for token in tokens if token is not None)), chat.stops)


def _load_task(job: JobDirectory, spec: ExportSpec, tokenizer: TrainedTokenizer, plan: ModelPlan) -> Task | None:
    if not spec.task_rows:
        return None
    return load_task(job.inputs / "task" / "validation.jsonl", spec.task_rows, tokenizer, plan.context_length)


def _check_context(spec: ExportSpec, plan: ModelPlan, probe: Probe) -> None:
    available = min(spec.parameters.num_ctx, plan.context_length)
    needed = len(probe.token_ids) + probe.max_tokens
    if needed > available:
        raise InvalidInput(
            f"the probe does not fit the context of {available} tokens",
            violations=[
                Violation(
                    "probe_prompt",
                    f"with the system prompt it has {len(probe.token_ids)} tokens and the answer may take "
                    f"{probe.max_tokens}; shorten them",
                )
            ],
        )


def _check_disk(directory: Path, spec: ExportSpec, plan: ModelPlan) -> None:
    needed = sum(file_size(plan, quantization) for quantization in spec.quantizations)
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise LimitExceeded(
            f"the files need {needed / 1e9:.2f} GB and the job's disk has {free / 1e9:.2f} GB free; "
            "free some space or ask for fewer quantizations",
            reason="DISK_FULL",
        )


def _stop_if_asked(reporter: Reporter) -> None:
    if reporter.stop_requested:
        raise Interrupted
