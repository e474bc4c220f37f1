"""The state of one training run: everything that changes from step to step and that a resumed run needs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from peft import PeftModel
from pydantic import BaseModel, ConfigDict

from fragua_trainer.domain.training_spec import Optimizer, Precision, ScheduleSpec
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.batch import Batch, Example, collate
from fragua_trainer.training.decoder import PackedDecoder, packed_decoder
from fragua_trainer.training.hardware import weights_type
from fragua_trainer.training.optimizers import make_optimizer
from fragua_trainer.training.packing import PACK_TOKENS, Pack, pack
from fragua_trainer.training.products import Library
from fragua_trainer.training.ranks import ALONE, Ranks
from fragua_trainer.training.sharding import idle_batches


class Window(BaseModel):
    """Sums over the steps since the last logged one."""

    model_config = ConfigDict(extra="forbid")

    loss_sum: float = 0.0
    supervised_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """Mean over supervised tokens, so that a long answer weighs as much as its tokens do."""
        return self.loss_sum / self.supervised_tokens

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


class Measured(BaseModel):
    """A loss as it was measured over the run."""

    model_config = ConfigDict(extra="forbid")

    first: float
    last: float
    best: float
    best_step: int

    @classmethod
    def extend(cls, former: Measured | None, value: float, step: int) -> Measured:
        if former is None:
            return cls(first=value, last=value, best=value, best_step=step)
        if value < former.best:
            return cls(first=former.first, last=value, best=value, best_step=step)
        return former.model_copy(update={"last": value})


class Best(BaseModel):
    """The best measurement of what early stopping watches."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    value: float
    step: int


class RunState(BaseModel):
    """Where the run stands after `step` optimizer steps. The data position and learning rate follow from the step."""

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    window: Window = Window()
    loss: Measured | None = None
    validation: Measured | None = None
    evaluated_step: int = 0
    """The last step whose validation is complete."""
    best: Best | None = None
    stale: int = 0
    """Measurements since then that were no improvement."""
    training_seconds: float = 0.0
    """Time spent in optimizer steps, over all attempts."""
    tokens: int = 0
    """Tokens trained on, without padding, over all attempts."""
    products: Library | None = None
    """What multiplies matrices in this run. Kept, because another library rounds in another way."""


@dataclass
class Run:
    """A model in training."""

    model: PeftModel
    optimizer: torch.optim.Optimizer
    device: torch.device
    precision: Precision
    decoder: PackedDecoder | None
    """The fast way to the loss, where there is one."""
    why_plain: str
    """Why there is none; empty where there is."""
    pack_tokens: int
    ranks: Ranks = ALONE
    """The processes that take the steps together; this one's part."""
    sharded: bool = False
    """Whether the base is split over the ranks: then none of them can pass through the model alone."""
    best_adapter: dict[str, torch.Tensor] | None = None
    """Its weights when `state.best` was measured, if the run may stop for that; never written to."""
    state: RunState = field(default_factory=RunState)

    @classmethod
    def start(
        cls,
        model: PeftModel,
        schedule: ScheduleSpec,
        device: torch.device,
        precision: Precision,
        optimizer: Optimizer = Optimizer.ADAMW,
        lora_plus_ratio: float = 1.0,
        ranks: Ranks = ALONE,
        sharded: bool = False,
    ) -> Run:
        made = make_optimizer(trainable_parameters(model), schedule, optimizer, lora_plus_ratio)
        if not schedule.packing:
            found: PackedDecoder | str = "schedule.packing is off"
        elif schedule.neftune_alpha:
            found = "the noise of schedule.neftune_alpha depends on the length of the sequence"
        elif sharded:
            found = "the base is split over the processes"
        else:
            found = packed_decoder(model, device)
        decoder, why_plain = (None, found) if isinstance(found, str) else (found, "")
        # Never more at once than the rows of one micro-batch could be.
        pack_tokens = min(PACK_TOKENS, schedule.batch_size * schedule.max_length)
        return cls(model, made, device, precision, decoder, why_plain, pack_tokens, ranks, sharded)

    def keep_library(self) -> None:
        """Multiply by the library that this run began with, on whatever machine that was; or begin with one."""
        if self.decoder is None:
            return
        self.state.products = self.state.products or self.decoder.products.library
        self.decoder.products.library = self.state.products

    def share(self, micro_batches: Sequence[Sequence[Example]]) -> Sequence[Sequence[Example]]:
        """This rank's rows of a step, in micro-batches of the same size. Ranks get rows of like length."""
        if self.ranks.count == 1:
            return micro_batches
        size = max(len(examples) for examples in micro_batches)
        rows = [example for examples in micro_batches for example in examples]
        mine = self.ranks.share(sorted(rows, key=lambda example: len(example.tokens)))
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def in_company(self, batches: Sequence[Batch | Pack]) -> Sequence[Batch | Pack]:
        """This rank's batches, and where the base is split what it computes along with ranks that have more."""
        if not self.sharded:
            return batches
        return [*batches, *idle_batches(len(batches), self.ranks, self.device)]

    def arrange(self, micro_batches: Sequence[Sequence[Example]]) -> Sequence[Batch | Pack]:
        """The same examples in the order and shape that the model computes them fastest in."""
        examples = [example for examples in micro_batches for example in examples]
        if not examples:
            return []  # a rank of a step that has fewer rows than there are ranks
        if self.decoder is None or not self.decoder.takes(examples):
            return [collate(examples) for examples in micro_batches]
        return pack(examples, self.pack_tokens)

    def autocast(self) -> torch.autocast:
        """Frozen weights in bf16 multiply in bf16; adapters keep their own weights and gradients in fp32."""
        return torch.autocast(self.device.type, weights_type(self.precision), enabled=self.precision is Precision.BF16)
