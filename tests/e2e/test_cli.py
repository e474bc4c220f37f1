"""The whole chain by `fragua` command lines, through the violent death of the suite midway."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua_cli.demo import recipe
from tests.embedded import EmbeddedSuite

FRAGUA = [sys.executable, "-m", "fragua_cli"]
QUICK_TRAINING = [
    *("--max-steps", "150", "--batch-size", "8", "--learning-rate", "2e-3", "--max-length", "128"),
    *("--save-steps", "10", "--eval-steps", "75", "--dropout", "0"),
]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path / "data") as suite:
        yield suite


def start(up: EmbeddedSuite, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"FRAGUA_ENDPOINT": up.endpoint("dataset"), "FRAGUA_BRANCH": "tutor"}
    return subprocess.Popen(
        [*FRAGUA, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def fragua(up: EmbeddedSuite, *arguments: str) -> Any:
    """The last line or only document of a command's JSON."""
    process = start(up, "--json", *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, f"{arguments}: exit {process.returncode}\n{out}\n{err}"
    try:
        return json.loads(out)
    except ValueError:
        return json.loads(out.splitlines()[-1])


@pytest.mark.timeout(600)
def test_the_chain_ends_once_and_whole_although_the_suite_is_killed_midway(up: EmbeddedSuite, tmp_path: Path) -> None:
    examples = recipe.find_examples(None)
    fragua(up, "branch", "create", "tutor", "--display-name", "Tutor de español")
    fragua(up, "base", "import", str(examples.base_model), "--name", "tiny-base")
    version = fragua(up, "dataset", "import", str(examples.instructions), "--name", "facts")
    assert version["state"] == "DATASET_VERSION_STATE_READY"

    job = fragua(up, "train", "start", "--dataset", "facts", "--base", "tiny-base", *QUICK_TRAINING, "--no-watch")
    following = start(up, "train", "watch", job["name"], "--json")
    assert following.stdout is not None
    for line in following.stdout:
        if int(json.loads(line)["status"]["progress"]["step"]) > 20:
            break
    up.kill()
    time.sleep(1)
    up.start()
    ended = json.loads(following.communicate(timeout=300)[0].splitlines()[-1])
    assert following.returncode == 0
    assert ended["status"]["state"] == "JOB_STATE_SUCCEEDED"
    assert ended["status"]["attempt"] == 2
    metrics = fragua(up, "train", "metrics", job["name"], "--limit", "10000")
    resumed_at = min(int(metric["step"]) for metric in metrics if metric["attempt"] == 2)
    assert resumed_at > 10, "the second attempt began at a checkpoint"

    adapters = fragua(up, "adapter", "list")
    assert [(adapter["name"], adapter["state"]) for adapter in adapters] == [
        ("branches/tutor/adapters/1", "ADAPTER_STATE_READY")
    ]

    evaluation = fragua(up, "eval", "run", "--adapter", "1", "--max-items", "30", "--repeats", "1", "--require-go")
    [compared] = evaluation["result"]["comparisons"]
    assert compared["difference"] > 0.3
    assert compared["pValue"] < recipe.SIGNIFICANCE
    decided = fragua(up, "eval", "decide", evaluation["name"], "--by", "Begoña")
    assert decided["verificationStatus"] == "VERIFICATION_STATUS_VERIFIED"
    files = fragua(up, "eval", "report", evaluation["name"], "--to", str(tmp_path / "report"))["files"]
    assert {Path(file).name for file in files} == {"items.jsonl", "report.html", "report.json", "report.md"}

    export = fragua(up, "export", "create", "--adapter", "1", "--quant", "f16", "--probe", recipe.PROBE)
    assert export["files"][0]["verification"]["answer"].startswith("tema es")
    for file in fragua(up, "export", "download", export["name"], "--to", str(tmp_path / "model"))["files"]:
        assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == file["sha256"]
    assert {file.name for file in (tmp_path / "model").iterdir()} >= {"tutor-1-f16.gguf", "Modelfile"}
