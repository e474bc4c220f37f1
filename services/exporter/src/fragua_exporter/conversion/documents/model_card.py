"""The model card, `README.md`: what the model is made of, how it was trained, what was measured, how to run it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from fragua_exporter.conversion.documents.facts import ExportFacts
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.history import LossSeries, Score, TrainingFacts

_HUB_SOURCE = re.compile(r"hub:([^/@]+/[^/@]+)@")
LICENSE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
"""What may be a licence's name; anything else is its text."""


def model_card(facts: ExportFacts) -> str:
    sections = [_front_matter(facts), *_introduction(facts), *_ingredients(facts)]
    if facts.training:
        sections += _training(facts.training)
    sections += [*_evaluation(facts), *_measurements(facts), *_running(facts), *_license(facts), *_proof(facts)]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: ExportFacts) -> str:
    lines = ["---"]
    if LICENSE_NAME.fullmatch(facts.spec.license):
        lines.append(f"license: {facts.spec.license.lower()}")
    bases = [each for each in facts.ingredients if each.role == "base model"]
    if bases and (hub := _HUB_SOURCE.match(bases[0].source)):
        lines.append(f"base_model: {json.dumps(hub[1])}")
    lines += ["pipeline_tag: text-generation", "tags:"]
    tags = ["fragua", "lora", *(["gguf"] if facts.models or facts.spec.adapter_gguf else [])]
    return "\n".join([*lines, *(f"- {tag}" for tag in tags), "---"])


def _introduction(facts: ExportFacts) -> Iterator[str]:
    yield f"# {facts.spec.model_name}"
    yield (
        f"A LoRA adapter merged into its base, architecture `{facts.architecture}`, context of "
        f"{facts.context_length:,} tokens, chat template {facts.chat_template}. Every number on this page was measured "
        "while the model was trained, evaluated and exported; what nobody measured is not on it."
    )


def _ingredients(facts: ExportFacts) -> Iterator[str]:
    if not facts.ingredients:
        return
    yield "## What it is made of"
    yield _table(
        ("part", "name", "sha256 of its manifest"),
        [
            (each.role, f"`{each.name}`" + (f" ({_cell(each.source)})" if each.source else ""), f"`{digest}`")
            for each in facts.ingredients
            if (digest := each.manifest_sha256)
        ],
    )
    for warning in facts.history.warnings:
        yield f"- {_cell(warning)}"


def _training(training: TrainingFacts) -> Iterator[str]:
    lora, schedule = training.arguments.lora, training.arguments.schedule
    share = training.trainable_parameters / (training.base_parameters or 1)
    rows = [
        ("trained parameters", f"{training.trainable_parameters:,} ({share:.2%} of the base's)"),
        ("LoRA", f"rank {lora.rank}, alpha {lora.alpha:g}"),
        ("rows", f"{training.dataset.train.rows:,} to train on, {training.dataset.validation.rows:,} held out"),
        ("steps", f"{training.steps:,}, {training.epochs:.3g} epochs, {training.tokens:,} tokens"),
        (
            "batches",
            f"{schedule.batch_size} × {schedule.gradient_accumulation}, up to {schedule.max_length:,} tokens a row",
        ),
        ("learning rate", f"{schedule.learning_rate:g}"),
        ("seed", str(schedule.seed)),
        ("precision", training.precision),
        *_losses("training loss", training.loss),
        *_losses("validation loss", training.validation_loss),
        ("time", f"{training.training_seconds:,.0f} s, ended {training.finished}"),
    ]
    if training.hardware:
        rows.append(("on", _cell(", ".join(f"{name}: {value}" for name, value in training.hardware.items()))))
    yield "## Training"
    yield _table(("fact", "value"), rows)


def _losses(name: str, series: LossSeries | None) -> Iterator[tuple[str, str]]:
    if series:
        yield name, f"{series.first:.4g} → {series.last:.4g}, best {series.best:.4g} at step {series.best_step:,}"


def _evaluation(facts: ExportFacts) -> Iterator[str]:
    yield "## Evaluation"
    scores = facts.history.scores
    if not scores:
        yield "No evaluation of this adapter was known when it was exported."
        return
    yield "Base and adapter answered the same held-out questions, before the export."
    header = ("evaluation", "metric", "questions", "base", "adapter")
    judged = any(each.verdict for each in scores)
    yield _table(
        (*header, "verdict") if judged else header,
        [(*_scored(each), *([each.verdict] if judged else [])) for each in scores],
    )
    if explained := [line for each in scores for line in _explained(each)]:
        yield "\n".join(explained)


