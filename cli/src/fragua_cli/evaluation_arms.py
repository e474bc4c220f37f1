"""Arms and suites as the command line names them: `tuned=adapter:3`, `old=outputs:answers.jsonl`, `stress`, `mine.yaml@facts`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fragua.evaluator.v1 import arm_pb2, suite_pb2
from fragua_cli.names import base_model_name, dataset_version_name, resource_name
from fragua_cli.session import Session
from fragua_cli.transfers import upload_outputs
from fragua_platform.errors import InvalidInput, Violation

ARM_HELP: Final = (
    "NAME=KIND:WHAT, from the simplest to the candidate; repeat it. KIND is model (a base model), base-of, adapter or "
    "merged (an adapter's number), export (NAME/FILE.gguf), ollama or endpoint (URL#MODEL), outputs (a JSONL file)."
)
SUITE_HELP: Final = "A packaged suite (`fragua eval suites`) or a YAML file, with @DATASET to let that one's held-out rows ask; repeat it."


async def arm_from_text(session: Session, text: str, branch: str, parent: str) -> arm_pb2.Arm:
    name, equals, model = text.partition("=")
    kind, colon, what = model.partition(":")
    if not (name and equals and kind and colon and what):
        raise _wrong_arm(text, "expected NAME=KIND:WHAT, such as tuned=adapter:3")
    arm, suite = arm_pb2.Arm(name=name), session.suite
    match kind:
        case "model":
            arm.base_model = await base_model_name(suite, what)
        case "base-of":
            arm.base_of = await resource_name(suite, "adapters", what, branch)
        case "adapter" | "merged":
            arm.adapter.adapter = await resource_name(suite, "adapters", what, branch)
            arm.adapter.merged = kind == "merged"
        case "export":
            export, _, file = what.rpartition("/")
            arm.exported.export = await resource_name(suite, "exports", export, branch)
            arm.exported.file = file
        case "ollama" | "endpoint":
            url, hash_, asked = what.partition("#")
            if not hash_:
                raise _wrong_arm(text, "expected URL#MODEL, such as ollama:http://127.0.0.1:11434#tutor:v1")
            endpoint = arm.ollama if kind == "ollama" else arm.endpoint
            endpoint.url, endpoint.model = url, asked
        case "outputs":
            arm.outputs.CopyFrom(await upload_outputs(suite, session.output, _file(text, what), parent))
        case _:
            raise _wrong_arm(
                text, f"{kind!r} is not one of model, base-of, adapter, merged, export, ollama, endpoint, outputs"
            )
    return arm


def arm_name(model: str) -> str:
    """What the arm of a base model is called: by the model, without what stands before and after its own name."""
    own = model.removeprefix("baseModels/").partition("/")[0]
    return re.sub(r"[^a-z0-9]+", "-", own.lower()).strip("-")[:40].rstrip("-")


def add_prompting(arms: Sequence[arm_pb2.Arm], systems: Sequence[str], demonstrations: Sequence[str]) -> None:
    """`NAME=TEXT` or `NAME=@FILE` of system messages, `NAME=FILE` of demonstrations."""
    by_name = {arm.name: arm for arm in arms}
    for text in systems:
        arm, said = _for_arm("--system", text, by_name)
        arm.prompting.system = _file(text, said[1:]).read_text("utf-8") if said.startswith("@") else said
    for text in demonstrations:
        arm, file = _for_arm("--demonstrations", text, by_name)
        arm.prompting.demonstrations.extend(_demonstrations(_file(text, file)))


def add_key_variables(arms: Sequence[arm_pb2.Arm], variables: Sequence[str]) -> None:
    by_name = {arm.name: arm for arm in arms}
    for text in variables:
        arm, variable = _for_arm("--key-variable", text, by_name)
        if arm.WhichOneof("model") != "endpoint":
            raise InvalidInput(f"--key-variable: arm {arm.name} is no endpoint")
        arm.endpoint.key_variable = variable


async def suite_from_text(
    session: Session, text: str, branch: str, metrics: Sequence[str], max_items: int | None, max_new_tokens: int | None
) -> suite_pb2.Suite:
    named, _, dataset = text.partition("@")
    suite = suite_pb2.Suite(
        metrics=[metric_from_text(metric) for metric in metrics], max_items=max_items, max_new_tokens=max_new_tokens
    )
    if named.endswith((".yaml", ".yml")):
        suite.yaml = _file(text, named).read_text("utf-8")
    else:
        suite.name = named
    if dataset:
        suite.dataset_version = await dataset_version_name(session.suite, dataset, branch, ready=True)
    return suite


def metric_from_text(text: str) -> suite_pb2.Metric:
    """`token_f1`, `acme_metrics:clarity`, or with options as YAML: `regex{pattern: "^FR"}`."""
    name, brace, options = text.partition("{")
    return suite_pb2.Metric(name=name, options_yaml=brace + options)


def _demonstrations(file: Path) -> list[arm_pb2.Demonstration]:
    shown = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            shown.append(arm_pb2.Demonstration(question=row["question"], answer=row["answer"]))
        except (ValueError, RecursionError, KeyError, TypeError) as broken:
            problem = "expected JSON lines of `question` and `answer`, both texts"
            raise InvalidInput(f"{file} line {number}: {problem}") from broken
    return shown


def _for_arm(option: str, text: str, arms: Mapping[str, arm_pb2.Arm]) -> tuple[arm_pb2.Arm, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in arms:
        known = ", ".join(arms)
        problem = f"{text!r} does not begin with the name of an arm and =; the arms are {known}"
        raise InvalidInput(problem, violations=[Violation(option, problem)])
    return arms[name], value


def _file(text: str, name: str) -> Path:
    file = Path(name)
    if not file.is_file():
        raise InvalidInput(f"{text}: there is no file {name}")
    return file


def _wrong_arm(text: str, problem: str) -> InvalidInput:
    return InvalidInput(f"--arm {text}: {problem}", violations=[Violation("--arm", problem)])
