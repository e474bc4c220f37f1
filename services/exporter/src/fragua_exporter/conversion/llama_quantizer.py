"""Quantizes one GGUF file with llama.cpp: `python -m fragua_exporter.conversion.llama_quantizer ORDER`, ORDER as JSON.

A process of its own, because llama.cpp cannot be interrupted, and because it ends the process when an assertion of its
own does not hold. Standard output carries one JSON object per line:

    {"tensor": 3, "total": 21, "name": "blk.0.attn_q.weight"}
    {"failure": "what llama.cpp says"}

It ends when its standard input does, so that it does not outlive the engine.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import threading
from typing import Any

import llama_cpp
import numpy as np
from safetensors.numpy import load_file

FILE_TYPES = {
    "q6_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "q5_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
}

BUFFER_BYTES = 1 << 28
"""What llama.cpp may hold of one tensor; it would take 8 GiB."""

_TENSOR_LINE = re.compile(r"\[ *(\d+)/ *(\d+)\] +(\S+) +- \[")
_LOG_LEVEL_ERROR = 4


def main(order: dict[str, Any]) -> int:
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    errors: list[str] = []

    def hear(level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", "replace")
        if tensor := _TENSOR_LINE.match(line):
            _tell({"tensor": int(tensor[1]), "total": int(tensor[2]), "name": tensor[3]})
        elif level >= _LOG_LEVEL_ERROR and line.strip():
            errors.append(line.strip())

    callback = llama_cpp.llama_log_callback(hear)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = FILE_TYPES[order["file_type"]]
    settings.nthread = order["threads"]
    settings.max_buf_size = BUFFER_BYTES
    weights = load_file(order["importance"]) if order["importance"] else {}
    if weights:
        settings.imatrix = _importance(weights)
    status = llama_cpp.llama_model_quantize(
        os.fsencode(order["source"]), os.fsencode(order["target"]), ctypes.byref(settings)
    )
    if status:
        _tell({"failure": "; ".join(errors[-3:]) or f"status {status}"})
    return 1 if status else 0


def _importance(weights: dict[str, np.ndarray]) -> Any:
    """As llama.cpp wants it: an array that ends with an entry without a name, and that borrows the numbers."""
    entries = (llama_cpp.llama_model_imatrix_data * (len(weights) + 1))()
    for entry, (name, values) in zip(entries, sorted(weights.items()), strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return entries


def _tell(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
