"""Converts a Hugging Face directory to a GGUF file, as an export does between its preflight and its proof.

`convert.py DIRECTORY FILE QUANTIZATION` prints the number of tensors.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.merge import NO_ADAPTER
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization

if __name__ == "__main__":
    checkpoint = open_checkpoint(Path(sys.argv[1]))
    plan = plan_model(checkpoint)
    write_gguf_files(
        {Quantization(sys.argv[3]): Path(sys.argv[2])},
        plan,
        checkpoint,
        NO_ADAPTER,
        load_vocabulary(checkpoint.directory, plan.vocabulary_size),
        write_metadata=lambda writer: None,
        on_tensor=lambda done: None,
    )
    print(len(plan.tensors))
