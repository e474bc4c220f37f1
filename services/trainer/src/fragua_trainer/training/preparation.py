"""Everything that comes before the first step: what can be wrong is found before the weights are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from fragua_platform.errors import FailureClass, InvalidInput
from fragua_platform.jobs.engine import JobDirectory
from fragua_trainer.domain.training_spec import (
    LimitsSpec,
    LoggingSpec,
    LoraSpec,
    Optimizer,
    Precision,
    Quantization,
    TrainingSpec,
)
from fragua_trainer.training.adapter import attach_lora, layer_shapes, match_targets, with_fused_names
from fragua_trainer.training.base_model import BaseModel, empty_model, load_base_model, open_base_model
from fragua_trainer.training.chat_text import date_notice
from fragua_trainer.training.embedding_noise import add_embedding_noise
from fragua_trainer.training.examples import Dataset, Split, load_examples
from fragua_trainer.training.gpu_kernels import use_gpu_kernels
from fragua_trainer.training.hardware import available_memory, choose_precision
from fragua_trainer.training.installation import refuse_wrong_installation
from fragua_trainer.training.needs import disk_needed, memory_needed, refuse_full_disk, trainable_count
from fragua_trainer.training.optimizers import choose_optimizer
from fragua_trainer.training.quantization import choose_quantization
from fragua_trainer.training.ranks import ALONE, Ranks
from fragua_trainer.training.run import Run
from fragua_trainer.training.schedule import Plan
from fragua_trainer.training.sharding import can_shard, refuse_lonely_sharding, shard_base
from fragua_trainer.training.warm_start import check_warm_start, load_warm_start


@dataclass(frozen=True)
class Preparation:
    """A run that can begin."""

    spec: TrainingSpec
    job: JobDirectory
    device: torch.device
    base: BaseModel
    layers: PreTrainedModel
    """The base without its weights."""
    lora: LoraSpec
    """With the names that the base has."""
    targets: dict[str, int]
    dataset: Dataset
    plan: Plan
    quantization: Quantization
    optimizer: Optimizer
    precision: Precision
    trainable: int
    memory_bytes: int
    disk_bytes: int
    gradient_checkpointing: bool
    shards: int
    """Processes that the base is split over; 1 where each holds it whole."""
    notices: tuple[str, ...]
    """What was put in place of what was asked, and other things worth knowing."""

    @property
    def logging(self) -> LoggingSpec:
        """In steps of this run."""
        return self.spec.logging.in_steps(self.plan.steps_per_epoch)


def prepare(
    spec: TrainingSpec,
    job: JobDirectory,
    device: torch.device,
    tell: Callable[[str], None],
    ranks: Ranks = ALONE,
    processes: int = 1,
) -> Preparation:
    """Check the inputs and choose what the hardware calls for; everything that is wrong with them is raised at once.

    `ranks` choose together. `processes` is how many will train: more than `ranks`, where this one only estimates.
    """
    refuse_wrong_installation()
    base = open_base_model(job.inputs / "base")
    layers = empty_model(base)
    resolved = with_fused_names(layers, spec.lora)
    problems: list[InvalidInput] = []
    with _kept_in(problems):
        targets = match_targets(layers, resolved.lora)
        if spec.warm_start:
            check_warm_start(job.inputs / "adapter", resolved.lora, targets, _base_name(spec))
    with _kept_in(problems):
        quantization = choose_quantization(spec.quantization, spec.substitution, device, spec.lora.dora)
    with _kept_in(problems):
        optimizer = choose_optimizer(spec.optimizer, spec.substitution, device)
    lonely = ""
    with _kept_in(problems):
        lonely = refuse_lonely_sharding(spec, processes)
    with _kept_in(problems):
        loaded = load_examples(job.inputs / "dataset", base.chat_format(spec.schedule.max_length), tell)
    if problems:
        raise _all_of(problems)

    dataset = _limited(loaded, spec.limits)
    spec = spec.model_copy(update={"optimizer": optimizer.optimizer})
    precision = choose_precision(spec.base_precision, device, base.directory)
    trainable = trainable_count(layer_shapes(layers, targets), targets, resolved.lora)
    disk_bytes = disk_needed(spec, trainable)
    refuse_full_disk(disk_bytes, job.root)
    longest = max(len(example.tokens) for example in (*dataset.train.examples, *dataset.validation.examples))

    shards = 1

    def memory(checkpointing: bool) -> int:
        return memory_needed(
            layers, spec, quantization.quantization, precision, trainable, longest, checkpointing, device, shards
        )

    there = available_memory(device)
    if device.type == "cpu":
        there //= processes
    notices = [*resolved.notices, quantization.notice, optimizer.notice, lonely]
    whole = memory(spec.schedule.gradient_checkpointing is not False)
    if can_shard(spec, quantization.quantization, processes) and ranks.any(
        bool(spec.shard_base) or whole > there, device
    ):
        shards = processes
        notices.append(
            f"the base is split over {shards} processes: whole, each needs about {whole >> 20} MiB of memory, "
            f"and {there >> 20} MiB are free"
        )
    checkpointing = spec.schedule.gradient_checkpointing
    if checkpointing is None:
        checkpointing = ranks.any(memory(False) > there, device)
    if checkpointing and spec.schedule.gradient_checkpointing is None:
        notices.append(
            f"gradient checkpointing is on: without it the run needs about {memory(False) >> 20} MiB of memory, "
            f"and {there >> 20} MiB are free"
        )
    if memory(checkpointing) > there:
        notices.append(
            f"the run needs about {memory(checkpointing) >> 20} MiB of memory, and {there >> 20} MiB are free: "
            "quantization: bnb4, a smaller schedule.max_length and schedule.batch_size make it smaller"
        )
    if base.tokenizer.pad_token_id in base.chat_format(spec.schedule.max_length).end_of_turn:
        notices.append(
            "the tokenizer pads with the token that ends a turn: padding is told by its place, "
            "so the end of each answer stays in the loss"
        )
    notices.append(date_notice(str(base.tokenizer.get_chat_template())))
    return Preparation(
        spec=spec,
        job=job,
        device=device,
        base=base,
        layers=layers,
        lora=resolved.lora,
        targets=targets,
        dataset=dataset,
        plan=Plan(spec.schedule, len(dataset.train)),
        quantization=quantization.quantization,
        optimizer=optimizer.optimizer,
        precision=precision,
        trainable=trainable,
        memory_bytes=memory(checkpointing),
        disk_bytes=disk_bytes,
        gradient_checkpointing=checkpointing,
        shards=shards,
        notices=tuple(notice for notice in notices if notice),
    )


def begin(ready: Preparation, ranks: Ranks = ALONE) -> Run:
    """Load the base, put the adapter on it, and stand before the first step."""
    if ready.shards == 1:
        adapted = _adapted(ready, ready.device)
    else:
        # Main memory holds the base once, not once for each rank.
        with ranks.in_turn(ready.device):
            adapted = _adapted(ready, torch.device("cpu"))
            shard_base(adapted, ready.device, ranks)
    return Run.start(
        adapted,
        ready.spec.schedule,
        ready.device,
        ready.precision,
        ready.optimizer,
        ready.spec.lora.lora_plus_ratio,
        ranks,
        sharded=ready.shards > 1,
    )


def _adapted(ready: Preparation, device: torch.device) -> PeftModel:
    spec = ready.spec
    model = load_base_model(ready.base, ready.precision, device, ready.quantization)
    use_gpu_kernels(model, ready.device)
    if ready.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    add_embedding_noise(model, spec.schedule.neftune_alpha)
    adapted = attach_lora(model, ready.lora, ready.targets, spec.schedule.seed, _base_name(spec))
    if spec.warm_start:
        load_warm_start(ready.job.inputs / "adapter", adapted)
    return adapted


def _base_name(spec: TrainingSpec) -> str:
    return spec.provenance.get("base_model", "")


def _limited(dataset: Dataset, limits: LimitsSpec) -> Dataset:
    def first(split: Split, rows: int) -> Split:
        return replace(split, examples=split.examples[:rows]) if rows else split

    return Dataset(first(dataset.train, limits.train_rows), first(dataset.validation, limits.validation_rows))


@contextmanager
def _kept_in(problems: list[InvalidInput]) -> Iterator[None]:
    try:
        yield
    except InvalidInput as problem:
        problems.append(problem)


def _all_of(problems: list[InvalidInput]) -> InvalidInput:
    if len(problems) == 1:
        return problems[0]
    return InvalidInput(
        "; ".join(problem.message for problem in problems),
        violations=[violation for problem in problems for violation in problem.violations],
        failure_class=FailureClass.USER_CONFIG,
    )
