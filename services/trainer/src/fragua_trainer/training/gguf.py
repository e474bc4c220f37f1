"""Turns a GGUF file into a model that can be trained: `python -m fragua_trainer.training.gguf JOB_DIR`.

`inputs/` holds one `*.gguf` file; `outputs/` gets a Hugging Face directory with safetensors. The blocks of a quantized
file are written out as the 16-bit numbers that they stand for: what the quantization lost stays lost.
"""

from __future__ import annotations

from typing import Any

from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter, prepare_libraries, run_engine


def dequantize(job: JobDirectory, reporter: Reporter) -> None:
    files = sorted(job.inputs.glob("*.gguf"))
    if len(files) != 1:
        raise InvalidInput(f"inputs/ holds {len(files)} *.gguf files, expected one; join a split file first")
    prepare_libraries()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    from fragua_trainer.training.gguf_header import llama_3_rotation, read_header

    disable_progress_bar()
    reporter.progress("dequantizing", 0, 0, f"reading {files[0].name}")
    header = read_header(files[0])
    place: dict[str, Any] = {"gguf_file": files[0].name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.inputs, **place)
        config = AutoConfig.from_pretrained(job.inputs, **place)
        # transformers 5.23 takes hidden size / heads, wrong for Qwen3, and forgets how Llama 3 slows its positions down.
        if header.head_width:
            config.head_dim = header.head_width
        if header.rotary_factors is not None:
            config.rope_parameters = llama_3_rotation(header.rotary_factors, config.rope_parameters["rope_theta"])
        model: Any = AutoModelForCausalLM.from_pretrained(
            job.inputs, config=config, dtype=torch.float16, quantization_config=GgufConfig(dequantize=True), **place
        )
    except (OSError, ValueError, KeyError, RuntimeError) as unreadable:
        raise InvalidInput(
            f"{files[0].name} cannot be read: {unreadable}; take the safetensors that it was made from"
        ) from unreadable
    if not tokenizer.chat_template:
        raise InvalidInput(f"{files[0].name} holds no chat template: take a file of an instruction-tuned model")
    reporter.progress("dequantizing", 1, 1, "writing safetensors")
    # The weights are plain numbers now, whatever they were.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(job.outputs, safe_serialization=True)
    tokenizer.save_pretrained(job.outputs)


if __name__ == "__main__":
    run_engine(dequantize)
