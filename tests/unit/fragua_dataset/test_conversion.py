"""The conversion engine: what other programs read, and what does not fit into their formats."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from fragua_dataset.conversion.convert import convert
from fragua_platform.errors import FailureClass, InvalidData, InvalidInput
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from tests.dataset_client import jsonl

VERSION = "branches/tutor/datasets/árboles/versions/20261120T120000Z"


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(contents)]


SHORT = {"id": "0000000000000001", "messages": turns("¿Qué es una raíz?", "El nodo sin padre."), "metadata": {}}
CHOICE = {
    "id": "0000000000000002",
    "origin": "00000000000000ff",
    "messages": [{"role": "system", "content": "Sé breve, señor Núñez."}, *turns("¿2 + 2?", "B) 4")],
    "choices": ["3", "4"],
    "answer": 1,
    "metadata": {"type": "suma", "nivel": {"ñ": [1, 2]}},
}
LONG = {"id": "0000000000000003", "messages": turns("¿Y?", "Esto.", "¿Y luego?", "Aquello."), "metadata": {}}
RECORD = {
    "id": "0000000000000004",
    "messages": turns("Panadería", "title: Pan\n"),
    "record": {"concept": "Panadería", "title": "Pan"},
    "metadata": {},
}


class Conversion:
    def __init__(self, root: Path, wanted: str, train: list[Any], validation: list[Any]) -> None:
        self.job = JobDirectory(root)
        self.records = io.StringIO()
        self.reporter = Reporter(self.records)
        self.job.inputs.mkdir(parents=True)
        self.job.outputs.mkdir()
        (root / "spec.json").write_text(json.dumps({"format": wanted, "version": VERSION}))
        (self.job.inputs / "train.jsonl").write_bytes(jsonl(train))
        (self.job.inputs / "validation.jsonl").write_bytes(jsonl(validation))

    def run(self) -> Path:
        convert(self.job, self.reporter)
        return self.job.outputs


def written(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_chat_has_the_messages_of_every_row(tmp_path: Path) -> None:
    outputs = Conversion(tmp_path, "chat-jsonl", [SHORT, LONG], [CHOICE]).run()
    assert written(outputs / "train.jsonl") == [{"messages": SHORT["messages"]}, {"messages": LONG["messages"]}]
    assert written(outputs / "validation.jsonl") == [{"messages": CHOICE["messages"]}]


def test_alpaca_has_question_and_answer(tmp_path: Path) -> None:
    outputs = Conversion(tmp_path, "alpaca", [SHORT, CHOICE], []).run()
    assert written(outputs / "train.jsonl") == [
        {"instruction": "¿Qué es una raíz?", "input": "", "output": "El nodo sin padre."},
        {"instruction": "¿2 + 2?", "input": "", "output": "B) 4", "system": "Sé breve, señor Núñez."},
    ]
    assert not (outputs / "validation.jsonl").exists(), "a side without rows has no file"


def test_alpaca_refuses_several_turns_with_the_rows_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"3 conversations .* ask for chat-jsonl") as refused:
        Conversion(tmp_path, "alpaca", [SHORT, LONG, LONG, CHOICE, LONG], []).run()
    assert [violation.field for violation in refused.value.violations] == [
        f"train row {number} (0000000000000003)" for number in (2, 3, 5)
    ]
    assert refused.value.failure_class is FailureClass.USER_DATA


def test_parquet_has_a_column_for_each_field(tmp_path: Path) -> None:
    outputs = Conversion(tmp_path, "parquet", [SHORT, CHOICE, RECORD], [LONG]).run()
    rows = pq.read_table(outputs / "train.parquet").to_pylist()
    assert [row["id"] for row in rows] == [SHORT["id"], CHOICE["id"], RECORD["id"]]
    assert [row["messages"] for row in rows] == [row["messages"] for row in (SHORT, CHOICE, RECORD)]
    assert (rows[1]["choices"], rows[1]["answer"], rows[1]["origin"]) == (["3", "4"], 1, "00000000000000ff")
    assert json.loads(rows[1]["metadata"]) == CHOICE["metadata"]
    assert json.loads(rows[2]["record"]) == RECORD["record"]
    assert rows[0]["record"] is None
    assert pq.read_table(outputs / "validation.parquet").num_rows == 1


def test_a_folder_for_datasets_says_in_its_card_which_file_is_which_split(tmp_path: Path) -> None:
    outputs = Conversion(tmp_path, "hf-folder", [SHORT, CHOICE], [LONG]).run()
    _, front, text = (outputs / "README.md").read_text("utf-8").split("---\n", 2)
    (config,) = yaml.safe_load(front)["configs"]
    assert config["data_files"] == [
        {"split": "train", "path": "data/train.parquet"},
        {"split": "validation", "path": "data/validation.parquet"},
    ]
    assert all((outputs / each["path"]).is_file() for each in config["data_files"])
    assert VERSION in text
    assert "- train: 2 rows" in text


@pytest.mark.parametrize("wanted", ["chat-jsonl", "parquet"])
def test_memory_does_not_grow_with_the_rows(wanted: str, tmp_path: Path) -> None:
    def peak(megabytes: int) -> int:
        rows = [{**SHORT, "metadata": {"n": n, "t": "x" * 500_000}} for n in range(2 * megabytes)]
        conversion = Conversion(tmp_path / str(megabytes), wanted, rows, [])
        del rows
        tracemalloc.start()
        conversion.run()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(160) < 1.5 * peak(40)


def test_a_stop_ends_the_work(tmp_path: Path) -> None:
    conversion = Conversion(tmp_path, "parquet", [SHORT], [])
    conversion.reporter.request_stop()
    with pytest.raises(Interrupted):
        conversion.run()


def test_progress_tells_the_bytes(tmp_path: Path) -> None:
    conversion = Conversion(tmp_path, "chat-jsonl", [SHORT, LONG], [CHOICE])
    conversion.run()
    last = json.loads(conversion.records.getvalue().splitlines()[-1])
    size = sum(path.stat().st_size for path in conversion.job.inputs.iterdir())
    assert (last["step"], last["total"], last["message"]) == (size, size, "3 rows")


def test_what_is_wrong_with_a_job_directory_is_told(tmp_path: Path) -> None:
    conversion = Conversion(tmp_path, "alpaca", [SHORT], [])
    (conversion.job.inputs / "validation.jsonl").unlink()
    with pytest.raises(InvalidInput, match=r"inputs/ has no validation\.jsonl"):
        conversion.run()
    (tmp_path / "spec.json").write_text('{"format": "xml", "versión": 1}')
    with pytest.raises(InvalidInput) as refused:
        conversion.run()
    assert {violation.field for violation in refused.value.violations} == {"format", "version", "versión"}
