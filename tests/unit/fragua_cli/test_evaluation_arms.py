"""Arms and suites as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fragua.evaluator.v1 import arm_pb2
from fragua_cli.evaluation_arms import add_key_variables, add_prompting, arm_name, metric_from_text
from fragua_platform.errors import InvalidInput


def arms() -> list[arm_pb2.Arm]:
    endpoint = arm_pb2.EndpointModel(url="https://api.example.com/v1", model="m")
    return [arm_pb2.Arm(name="base"), arm_pb2.Arm(name="gpt", endpoint=endpoint)]


def test_prompts_and_demonstrations_go_to_the_arm_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("Sé breve, señor.", "utf-8")
    shown = {"question": "¿Y 2?", "answer": "Sí = sí."}
    (tmp_path / "shown.jsonl").write_text(json.dumps(shown) + "\n", "utf-8")
    mine = arms()
    add_prompting(mine, [f"base=@{tmp_path}/system.txt", "gpt=a=b"], [f"base={tmp_path}/shown.jsonl"])
    assert [arm.prompting.system for arm in mine] == ["Sé breve, señor.", "a=b"]
    assert mine[0].prompting.demonstrations[0].answer == "Sí = sí."


def test_a_prompt_for_nobody_is_refused_with_the_arms_that_there_are() -> None:
    with pytest.raises(InvalidInput, match="the arms are base, gpt"):
        add_prompting(arms(), ["tuned=hola"], [])


def test_a_line_that_is_no_demonstration_is_named(tmp_path: Path) -> None:
    (tmp_path / "shown.jsonl").write_text('{"question": "¿?", "answer": "a"}\n{"question": 1}\n', "utf-8")
    with pytest.raises(InvalidInput, match=r"shown\.jsonl line 2"):
        add_prompting(arms(), [], [f"base={tmp_path}/shown.jsonl"])


def test_only_endpoints_have_keys() -> None:
    mine = arms()
    add_key_variables(mine, ["gpt=FRAGUA_ENGINE_KEY_GPT"])
    assert mine[1].endpoint.key_variable == "FRAGUA_ENGINE_KEY_GPT"
    with pytest.raises(InvalidInput, match="arm base is no endpoint"):
        add_key_variables(mine, ["base=FRAGUA_ENGINE_KEY_GPT"])


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("token_f1", "token_f1", ""),
        ("acme_metrics:clarity", "acme_metrics:clarity", ""),
        ('regex{pattern: "^FR"}', "regex", '{pattern: "^FR"}'),
    ],
)
def test_a_metric_may_carry_options(text: str, name: str, options: str) -> None:
    metric = metric_from_text(text)
    assert (metric.name, metric.options_yaml) == (name, options)


@pytest.mark.parametrize(
    ("model", "name"),
    [("qwen-3b", "qwen-3b"), ("baseModels/phi_3.5/revisions/ab12", "phi-3-5"), ("x" * 60, "x" * 40)],
)
def test_the_arm_of_a_base_model_is_called_by_the_model(model: str, name: str) -> None:
    assert arm_name(model) == name
