"""The way out for architectures that are not ours: a llama.cpp checkout's own converter, run on the merged model.

It costs a merged model on the disk and the converter's time, and what it writes is proven like everything else. The
source archive of llama-cpp-python carries such a checkout under `vendor/llama.cpp`; it needs no build.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import gguf

from fragua_exporter.conversion.chat_template import without_training_marks
from fragua_exporter.conversion.checkpoint import Checkpoint, read_json
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.merged_model import write_merged_model
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InvalidInput

CHECKOUT_VARIABLE = "FRAGUA_ENGINE_LLAMA_CPP_DIR"
CONVERTER = "convert_hf_to_gguf.py"
WRITES = (Quantization.F32, Quantization.F16, Quantization.BF16, Quantization.Q8_0)
"""What the converter writes; llama.cpp's quantizer makes the others of these."""

_WAIT_SECONDS = 0.2
_LAST_LINES = 12


def find_converter(environment: Mapping[str, str]) -> Path | None:
    """None when no checkout is named; raises InvalidInput when the one that is named holds no converter."""
    directory = environment.get(CHECKOUT_VARIABLE)
    if not directory:
        return None
    converter = Path(directory) / CONVERTER
    if not converter.is_file():
        raise InvalidInput(
            f"{CHECKOUT_VARIABLE} is {directory!r}, which holds no {CONVERTER}: name a llama.cpp checkout"
        )
    return converter


def convert_in_checkout(
    converter: Path,
    checkpoint: Checkpoint,
    adapter: Adapter,
    files: Mapping[Quantization, Path],
    workplace: Path,
    on_tensor: Callable[[int], None],
    on_wait: Callable[[], None],
) -> None:
    """Merge into `workplace`, which is left empty, and let the converter write every file.

    `on_tensor` hears how many tensors are merged, `on_wait` is called while the converter runs; both may raise to stop.
    """
    merged = workplace / "model"
    try:
        write_merged_model(checkpoint, adapter, list(checkpoint.entries), merged, on_tensor)
        _say_what_training_said(merged)
        for quantization, file in files.items():
            _run(converter, merged, file, quantization, on_wait)
            _add_nothing_to_prompts(file)
    finally:
        shutil.rmtree(merged, ignore_errors=True)


def _say_what_training_said(merged: Path) -> None:
    """The converter takes over the chat template, which must be one that others can read, and what to add to prompts."""
    template = merged / "chat_template.jinja"
    if template.exists():
        template.write_text(without_training_marks(template.read_text("utf-8")), "utf-8")
    file = merged / "tokenizer_config.json"
    configuration = read_json(file) | {"add_bos_token": False, "add_eos_token": False}
    if isinstance(configuration.get("chat_template"), str):
        configuration["chat_template"] = without_training_marks(configuration["chat_template"])
    file.write_text(json.dumps(configuration, ensure_ascii=False), "utf-8")


def _add_nothing_to_prompts(file: Path) -> None:
    # The converter believes the tokenizer's post-processor more than its configuration.
    reader = gguf.GGUFReader(file, "r+")
    for key in (gguf.Keys.Tokenizer.ADD_BOS, gguf.Keys.Tokenizer.ADD_EOS):
        field = reader.get_field(key)
        if field is not None:
            field.parts[field.data[0]][0] = False


def _run(converter: Path, merged: Path, file: Path, quantization: Quantization, on_wait: Callable[[], None]) -> None:
    arguments = ["--outtype", quantization.value, "--outfile", str(file), str(merged)]
    with subprocess.Popen(
        [sys.executable, "-m", "fragua_exporter.conversion.foreign_converter", str(converter), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        words: deque[str] = deque(maxlen=_LAST_LINES)
        listener = threading.Thread(target=_listen, args=(process.stdout, words), daemon=True)
        listener.start()
        try:
            while True:
                try:
                    status = process.wait(_WAIT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    on_wait()
        except BaseException:
            process.kill()
            raise
        listener.join()
    if status:
        last = words[-1] if words else f"status {status}"
        raise InvalidInput(
            f"base model: llama.cpp's converter cannot write it either ({last}); its last words are on standard error",
            reason="UNSUPPORTED_ARCHITECTURE",
        )


def _listen(stream: IO[str], words: deque[str]) -> None:
    for line in stream:
        # What the child says stays on standard error: standard output is for records.
        sys.stderr.write(line)
        if line.strip():
            words.append(line.strip())
