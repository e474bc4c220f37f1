"""Opens the base model that the run starts from: a Hugging Face directory with safetensors, local files only.

Code that comes with a model is never executed, and weights are never unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from fragua_platform.errors import Corrupted, InvalidInput
from fragua_trainer.domain.training_spec import Precision, Quantization
from fragua_trainer.training.examples import ChatFormat
from fragua_trainer.training.hardware import is_out_of_memory, weights_type
from fragua_trainer.training.quantization import QUANTIZED, keep_trainable, quantization_config


@dataclass(frozen=True)
class BaseModel:
    """A base model whose files were found complete; its weights are not loaded yet."""

    directory: Path
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase

    @property
    def architecture(self) -> str:
        return (self.config.architectures or [type(self.config).__name__])[0]

    def chat_format(self, max_length: int) -> ChatFormat:
        text_config = self.config.get_text_config()
        context = getattr(text_config, "max_position_embeddings", None) or max_length
        within_context = max_length <= context
        return ChatFormat(
            tokenizer=self.tokenizer,
            end_of_turn=self._end_of_turn(),
            vocabulary_size=text_config.vocab_size,
            max_length=min(max_length, context),
            limit_name="schedule.max_length" if within_context else "the base model's max_position_embeddings",
        )

    def _end_of_turn(self) -> frozenset[int]:
        """Chat models often end a turn with another token than the tokenizer's EOS; generation_config.json names it."""
        ends = {self.tokenizer.eos_token_id}
        if (self.directory / "generation_config.json").is_file():
            stops = GenerationConfig.from_pretrained(self.directory, local_files_only=True).eos_token_id
            ends |= set(stops) if isinstance(stops, list) else {stops}
        return frozenset(end for end in ends if end is not None)


def open_base_model(directory: Path) -> BaseModel:
    """Read everything but the weights, or raise `InvalidInput` that says what is missing."""
    if not (directory / "config.json").is_file():
        raise InvalidInput("the base model has no config.json: it must be a Hugging Face model directory")
    if any(directory.glob("*.gguf")):
        raise InvalidInput(
            "the base model is a GGUF file, whose blocks cannot be trained: turn it into safetensors first, by importing "
            "it or with python -m fragua_trainer.training.gguf"
        )
    if not any(directory.glob("*.safetensors")):
        raise InvalidInput(
            "the base model has no *.safetensors file: save it with safetensors, other formats are refused"
        )
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as broken:
        raise InvalidInput(f"the base model cannot be opened: {broken}") from broken
    if not tokenizer.is_fast:
        raise InvalidInput("the base model has no tokenizer.json: convert its tokenizer to the fast format")
    if not tokenizer.chat_template:
        raise InvalidInput(
            "the base model has no chat template: add chat_template.jinja, or take its instruction-tuned variant"
        )
    return BaseModel(directory, config, tokenizer)


def empty_model(base: BaseModel) -> PreTrainedModel:
    """The model's layers without weights: enough to look at names and shapes, in no time and no memory."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(base.config, trust_remote_code=False)
    return model


def load_base_model(
    base: BaseModel, precision: Precision, device: torch.device, quantization: Quantization = Quantization.AUTO
) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base.directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=weights_type(precision),
            quantization_config=quantization_config(quantization, precision),
            # A quantized model is quantized on the device that it stays on; it cannot be moved.
            device_map={"": device} if quantization in QUANTIZED else None,
            output_loading_info=True,
        )
    except SafetensorError as damaged:
        raise Corrupted(f"the base model's weights are damaged: {damaged}") from damaged
    except (OSError, ValueError, RuntimeError) as broken:
        if is_out_of_memory(broken):
            raise
        raise InvalidInput(f"the base model cannot be loaded: {broken}") from broken
    model: PreTrainedModel
    model, report = loaded  # a pair, because of output_loading_info
    if missing := sorted(report["missing_keys"]):
        # transformers would fill them with random numbers and only warn.
        raise InvalidInput(f"the base model lacks {len(missing)} of its weights, such as {missing[0]}")
    # Generation's cache would be filled and thrown away at every step.
    model.config.use_cache = False
    keep_trainable(model)
    if quantization not in QUANTIZED:
        nn.Module.to(model, device)
    return model
