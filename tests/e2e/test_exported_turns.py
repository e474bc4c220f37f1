"""A model of every family of chat templates, exported with its own turns: what the engine proves, and what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from fragua_exporter.conversion import export as engine
from fragua_exporter.conversion.preflight import check_inputs
from fragua_exporter.conversion.reference import Reference, run_reference
from fragua_exporter.conversion.task import Score
from fragua_exporter.conversion.verification import Verification, verify
from fragua_exporter.domain.export_spec import DIVERGENCE_LIMITS, Quantization
from fragua_exporter.domain.modelfile import parse_modelfile
from fragua_platform.errors import FailureClass, InternalError, InvalidData
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.tiny_families import make_tiny_family
from tests.tiny_models import make_tiny_tokenizer
from tests.tiny_tokenizers import make_byte_level_tokenizer, make_sentencepiece_tokenizer
from tests.unit.fragua_exporter.adapters import make_adapter
from tests.unit.fragua_exporter.chat_templates import PUBLISHED

SEED = 2
"""With it none of the random models happens to open a turn of its own."""
SYSTEM_PROMPT = "Eres un tutor de español. Responde con un ejemplo."
ROWS = [
    {
        "id": f"row-{number}",
        "messages": [
            {"role": "system", "content": "Sé breve."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
    }
    for number, (question, answer) in enumerate(
        [
            ("¿Capital de España?", "Madrid."),
            ("¿Y de Francia, ese país del norte?", "París, claro."),
            ("¿Cuánto es 2 + 2?", "4"),
            ("Escribe una función que sume", "def suma(a, b):\n    return a + b"),
        ]
        * 3
    )
]


def tokenizer_for(architecture: str, published: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the family's own kind that holds the tokens which its published template prints."""
    template = PUBLISHED[published]
    if architecture.startswith("phi3"):
        return make_sentencepiece_tokenizer("phi3", template.jinja)
    if architecture.startswith(("llama", "qwen")):
        tokenizer = make_byte_level_tokenizer("llama-bpe" if architecture == "llama" else "qwen2")
    else:
        tokenizer = make_sentencepiece_tokenizer("gemma" if architecture.startswith("gemma") else "llama")
        tokenizer.eos_token = template.tokens[-1]
    tokenizer.add_tokens([template.bos, *template.tokens], special_tokens=True)
    tokenizer.bos_token = template.bos
    tokenizer.chat_template = template.jinja
    return tokenizer


def make_job(directory: Path, architecture: str, tokenizer: PreTrainedTokenizerFast, **changes: Any) -> JobDirectory:
    job = JobDirectory(directory)
    targets = ["qkv_proj", "o_proj"] if architecture.startswith("phi3") else ["q_proj", "o_proj"]
    base = make_tiny_family(architecture, job.inputs / "base", SEED, tokenizer)
    make_adapter(base, job.inputs / "adapter", target_modules=targets)
    spec: dict[str, Any] = {"model_name": "tutor", "quantizations": ["f16"], "system_prompt": SYSTEM_PROMPT}
    spec |= {"probe_prompt": "¿Cuál es la capital de España?", "probe_max_tokens": 12}
    (directory / "spec.json").write_text(json.dumps(spec | changes), "utf-8")
    job.outputs.mkdir()
    return job


