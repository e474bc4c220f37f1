"""What the packaged presets say, each value beside the requirement that it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from fragua_trainer.domain.training_spec import TrainingSpec
from fragua_trainer.presets import presets

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# R17, R21, R22, R23
BRANCH = {
    "lora": {"rank": 16, "alpha": 32.0, "dropout": 0.05, "target_modules": SEVEN[:4]},
    "schedule": {"learning_rate": 2e-5, "batch_size": 4, "gradient_accumulation": 4},
    "logging": {"save_steps": 500},
}
# R88, R90, R91, R103
BA_CPU = {
    "lora": {"rank": 8, "alpha": 32.0, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"], "bias": "none"},
    "schedule": {
        "epochs": 3.0,
        "learning_rate": 2e-4,
        "batch_size": 1,
        "gradient_accumulation": 8,
        "warmup_ratio": 0.1,
        "warmup_steps": None,
        "weight_decay": 0.01,
        "max_length": 2048,
        "seed": 42,
    },
    "early_stopping": {"metric": "token_f1", "patience": 2, "min_delta": 0.01},
    "quantization": "bnb4",
}
# R143, R144, R145, R148
QWEN_3B = {
    "lora": {"rank": 16, "alpha": 32.0, "dropout": 0.05, "target_modules": SEVEN, "bias": "none"},
    "schedule": {
        "epochs": 3.0,
        "learning_rate": 2e-4,
        "batch_size": 1,
        "gradient_accumulation": 8,
        "warmup_steps": 10,
        "max_length": 2048,
    },
    "logging": {"save_steps": 50, "eval_steps": 25, "log_steps": 10},
    "early_stopping": {"metric": "validation_loss", "patience": 3},
    "optimizer": "adamw_8bit",
    "quantization": "bnb4",
}
# R184, R185
TUTOR = {
    "lora": {"rank": 16, "alpha": 32.0, "target_modules": SEVEN},
    "schedule": {"epochs": 3.0, "learning_rate": 2e-4, "batch_size": 1, "gradient_accumulation": 8},
}
# R47
INCREMENTAL = {"lora": {"rank": 56, "alpha": 112.0, "dropout": 0.025, "target_modules": SEVEN}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("branch", BRANCH),
        ("ba-cpu", BA_CPU),
        ("qwen-3b", QWEN_3B),
        ("tutor", TUTOR),
        ("incremental", INCREMENTAL),
    ],
)
def test_a_preset_is_a_valid_specification_with_the_required_values(name: str, expected: dict[str, Any]) -> None:
    spec = TrainingSpec.parse(presets()[name].values).model_dump(mode="json")

    assert {key: _like(spec[key], value) for key, value in expected.items()} == expected


def test_every_preset_describes_itself() -> None:
    assert list(presets()) == ["ba-cpu", "branch", "incremental", "qwen-3b", "tutor"]
    assert all(preset.description.endswith(".") for preset in presets().values())


def _like(value: Any, pattern: Any) -> Any:
    """Of `value` only the keys that `pattern` has."""
    return {key: _like(value[key], pattern[key]) for key in pattern} if isinstance(pattern, dict) else value
