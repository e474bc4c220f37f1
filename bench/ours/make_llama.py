"""Writes config and weights of a random bf16 Llama beside its tokenizer: `make_llama.py DIRECTORY HIDDEN LAYERS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

VOCABULARY_SIZE = 128_256
HEAD = 64


def write_model(directory: Path, hidden: int, layers: int) -> None:
    heads, ffn = hidden // HEAD, hidden * 4
    key_heads = max(1, heads // 4)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "bos_token_id": 128000,
        "eos_token_id": 128001,
    }
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    generator = torch.Generator().manual_seed(7)

    def weights(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).mul_(0.02).to(torch.bfloat16)

    tensors = {"model.embed_tokens.weight": weights(VOCABULARY_SIZE, hidden), "model.norm.weight": weights(hidden)}
    for layer in range(layers):
        shapes = {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (key_heads * HEAD, hidden),
            "self_attn.v_proj": (key_heads * HEAD, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": (ffn, hidden),
            "mlp.up_proj": (ffn, hidden),
            "mlp.down_proj": (hidden, ffn),
        }
        tensors |= {f"model.layers.{layer}.{name}.weight": weights(*shape) for name, shape in shapes.items()}
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