def with_rows(job: JobDirectory, lines: list[str]) -> JobDirectory:
    task = job.inputs / "task"
    task.mkdir()
    (task / "validation.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return job


def export_here(job: JobDirectory) -> dict[str, Any]:
    engine.export(job, Reporter(io.StringIO()))
    info: dict[str, Any] = json.loads((job.outputs / "export_info.json").read_text("utf-8"))
    return info


@pytest.mark.parametrize(
    ("architecture", "published"),
    [
        ("llama", "llama 3.2"),
        ("qwen2", "qwen 2.5"),
        ("qwen3", "qwen 3"),
        ("phi3", "phi-3.5"),
        ("mistral", "mistral 0.1"),
        ("mistral", "mistral 0.3"),
        ("gemma2", "gemma 2"),
        ("gemma3", "gemma 3"),
    ],
)
# R191, R192, R194
def test_a_model_of_the_family_is_exported_with_its_own_turns(
    architecture: str, published: str, tmp_path: Path
) -> None:
    info = export_here(make_job(tmp_path, architecture, tokenizer_for(architecture, published)))
    assert info["model"]["chat_template"] == PUBLISHED[published].family
    [file] = info["files"]
    assert file["verification"]["tokens"]["differing_texts"] == []
    answer = file["verification"]["answer"]
    assert SYSTEM_PROMPT in answer["prompt"]
    assert answer["tokens_equal_to_reference"] == answer["reference_tokens"]
    modelfile = parse_modelfile((tmp_path / "outputs" / "Modelfile").read_text("utf-8"))
    assert (modelfile.file, modelfile.system) == ("tutor-f16.gguf", SYSTEM_PROMPT)


@pytest.fixture(scope="module")
def with_task(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = make_job(tmp_path_factory.mktemp("task"), "llama", make_tiny_tokenizer(), task_rows=10)
    return export_here(with_rows(job, [json.dumps(row, ensure_ascii=False) for row in ROWS]))


# R158
def test_every_file_answers_the_held_out_rows_as_the_merged_model_does(with_task: dict[str, Any]) -> None:
    task = with_task["files"][0]["verification"]["task"]
    assert task["rows"] == task["reference"]["rows"] == 10
    assert abs(task["token_f1_delta"]) < 0.02
    assert task["token_f1_delta"] == task["token_f1"] - task["reference"]["token_f1"]


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    """A faithful file, and what it was compared with."""
    job = make_job(tmp_path_factory.mktemp("proven"), "llama", make_tiny_tokenizer(), task_rows=6)
    preflight = check_inputs(with_rows(job, [json.dumps(row) for row in ROWS]))
    export_here(job)
    reference = run_reference(
        job.inputs / "base",
        job.inputs / "adapter",
        preflight.tokenizer,
        preflight.chat,
        preflight.probe,
        preflight.task,
        preflight.ends,
        preflight.plan.context_length,
    )
    return job.outputs / "tutor-f16.gguf", reference


def judge(file: Path, reference: Reference) -> Verification:
    return verify(file, DIVERGENCE_LIMITS[Quantization.F16], reference, 0.5, lambda: None)


def test_a_file_that_lost_the_task_fails_with_what_to_do(proven: tuple[Path, Reference]) -> None:
    file, reference = proven
    perfect = dataclasses.replace(reference, task_score=Score(rows=6, exact_match=1.0, token_f1=1.0))
    with pytest.raises(InternalError, match="Ask for a larger quantization") as failed:
        judge(file, perfect)
    assert [violation.field for violation in failed.value.violations] == ["tutor-f16.gguf: task"]
    assert failed.value.failure_class == FailureClass.USER_CONFIG


def test_an_answer_that_prints_a_role_in_plain_letters_fails(proven: tuple[Path, Reference]) -> None:
    file, reference = proven
    # As `[INST]` in the first Mistrals, which is several tokens.
    spoken = judge(file, reference).answer_check.text[2:5]
    ends = dataclasses.replace(reference.ends, texts=(*reference.ends.texts, spoken))
    with pytest.raises(InternalError, match="does not end its turns") as failed:
        judge(file, dataclasses.replace(reference, ends=ends))
    assert failed.value.failure_class == FailureClass.USER_DATA


def test_a_begin_of_text_that_would_be_doubled_is_noticed(proven: tuple[Path, Reference]) -> None:
    file, reference = proven
    turns = tuple((text, ids[1:]) for text, ids in reference.turns)
    with pytest.raises(InternalError, match="is not the model that was trained") as failed:
        judge(file, dataclasses.replace(reference, turns=turns))
    assert "5 of" in failed.value.violations[0].description


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ("{}", "validation.jsonl line 1"),
        (json.dumps({"id": "a", "messages": ROWS[0]["messages"][:2]}), "validation.jsonl line 1"),
        (
            json.dumps(ROWS[0] | {"messages": [{"role": "user", "content": "x" * 4000}, ROWS[0]["messages"][2]]}),
            "line 1",
        ),
        ("", "Invalid JSON"),
    ],
    ids=["no row", "no answer", "too long", "empty"],
)
def test_rows_that_cannot_be_asked_are_refused_before_any_work(broken: str, place: str, tmp_path: Path) -> None:
    job = make_job(tmp_path, "llama", make_tiny_tokenizer(), task_rows=4)
    with pytest.raises(InvalidData, match=place):
        export_here(with_rows(job, [broken]))
    assert not list((tmp_path / "unproven").iterdir())
