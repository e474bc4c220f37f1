"""The recipe of a LoRA fine-tune, from top to bottom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from fragua_trainer.domain.training_spec import Optimizer, Precision, Quantization, TrainingSpec
from fragua_trainer.training.adapter import attach_lora, match_targets, with_fused_names
from fragua_trainer.training.base_model import empty_model, load_base_model, open_base_model
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.embedding_noise import add_embedding_noise
from fragua_trainer.training.examples import Dataset, load_examples
from fragua_trainer.training.hardware import choose_device, choose_precision, out_of_memory_reported
from fragua_trainer.training.loop import train
from fragua_trainer.training.optimizers import choose_optimizer
from fragua_trainer.training.outputs import Attempt, save_adapter, write_training_info
from fragua_trainer.training.progress import Progress
from fragua_trainer.training.quantization import choose_quantization
from fragua_trainer.training.run import Run
from fragua_trainer.training.schedule import Plan
from fragua_trainer.training.warm_start import check_warm_start, load_warm_start


@out_of_memory_reported()
def run(spec: TrainingSpec, job: JobDirectory, reporter: Reporter, threads: int) -> None:
    """Train an adapter for `inputs/base` on `inputs/dataset` and leave it in `outputs/`."""
    started = datetime.now(UTC)
    torch.set_num_threads(threads)
    disable_progress_bar()
    device = choose_device()

    def tell_loading(what: str, total_steps: int = 0) -> None:
        if reporter.stop_requested:
            raise Interrupted  # nothing is trained yet, so there is nothing to save
        reporter.progress("loading", 0, total_steps, what)

    # Whatever can be wrong with the inputs is found before the weights are read.
    tell_loading("checking the base model and the dataset")
    base = open_base_model(job.inputs / "base")
    base_name = spec.provenance.get("base_model", "")
    layers = empty_model(base)
    resolved = with_fused_names(layers, spec.lora)
    targets = match_targets(layers, resolved.lora)
    if spec.warm_start:
        check_warm_start(job.inputs / "adapter", resolved.lora, targets, base_name)
    quantization = choose_quantization(spec.quantization, spec.substitution, device, spec.lora.dora)
    optimizer = choose_optimizer(spec.optimizer, spec.substitution, device)
    notices = [notice for notice in (*resolved.notices, quantization.notice, optimizer.notice) if notice]
    dataset = load_examples(job.inputs / "dataset", base.chat_format(spec.schedule.max_length), tell_loading)
    plan = Plan(spec.schedule, len(dataset.train))

    tell_loading("loading the base model", plan.total_steps)
    precision = choose_precision(spec.base_precision, device, base.directory)
    model = load_base_model(base, precision, device, quantization.quantization)
    add_embedding_noise(model, spec.schedule.neftune_alpha)
    adapted = attach_lora(model, resolved.lora, targets, spec.schedule.seed, base_name)
    if spec.warm_start:
        load_warm_start(job.inputs / "adapter", adapted)
    training = Run.start(adapted, spec.schedule, device, precision, optimizer.optimizer, spec.lora.lora_plus_ratio)

    metrics_file = job.outputs / "metrics.jsonl"
    metrics_file.unlink(missing_ok=True)
    checkpoints = Checkpoints(
        job,
        reporter,
        _fingerprint(spec, quantization.quantization, optimizer.optimizer, precision, dataset),
        metrics_file,
    )
    if job.resume_from is not None:
        checkpoints.restore(training, job.resume_from)
    attempt = Attempt(started, training.state.step)

    progress = Progress(reporter, plan, metrics_file)
    train(training, dataset, plan, spec.logging, checkpoints, progress)

    progress.saving(training.state)
    save_adapter(training, base, job.outputs)
    write_training_info(training, spec, plan, dataset, targets, notices, attempt, job.outputs)


def _fingerprint(
    spec: TrainingSpec, quantization: Quantization, optimizer: Optimizer, precision: Precision, dataset: Dataset
) -> dict[str, Any]:
    """What decides the adapter that comes out; how often the run is logged and saved does not."""
    return {
        "lora": spec.lora.model_dump(mode="json"),
        "schedule": spec.schedule.model_dump(mode="json"),
        "precision": precision.value,
        "quantization": quantization.value,
        "optimizer": optimizer.value,
        "warm_start": spec.warm_start,
        "dataset": {"train": dataset.train.sha256, "validation": dataset.validation.sha256},
    }