def _scored(score: Score) -> tuple[str, ...]:
    return (
        f"`{score.evaluation}`",
        score.metric,
        f"{score.item_count:,}",
        f"{score.base_score:.4f}",
        f"{score.tuned_score:.4f}",
    )


def _explained(score: Score) -> Iterator[str]:
    for reason in score.reasons:
        yield f"- {score.verdict} of `{score.evaluation}`: {_cell(reason)}"
    if score.decision:
        yield f"- decided on `{score.evaluation}`: {_cell(score.decision)}"


def _measurements(facts: ExportFacts) -> Iterator[str]:
    if not facts.models:
        return
    asked = max(model.task_rows for model in facts.models)
    yield "## Files"
    yield (
        "Each was loaded in llama.cpp and compared with the merged model in transformers. KL is the divergence of its "
        "next-token distribution, in nats a token."
        + (f" Task: token F1 over {asked:,} held-out rows, and its difference to the merged model's." if asked else "")
    )
    header = ("file", "quantization", "size", "mean KL", "max KL", "same top token")
    yield _table(
        (*header, "task", "difference") if asked else header,
        [(*_measured(model), *(_task(model) if asked else ())) for model in facts.models],
    )
    for model in facts.models:
        if model.fallback_tensors:
            yield (
                f"- `{model.file}`: {model.fallback_tensors} matrices are stored in another type, because their rows do "
                f"not fill the blocks of {model.quantization.value}."
            )
    yield f"Asked in `{facts.models[0].file}`, taking the likeliest token each time:"
    yield _quoted(facts.spec.probe_prompt)
    ended = "ended its turn" if facts.models[0].answer_stopped else f"had not ended after {facts.spec.probe_max_tokens}"
    yield f"it answered, and {ended} ({facts.models[0].answer_tokens} tokens):"
    yield _quoted(facts.models[0].answer)


def _measured(model: ExportedFile) -> tuple[str, ...]:
    return (
        f"`{model.file}`",
        model.quantization.value,
        _size(model.bytes),
        f"{model.mean_kl:.2g}",
        f"{model.max_kl:.2g}",
        f"{model.top1_agreement:.1%}",
    )


def _task(model: ExportedFile) -> tuple[str, str]:
    if model.task_score is None or model.task_score_delta is None:
        return "", ""
    return f"{model.task_score:.4f}", f"{model.task_score_delta:+.4f}"


def _running(facts: ExportFacts) -> Iterator[str]:
    name = facts.spec.model_name
    yield "## How to run it"
    if facts.models:
        yield "In Ollama, from the folder of these files:"
        yield _code("sh", f"ollama create {name}:v1 -f Modelfile", f"ollama run {name}:v1")
        yield "In llama.cpp:"
        yield _code("sh", f"llama-cli -m {facts.models[0].file} --jinja --conversation")
    if facts.spec.adapter_gguf:
        yield "With the base as a GGUF file of its own, llama.cpp adds the adapter while it loads:"
        yield _code("sh", f"llama-cli -m BASE.gguf --lora {name}-adapter.gguf --jinja --conversation")
    if facts.spec.merged_model:
        yield "In transformers:"
        yield _code(
            "python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'model = AutoModelForCausalLM.from_pretrained("merged")',
            'tokenizer = AutoTokenizer.from_pretrained("merged")',
        )


def _license(facts: ExportFacts) -> Iterator[str]:
    yield "## Licence"
    if not facts.spec.license:
        yield "None was named for this export. The base's licence and the rights to the training data hold."
    elif LICENSE_NAME.fullmatch(facts.spec.license):
        yield facts.spec.license
    else:
        yield _quoted(facts.spec.license)


def _proof(facts: ExportFacts) -> Iterator[str]:
    yield "## How to check it"
    lines = [
        "- The manifest of the export lists every file with its sha256.",
        "- `provenance.intoto.json` states what the files were made from (in-toto, SLSA provenance).",
        "- `bom.cdx.json` is the bill of materials (CycloneDX).",
        "- `export_info.json` holds all measurements.",
    ]
    if facts.history.export:
        lines.append(f"- `fragua export verify {facts.history.export}` reads every byte again and checks signatures.")
    yield "\n".join(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """In one line, and without what would end a cell or begin a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _quoted(text: str) -> str:
    """As an indented block, in which nothing is markup."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])


def _code(language: str, *lines: str) -> str:
    return "\n".join((f"```{language}", *lines, "```"))


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.2f} GB"
