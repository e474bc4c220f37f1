"""Makes the files of an export, each once: what a former run of the same job finished is not made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
from gguf import GGML_QUANT_SIZES

from fragua_exporter.conversion import chat_template
from fragua_exporter.conversion.adapter_file import write_adapter
from fragua_exporter.conversion.checkout import convert_in_checkout
from fragua_exporter.conversion.importance import measure_importance
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.merged_model import write_merged_model
from fragua_exporter.conversion.modelfile import make_modelfile
from fragua_exporter.conversion.preflight import Preflight
from fragua_exporter.conversion.quantize import BLOCK_TYPES, fallbacks, quantize
from fragua_exporter.conversion.steps import Effort, Steps
from fragua_exporter.conversion.writer import main_type, write_gguf_files
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter, prepare_libraries

MERGED = "merged"
"""The folder of the merged model."""
_INTERMEDIATE = "intermediate-f16.gguf"
_BASE = "base-f16.gguf"
_IMPORTANCE = "importance.safetensors"


def gguf_files(preflight: Preflight, steps: Steps) -> dict[Quantization, Path]:
    spec = preflight.spec
    return {quantization: steps.directory / spec.file_name(quantization) for quantization in spec.quantizations}


def adapter_file(preflight: Preflight, steps: Steps) -> Path:
    return steps.directory / f"{preflight.spec.model_name}-adapter.gguf"


def intermediate_file(steps: Steps) -> Path:
    """What the formats below 8 bits are made from when no better file is asked for. Proven like the others: so close as
    it must be to the trained model, no fault of the conversion hides in the loss of their few bits."""
    return steps.directory / _INTERMEDIATE


def intermediate_is_unproven(preflight: Preflight, steps: Steps) -> bool:
    """Whether there are files whose source nobody has held against the trained model yet."""
    if not preflight.quantized or preflight.quantizer_source is not None:
        return False
    entry = steps.recall(intermediate_file(steps))
    return entry is None or "verification" not in entry.facts


def remove_intermediates(steps: Steps) -> None:
    for file in (intermediate_file(steps), base_file(steps), steps.directory / _IMPORTANCE):
        steps.remove(file)


def merged_configuration(steps: Steps) -> Path:
    """The file that stands for the whole merged model."""
    return steps.directory / MERGED / "config.json"


def base_file(steps: Steps) -> Path:
    """The base alone, which llama.cpp needs beside the adapter to run it; for the proof only."""
    return steps.directory / _BASE


def merge(preflight: Preflight, steps: Steps, reporter: Reporter) -> None:
    """Write what transformers loads, and the adapter alone, if they are asked for."""
    folder = steps.directory / MERGED
    if preflight.spec.merged_model and not _is_whole(steps, folder):
        on_tensor = _tensors(preflight, "merging", reporter)
        files = write_merged_model(preflight.checkpoint, preflight.adapter, preflight.names, folder, on_tensor)
        beside = [file for file in files if file != merged_configuration(steps)]
        for file in beside:
            steps.finish(file)
        # Goes last: its entry tells that the others are there.
        steps.finish(merged_configuration(steps), beside=sorted(file.name for file in beside))
        steps.reach_milestone()
    file = adapter_file(preflight, steps)
    if preflight.spec.adapter_gguf and not steps.find(file):
        write_adapter(file, preflight.plan, preflight.adapter)
        steps.finish(file)
        steps.reach_milestone()


def convert_and_quantize(job: JobDirectory, preflight: Preflight, steps: Steps, reporter: Reporter) -> None:
    """Write every GGUF file that is missing, from one pass over the base."""
    files = gguf_files(preflight, steps)
    to_quantize = [quantization for quantization in preflight.quantized if not steps.find(files[quantization])]
    wanted = {quantization: file for quantization, file in files.items() if quantization not in BLOCK_TYPES}
    source = wanted.get(preflight.quantizer_source) if preflight.quantizer_source else intermediate_file(steps)
    assert source is not None
    if preflight.quantizer_source is None and (to_quantize or intermediate_is_unproven(preflight, steps)):
        wanted[Quantization.F16] = source
    missing = {quantization: file for quantization, file in wanted.items() if not steps.find(file)}
    if missing:
        digests = convert(preflight, missing, reporter)
        for quantization, file in missing.items():
            fallback_tensors = _fallbacks(preflight, quantization, file)
            steps.finish(file, sha256=digests.get(quantization), fallback_tensors=fallback_tensors)
        steps.reach_milestone()
    importance = _importance(job, preflight, steps, reporter) if to_quantize else None
    threads = prepare_libraries()
    for quantization in to_quantize:
        target = files[quantization]
        on_tensor = _quantized_tensors(target, reporter)
        quantize(source, target, quantization, threads, on_tensor, importance)
        steps.finish(target, Effort.COMPUTING, fallback_tensors=_fallbacks(preflight, quantization, target))
        steps.reach_milestone()


def convert_base(preflight: Preflight, steps: Steps, reporter: Reporter) -> Path:
    file = base_file(steps)
    if not steps.find(file):
        unchanged = Adapter(preflight.adapter.rank, preflight.adapter.scale, updates={})
        convert(preflight, {Quantization.F16: file}, reporter, unchanged, phase="verifying")
        steps.finish(file, Effort.NONE)
    return file


def convert(
    preflight: Preflight,
    files: Mapping[Quantization, Path],
    reporter: Reporter,
    adapter: Adapter | None = None,
    phase: str = "converting",
) -> dict[Quantization, str]:
    """Write these files in one pass over the base, with the export's adapter unless another is given.

    Returns the digest of each that was seen while it was written.
    """
    merged = adapter or preflight.adapter
    on_tensor = _tensors(preflight, phase, reporter)
    if preflight.plan.converter is not None:
        folder = next(iter(files.values())).parent
        convert_in_checkout(
            preflight.plan.converter,
            preflight.checkpoint,
            merged,
            files,
            folder,
            on_tensor,
            lambda: stop_if_asked(reporter),
        )
        return {}

    def write_metadata(writer: gguf.GGUFWriter) -> None:
        # Not as general.name: llama.cpp treats special tokens otherwise in models whose name holds "phi3".
        writer.add_finetune(preflight.spec.model_name)
        writer.add_chat_template(chat_template.without_training_marks(preflight.tokenizer.chat_template))
        # Ollama and llama.cpp end an answer on `eot` even where the tokenizer's `eos` is another token.
        writer.add_eot_token_id(preflight.ends.end_of_turn)

    return write_gguf_files(
        files,
        preflight.plan,
        preflight.checkpoint,
        merged,
        preflight.vocabulary,
        write_metadata,
        on_tensor,
    )


def write_modelfile(preflight: Preflight, steps: Steps) -> None:
    spec = preflight.spec
    if spec.quantizations:
        file = steps.directory / "Modelfile"
        first = spec.file_name(spec.quantizations[0])
        modelfile = make_modelfile(first, preflight.chat, spec, preflight.plan.context_length)
        file.write_text(modelfile.render(), "utf-8")
        steps.finish(file)


def stop_if_asked(reporter: Reporter) -> None:
    if reporter.stop_requested:
        raise Interrupted


def _is_whole(steps: Steps, folder: Path) -> bool:
    entry = steps.find(merged_configuration(steps))
    return entry is not None and all(steps.find(folder / name) for name in entry.facts["beside"])


def _tensors(preflight: Preflight, phase: str, reporter: Reporter) -> Callable[[int], None]:
    total = len(preflight.plan.tensors)

    def on_tensor(done: int) -> None:
        stop_if_asked(reporter)
        reporter.progress(phase, done, total, f"{done} of {total} tensors")

    return on_tensor


def _quantized_tensors(target: Path, reporter: Reporter) -> Callable[[int, int, str], None]:
    def on_tensor(step: int, total: int, name: str) -> None:
        stop_if_asked(reporter)
        reporter.progress("quantizing", step, total, f"{target.name}: {name}")

    return on_tensor


def _importance(job: JobDirectory, preflight: Preflight, steps: Steps, reporter: Reporter) -> Path | None:
    if not preflight.conversations:
        return None
    total = len(preflight.conversations)
    file = steps.directory / _IMPORTANCE

    def on_conversation(done: int) -> None:
        stop_if_asked(reporter)
        reporter.progress("quantizing", done, total, "measuring which weights matter most")

    if not steps.find(file):
        measure_importance(
            preflight.checkpoint.directory,
            job.inputs / "adapter",
            preflight.plan,
            preflight.conversations,
            file,
            on_conversation,
        )
        steps.finish(file, Effort.COMPUTING)
        steps.reach_milestone()
    return file


def _fallbacks(preflight: Preflight, quantization: Quantization, file: Path) -> dict[str, str]:
    if preflight.plan.converter is not None:
        return {}  # Its matrices have names that only the converter knows.
    block, _ = GGML_QUANT_SIZES[BLOCK_TYPES.get(quantization) or main_type(quantization)]
    return fallbacks(file, preflight.plan, block)
