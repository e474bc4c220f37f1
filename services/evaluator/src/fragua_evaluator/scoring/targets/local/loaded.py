"""Keeps one base in memory, for all arms that it answers for."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from fragua_evaluator.scoring.targets.local.files import (
    ADAPTER_WEIGHTS,
    ModelFiles,
    digest_of,
    read_adapter_config,
    weights_bytes,
    weights_type_of,
)
from fragua_evaluator.scoring.targets.local.memory import out_of_memory_reported
from fragua_platform.errors import Corrupted, InvalidInput

_SMALL_BASE_BYTES = 1 << 30
"""On a CPU, smaller bases run in fp32: it is the faster there, and the memory does not matter."""


class LoadedModels:
    """The model that speaks, loaded when it is first asked and kept until another base is, or until `close`.

    A base and its adapters share one copy, on which adapters are switched on and off. A merged model is a copy of its
    own, because what has been added to weights cannot be taken away again to the last bit.
    """

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._digests: dict[ModelFiles, str] = {}
        self._users: dict[Path, int] = {}
        self._loaded: _Loaded | None = None
        self.warm: set[ModelFiles] = set()
        """Which have spoken since they were loaded."""

    def weights_type(self, base: Path) -> torch.dtype:
        if self.device.type == "cpu" and weights_bytes(base) < _SMALL_BASE_BYTES:
            return torch.float32
        return weights_type_of(base)

    def digest(self, files: ModelFiles) -> str:
        if files not in self._digests:
            self._digests[files] = digest_of(files)
        return self._digests[files]

    def enlist(self, files: ModelFiles) -> None:
        """A target will speak by this model, until it calls `dismiss`."""
        self._users[files.base] = self._users.get(files.base, 0) + 1

    def dismiss(self, files: ModelFiles) -> None:
        self._users[files.base] -= 1

    def free_unused(self) -> None:
        """Give the memory back unless an open target may still want this base."""
        if self._loaded is not None and not self._users.get(self._loaded.base):
            self.close()

    def speaking(self, files: ModelFiles) -> PreTrainedModel:
        """The model with exactly this adapter on. Cheap when it is the one that spoke last."""
        if self._loaded is None or not self._loaded.can_be(files):
            # Two would rarely fit.
            self.close()
            self._loaded = _load(files, self.weights_type(files.base), self.device)
        return self._loaded.speaking(files)

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded = None
            self.warm.clear()
            # What was frozen after warming up holds the model in cycles.
            gc.unfreeze()
            gc.collect()


class _Loaded:
    def __init__(self, files: ModelFiles, model: PreTrainedModel) -> None:
        self.base = files.base
        self._merged = files if files.merged else None
        self._model = model
        self._tuned: PeftModel | None = None
        self._adapters: dict[Path, str] = {}
        self._speaks: ModelFiles | None = files if files.merged else None

    def can_be(self, files: ModelFiles) -> bool:
        return files == self._merged if self._merged or files.merged else files.base == self.base

    def speaking(self, files: ModelFiles) -> PreTrainedModel:
        if files != self._speaks:
            self._switch_to(files)
            self._speaks = files
        return self._model

    def _switch_to(self, files: ModelFiles) -> None:
        if files.adapter is not None and files.adapter not in self._adapters:
            name = f"adapter-{len(self._adapters)}"
            self._tuned = put_adapter(self._model, self._tuned, files.adapter, name).eval()
            self._adapters[files.adapter] = name
        if self._tuned is None:
            return
        layers: Any = self._tuned.base_model
        if files.adapter is None:
            layers.disable_adapter_layers()
        else:
            layers.enable_adapter_layers()
            self._tuned.set_adapter(self._adapters[files.adapter])


def _load(files: ModelFiles, weights_type: torch.dtype, device: torch.device) -> _Loaded:
    model = load_base(files.base, weights_type, device)
    if files.merged and files.adapter is not None:
        merged: Any = put_adapter(model, None, files.adapter, "adapter").merge_and_unload()
        model = merged.eval()
    return _Loaded(files, model)


def load_base(base: Path, weights_type: torch.dtype, device: torch.device) -> PreTrainedModel:
    try:
        with out_of_memory_reported(f"{base.name} needs a machine with more of it"):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                base,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=weights_type,
                output_loading_info=True,
            )
            model: PreTrainedModel
            model, report = loaded  # a pair, because of output_loading_info
            nn.Module.to(model, device)
    except SafetensorError as damaged:
        raise Corrupted(f"the weights of {base.name} are damaged: {damaged}") from damaged
    except (OSError, ValueError, RuntimeError) as broken:
        raise InvalidInput(f"{base.name} cannot be loaded: {broken}") from broken
    if missing := sorted(report["missing_keys"]):
        # transformers would fill them with random numbers and only warn.
        raise InvalidInput(f"{base.name} lacks {len(missing)} of its weights, such as {missing[0]}")
    # What the base's authors recommend, such as sampling or a repetition penalty, would fill every gap of ours.
    model.generation_config = GenerationConfig()
    return model.eval()


def put_adapter(model: PreTrainedModel, tuned: PeftModel | None, adapter: Path, name: str) -> PeftModel:
    """The model with one more adapter, which is the one that is on."""
    config = read_adapter_config(adapter)
    # It names the folder of the machine that trained, and PEFT would warn that ours is another.
    config.base_model_name_or_path = model.name_or_path
    try:
        if tuned is None:
            made: Any = get_peft_model(model, config, adapter_name=name)
        else:
            tuned.add_adapter(name, config)
            made = tuned
    except ValueError as unmatched:
        raise InvalidInput(
            f"the adapter is for another base: {unmatched}", reason="ADAPTER_BASE_MISMATCH"
        ) from unmatched
    try:
        weights = load_file(adapter / ADAPTER_WEIGHTS)
    except SafetensorError as damaged:
        raise Corrupted(f"the adapter's weights are damaged: {damaged}") from damaged
    set_peft_model_state_dict(made, weights, adapter_name=name)
    return made
