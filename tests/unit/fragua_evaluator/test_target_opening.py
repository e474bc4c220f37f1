"""What an arm names is what is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fragua_evaluator.domain.arm import ArmSpec, Decoding, EndpointModel, Limits, OllamaModel, ReadyOutputs
from fragua_evaluator.scoring.targets.ollama import OllamaTarget
from fragua_evaluator.scoring.targets.openai import EndpointTarget
from fragua_evaluator.scoring.targets.opening import open_target
from fragua_evaluator.scoring.targets.outputs import OutputsTarget
from fragua_evaluator.scoring.targets.port import Target
from tests.servers.chat import ChatServer

if TYPE_CHECKING:
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels


def opened(arm: ArmSpec, inputs: Path) -> Target:
    """None of these arms loads a model."""
    return open_target(arm, inputs, Decoding(), Limits(), cast("LoadedModels", None))


def test_each_kind_of_arm_is_opened_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("", "utf-8")
    with ChatServer().running() as server:
        targets = [
            opened(ArmSpec(name="served", target=EndpointModel(url=server.url, model="tutor")), tmp_path),
            opened(ArmSpec(name="ours", target=OllamaModel(url=server.origin, model="tutor")), tmp_path),
            opened(ArmSpec(name="written", target=ReadyOutputs(file="mine.jsonl")), tmp_path),
        ]
    assert [type(target) for target in targets] == [EndpointTarget, OllamaTarget, OutputsTarget]
    assert all(target.identity.remote for target in targets)
    for target in targets:
        target.close()


def test_an_arm_behind_an_endpoint_costs_no_memory_of_machine_learning_libraries() -> None:
    heavy = ("torch", "transformers", "llama_cpp", "numpy")
    script = (
        "import sys, fragua_evaluator.scoring.targets.opening, fragua_evaluator.scoring.targets.openai, "
        f"fragua_evaluator.scoring.targets.ollama; print(*[m for m in {heavy!r} if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
