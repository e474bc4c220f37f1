"""Asks an adapter of the trainer on its base through transformers, on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fragua_dataset.domain.synthesis_spec import Generator as GeneratorSpec
from fragua_dataset.synthesis.generators.port import Answer, Chat, Unanswered
from fragua_platform.errors import InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE
from fragua_platform.jobs.engine import prepare_libraries

_MAX_TOKENS: Final = 2048
_NEEDED: Final = ("torch", "transformers", "peft")


class LocalAdapter:
    """Implements `Generator`."""

    def __init__(self, spec: GeneratorSpec, base: Path, adapter: Path) -> None:
        if missing := [name for name in _NEEDED if find_spec(name) is None]:
            problem = f"this worker has no {missing[0]}: install fragua-dataset[adapter] there, or ask an endpoint"
            raise InvalidInput(problem, reason="EXTRA_MISSING")
        threads = prepare_libraries()
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(adapter, **local)
            loaded: Any = AutoModelForCausalLM.from_pretrained(base, use_safetensors=True, dtype="auto", **local)
            model: Any = PeftModel.from_pretrained(loaded, str(adapter), **local)
        except (OSError, ValueError, RuntimeError, KeyError) as broken:
            problem = f"{spec.model} cannot be loaded on its base: {type(broken).__name__}"
            raise InvalidInput(problem, reason="ADAPTER_NOT_LOADED") from broken
        if self._tokenizer.chat_template is None:
            raise InvalidInput(f"{spec.model} has no chat template, so nothing can be asked", reason="NO_CHAT_TEMPLATE")
        self._torch: Any = torch
        self._model = model.to(device).eval()
        self._context = int(getattr(loaded.config, "max_position_embeddings", 0)) or 2**20
        self._temperature = spec.temperature
        self._max_tokens = spec.max_tokens or _MAX_TOKENS
        # What the base's authors recommend, such as a repetition penalty, would fill every gap of ours.
        self._model.generation_config = GenerationConfig(
            eos_token_id=self._tokenizer.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        )

    def answer(self, chat: Chat, seed: int, deadline: float) -> Answer:
        torch = self._torch
        text = CHAT_TEMPLATE.run(
            lambda: self._tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, tokenize=False)
        )
        asked = self._tokenizer(text, add_special_tokens=False, return_tensors="pt").to(self._model.device)
        length = int(asked["input_ids"].shape[1])
        room = min(self._max_tokens, self._context - length)
        if room < 1:
            raise Unanswered("question too long")
        torch.manual_seed(seed)
        sampling = {"do_sample": True, "temperature": self._temperature} if self._temperature else {"do_sample": False}
        with torch.inference_mode():
            tokens = self._model.generate(**asked, max_new_tokens=room, **sampling)[0, length:]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        if not text.strip():
            raise Unanswered("no text")
        complete = int(tokens[-1]) == self._tokenizer.eos_token_id
        return Answer(text, length + len(tokens), complete=complete)

    def close(self) -> None:
        """Its memory goes with the process."""
