"""Measures how a model becomes a GGUF file: time and memory of our streaming writer against llama.cpp's converter."""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
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

SECONDS = "seconds"
CPU_SECONDS = "CPU-seconds"
PEAK_MIB = "MiB at peak"

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


def gguf_f16(folder: Path, quick: bool) -> Duel:
    peer, converter = peer_python(), llama_cpp()
    base = folder / "base"
    shutil.copytree(converter / TOKENIZER, base)
    hidden, layers = (QUICK_HIDDEN, QUICK_LAYERS) if quick else (HIDDEN, LAYERS)
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_llama.py", base, str(hidden), str(layers))
    our_file, their_file = folder / "ours.gguf", folder / "theirs.gguf"

    def ours() -> Sample:
        return _sample(run_child(OUR_PYTHON, OUR_PROGRAMS / "convert_f16.py", base, our_file))

    def theirs() -> Sample:
        return _sample(run_child(peer, converter / CONVERTER, "--outtype", "f16", "--outfile", their_file, base))

    def check() -> None:
        compared = run_child(OUR_PYTHON, OUR_PROGRAMS / "compare_tensors.py", our_file, their_file)
        if compared.number:
            raise BenchmarkFailed(f"{compared.number:g} tensors differ between the two files:\n{compared.output}")

    return Duel(ours, theirs, check)


def _sample(run: ChildRun) -> Sample:
    return {SECONDS: run.seconds, CPU_SECONDS: run.cpu_seconds, PEAK_MIB: run.peak_mib}


STAGES = (
    Stage(
        "gguf-f16",
        "llama.cpp convert_hf_to_gguf.py",
        "a random bf16 Llama with Llama 3's 128,256 tokens (403M parameters; 36M when quick) to an f16 GGUF file. Ours is "
        "the writer alone: no adapter, and not the proof in llama.cpp that an export ends with. Both are whole processes, "
        "start-up included, and every tensor of the two files is equal.",
        (
            Metric(SECONDS, more_is_better=False),
            Metric(CPU_SECONDS, more_is_better=False),
            Metric(PEAK_MIB, more_is_better=False),
        ),
        gguf_f16,
        quick_rounds=1,
    ),
)

if __name__ == "__main__":
    harness.main(STAGES)
