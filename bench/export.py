"""Measures how a trained model becomes files: our streaming writers against llama.cpp's converter and PEFT's merge."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
from children import (
    CACHE,
    OUR_PROGRAMS,
    OUR_PYTHON,
    ROOT,
    BenchmarkFailed,
    ChildRun,
    download_source,
    peer_python,
    run_child,
)
from harness import Duel, Metric, Sample, Stage

HIDDEN, LAYERS = 1024, 16
QUICK_HIDDEN, QUICK_LAYERS = 256, 4
LAYERS_OF_A_GIGABYTE = 24

SECONDS = "seconds"
CPU_SECONDS = "CPU-seconds"
PEAK_MIB = "MiB at peak"
SHARE = "% of the model's size added to the memory"

CONVERTER = "convert_hf_to_gguf.py"
LLAMA_3_VOCABULARY = "models/ggml-vocab-llama-bpe.gguf"
TOKENIZER = "tokenizer"
NEEDED = re.compile(rf"[^/]+/vendor/llama\.cpp/({CONVERTER}|conversion/.*|gguf-py/gguf/.*|{LLAMA_3_VOCABULARY})")


def llama_cpp() -> Path:
    """llama.cpp's converter, from the source archive of the very llama-cpp-python that the suite uses, and a tokenizer
    that it knows."""
    pinned = re.search(r"^llama-cpp-python==\S+", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    if pinned is None:
        raise BenchmarkFailed("constraints.txt pins no llama-cpp-python: pin it, its archive holds the peer")
    folder = CACHE / pinned[0].replace("==", "-")
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="download-") as workplace:
            archive = download_source(pinned[0], Path(workplace))
            unpacked = Path(workplace) / "unpacked"
            with tarfile.open(archive) as source:
                members = [member for member in source if NEEDED.fullmatch(member.name)]
                source.extractall(unpacked, members, filter="data")
            (root,) = unpacked.glob("*/vendor/llama.cpp")
            run_child(OUR_PYTHON, OUR_PROGRAMS / "make_tokenizer.py", root / LLAMA_3_VOCABULARY, root / TOKENIZER)
            # Into place as a whole, so that a folder that is there is complete.
            shutil.move(root, folder)
    return folder


def gguf(quantization: str, folder: Path, quick: bool) -> Duel:
    peer, converter = peer_python(), llama_cpp()
    base = _make_base(folder, quick)
    our_file, their_file = folder / "ours.gguf", folder / "theirs.gguf"

    def ours() -> Sample:
        return _sample(run_child(OUR_PYTHON, OUR_PROGRAMS / "convert.py", base, our_file, quantization))

    def theirs() -> Sample:
        return _sample(run_child(peer, converter / CONVERTER, "--outtype", quantization, "--outfile", their_file, base))

    def check() -> None:
        compared = run_child(OUR_PYTHON, OUR_PROGRAMS / "compare_tensors.py", our_file, their_file)
        if compared.number:
            raise BenchmarkFailed(f"{compared.number:g} tensors differ between the two files:\n{compared.output}")

    return Duel(ours, theirs, check)


def copy(quantization: str, folder: Path, quick: bool) -> Duel:
    base = _make_base(folder, quick, layers=LAYERS_OF_A_GIGABYTE)
    file = folder / "written"

    def run(*command: str | Path) -> Sample:
        """Until the bytes are on the disk, and never over those of the round before."""
        file.unlink(missing_ok=True)
        measured = run_child("sh", "-c", '"$@" && sync "$0"', file, *command)
        return {SECONDS: measured.seconds, CPU_SECONDS: measured.cpu_seconds}

    return Duel(
        lambda: run(OUR_PYTHON, OUR_PROGRAMS / "convert.py", base, file, quantization),
        lambda: run("cp", base / "model.safetensors", file),
    )


def merge(sample: Callable[[ChildRun, float], Sample], folder: Path, quick: bool) -> Duel:
    base = _make_base(folder, quick)
    adapter, our_model, their_model = folder / "adapter", folder / "ours", folder / "theirs"
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_adapter.py", base, adapter)
    size = (base / "model.safetensors").stat().st_size / 2**20

    def run(contender: str, model: Path) -> Sample:
        shutil.rmtree(model, ignore_errors=True)
        return sample(run_child(OUR_PYTHON, OUR_PROGRAMS / "merge.py", contender, base, adapter, model), size)

    def check() -> None:
        compared = run_child(OUR_PYTHON, OUR_PROGRAMS / "compare_models.py", our_model, their_model)
        if compared.number:
            raise BenchmarkFailed(f"{compared.number:g} tensors differ between the two models:\n{compared.output}")

    return Duel(lambda: run("ours", our_model), lambda: run("peft", their_model), check)


def _make_base(folder: Path, quick: bool, layers: int = LAYERS) -> Path:
    base = folder / "base"
    shutil.copytree(llama_cpp() / TOKENIZER, base)
    hidden, layers = (QUICK_HIDDEN, QUICK_LAYERS) if quick else (HIDDEN, layers)
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_llama.py", base, str(hidden), str(layers))
    return base


def _time_of_merge(run: ChildRun, _size_mib: float) -> Sample:
    return {SECONDS: json.loads(run.output.splitlines()[-1])["seconds"]}


def _memory_of_merge(run: ChildRun, size_mib: float) -> Sample:
    return {SHARE: 100 * json.loads(run.output.splitlines()[-1])["mib"] / size_mib}


def _sample(run: ChildRun) -> Sample:
    return {SECONDS: run.seconds, CPU_SECONDS: run.cpu_seconds, PEAK_MIB: run.peak_mib}


MODEL = "a random bf16 Llama with Llama 3's 128,256 tokens (403M parameters; 36M when quick)"
MERGED = (
    f"a LoRA of rank 16 for all projections into {MODEL}, read, merged and written for transformers. What the imports take "
    "counts for neither, and every tensor of the two models is equal to the bit."
)


def _gguf_stage(quantization: str) -> Stage:
    return Stage(
        f"gguf-{quantization}",
        "llama.cpp convert_hf_to_gguf.py",
        f"{MODEL} to a {quantization} GGUF file. Ours is the writer alone: no adapter, and not the proof in llama.cpp that "
        "an export ends with. Both are whole processes, start-up included, and every tensor of the two files is equal.",
        (
            Metric(SECONDS, more_is_better=False),
            Metric(CPU_SECONDS, more_is_better=False),
            Metric(PEAK_MIB, more_is_better=False),
        ),
        partial(gguf, quantization),
        quick_rounds=1,
    )


def _copy_stage(quantization: str) -> Stage:
    return Stage(
        f"gguf-copy-{quantization}",
        "cp",
        f"a random bf16 Llama of 1 GB (496M parameters; 36M when quick) to a {quantization} GGUF file, against a copy of "
        "its weights by cp. Whole processes, until `sync` has the file on the disk. cp looks at no byte; ours checks every "
        "number, digests the file and writes a vocabulary of 128,256 tokens.",
        (Metric(SECONDS, more_is_better=False), Metric(CPU_SECONDS, more_is_better=False)),
        partial(copy, quantization),
    )


STAGES = (
    _gguf_stage("f16"),
    _gguf_stage("q8_0"),
    _copy_stage("bf16"),
    _copy_stage("f16"),
    Stage(
        "merge-time",
        "PEFT merge_and_unload",
        MERGED,
        (Metric(SECONDS, more_is_better=False),),
        partial(merge, _time_of_merge),
    ),
    Stage(
        "merge-rss",
        "PEFT merge_and_unload",
        MERGED,
        (Metric(SHARE, more_is_better=False),),
        partial(merge, _memory_of_merge),
    ),
)

if __name__ == "__main__":
    harness.main(STAGES)
