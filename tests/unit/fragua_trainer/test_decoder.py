"""The fast forward pass, held against transformers and PEFT on every architecture that it knows."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from fragua_trainer.domain.training_spec import Precision, ScheduleSpec
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.attention import PRODUCTS_UP_TO
from fragua_trainer.training.batch import IGNORED, Batch, Example
from fragua_trainer.training.decoder import packed_decoder
from fragua_trainer.training.loop import summed_loss, take_step
from fragua_trainer.training.packing import WORTH_SHARING, Pack
from fragua_trainer.training.products import Library
from fragua_trainer.training.run import Run
from tests.tiny_models import strengthen

CPU = torch.device("cpu")
SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES: dict[str, Callable[..., PretrainedConfig]] = {
    "llama": LlamaConfig,
    "llama with scaled positions": lambda **shape: LlamaConfig(
        **shape,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "llama with biases": lambda **shape: LlamaConfig(**shape, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "phi3": Phi3Config,
}


def example(length: int, prompt: int, seed: int) -> Example:
    draw = random.Random(seed)
    tokens = [draw.randrange(3, 300) for _ in range(length)]
    return Example(tokens, [IGNORED] * prompt + tokens[prompt:])


# Attention takes one block of queries, several, and the kernel for long rows.
EXAMPLES = [example(PRODUCTS_UP_TO + 60, 20, 1), example(300, 250, 2), example(21, 5, 3), example(9, 3, 4)]


def adapted(
    config: PretrainedConfig, dtype: torch.dtype = torch.float32, strong: bool = True, **lora: Any
) -> PeftModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    if strong:
        strengthen(model, 0)
    settings: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
    } | lora
    peft_model = get_peft_model(model.to(dtype), LoraConfig(**settings))
    assert isinstance(peft_model, PeftModel)
    for _, parameter in trainable_parameters(peft_model):
        parameter.data = torch.randn(parameter.shape) * 0.05  # B is 0 at first, and then A has no gradient
    return peft_model


def new_run(model: PeftModel, precision: Precision = Precision.FP32, **schedule: Any) -> Run:
    torch.set_num_threads(1)
    return Run.start(model, ScheduleSpec(**schedule), CPU, precision)


def loss_and_gradient(run: Run, examples: list[Example]) -> tuple[float, torch.Tensor]:
    run.model.train()
    loss = 0.0
    for batch in run.arrange([examples]):
        summed = summed_loss(run, batch) / sum(label != IGNORED for row in examples for label in row.labels[1:])
        summed.backward()
        loss += summed.item()
    gradients = [parameter.grad for _, parameter in trainable_parameters(run.model) if parameter.grad is not None]
    assert len(gradients) == len(trainable_parameters(run.model))
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


def hold_against_plain(packed: Run, plain: Run, tolerance: float, examples: list[Example] = EXAMPLES) -> None:
    assert packed.decoder is not None, packed.why_plain
    assert all(isinstance(batch, Pack) for batch in packed.arrange([examples]))
    plain.decoder = None
    assert all(isinstance(batch, Batch) for batch in plain.arrange([examples]))
    (loss, gradient), (plain_loss, plain_gradient) = (loss_and_gradient(run, examples) for run in (packed, plain))
    assert loss == pytest.approx(plain_loss, rel=tolerance)
    assert gradient.norm().item() == pytest.approx(plain_gradient.norm().item(), rel=tolerance)
    assert (gradient - plain_gradient).norm() <= 30 * tolerance * plain_gradient.norm()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_rows_have_the_loss_and_gradient_of_rows_side_by_side(architecture: str) -> None:
    config = ARCHITECTURES[architecture](**SHAPE)

    hold_against_plain(new_run(adapted(config)), new_run(adapted(config)), 1e-4)


@pytest.mark.parametrize("library", [Library.TORCH, Library.WIDENED])
@pytest.mark.parametrize("dora", [False, True])
def test_bf16_comes_as_near_to_the_exact_loss_and_gradient_as_plain_bf16(library: Library, dora: bool) -> None:
    def of_usual_weights(dtype: torch.dtype) -> PeftModel:
        model = adapted(LlamaConfig(**SHAPE | {"hidden_size": 256}), torch.bfloat16, strong=False, use_dora=dora).to(
            dtype
        )
        for _, parameter in trainable_parameters(model):
            parameter.data = parameter.data.float()
        return model

    packed, plain = (new_run(of_usual_weights(torch.bfloat16), Precision.BF16) for _ in range(2))
    exact = new_run(of_usual_weights(torch.float32))
    assert packed.decoder is not None
    packed.decoder.products.library = library
    plain.decoder = exact.decoder = None
    results = {
        name: loss_and_gradient(run, EXAMPLES) for name, run in (("packed", packed), ("plain", plain), ("exact", exact))
    }
    loss, gradient = results["exact"]
    distances = {name: (found - gradient).norm() / gradient.norm() for name, (_, found) in results.items()}

    assert results["packed"][0] == pytest.approx(loss, rel=1e-3)
    assert results["packed"][0] == pytest.approx(results["plain"][0], rel=1e-3)
    assert results["packed"][1].norm().item() == pytest.approx(gradient.norm().item(), rel=2e-3)
    assert distances["packed"] <= 1.2 * distances["plain"]


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["q_proj", "v_proj", "down_proj"]},
        {"use_dora": True},
        {"use_rslora": True},
        {"bias": "lora_only"},
        {"r": 2, "rank_pattern": {"k_proj": 6}, "alpha_pattern": {"up_proj": 32}},
    ],
    ids=lambda lora: next(iter(lora)),
)
def test_every_kind_of_adapter_has_the_same_loss_and_gradient(lora: dict[str, Any]) -> None:
    config = LlamaConfig(**SHAPE, attention_bias="bias" in lora)

    hold_against_plain(new_run(adapted(config, **lora)), new_run(adapted(config, **lora)), 1e-4)


# One of them is short, one takes several blocks of queries, and one the kernel for long rows.
@pytest.mark.parametrize("shared", [WORTH_SHARING, 150])
def test_a_shared_beginning_changes_neither_loss_nor_gradient(shared: int) -> None:
    beginning = example(shared, shared, 9).tokens
    rows = [
        Example([*beginning, *row.tokens], [IGNORED] * shared + row.labels)
        for row in EXAMPLES
        if row is not EXAMPLES[1]
    ]
    packed, plain = new_run(adapted(Qwen3Config(**SHAPE))), new_run(adapted(Qwen3Config(**SHAPE)))
    (pack,) = packed.arrange([rows])
    assert isinstance(pack, Pack)
    assert pack.shared >= shared

    hold_against_plain(packed, plain, 1e-4, rows)


def test_activation_checkpointing_changes_nothing() -> None:
    saving, plain = adapted(LlamaConfig(**SHAPE)), adapted(LlamaConfig(**SHAPE))
    base: Any = saving.get_base_model()
    base.gradient_checkpointing_enable()

    hold_against_plain(new_run(saving), new_run(plain), 1e-4)


def test_onednn_multiplies_to_the_same_loss_and_gradient() -> None:
    packed, plain = new_run(adapted(LlamaConfig(**SHAPE))), new_run(adapted(LlamaConfig(**SHAPE)))
    assert packed.decoder is not None
    packed.decoder.products.library = Library.ONEDNN

    hold_against_plain(packed, plain, 1e-4)


def test_an_example_is_not_touched_by_the_others_in_its_pack() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE)))
    with torch.no_grad():
        alone = [summed_loss(run, batch).item() for row in EXAMPLES[1:] for batch in run.arrange([[row]])]
        (together,) = (summed_loss(run, batch).item() for batch in run.arrange([EXAMPLES[1:]]))

    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_dropout_leaves_the_loss_right_on_average_and_draws_anew_with_each_seed() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE), lora_dropout=0.25))
    without = new_run(adapted(LlamaConfig(**SHAPE)))

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return loss_and_gradient(run, EXAMPLES[1:])[0]

    losses = [loss(seed) for seed in range(20)]

    assert loss(3) == losses[3]
    assert len(set(losses)) == 20
    assert sum(losses) / 20 == pytest.approx(loss_and_gradient(without, EXAMPLES[1:])[0], rel=0.02)


def test_dropout_has_the_gradient_of_the_loss_that_it_drew() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE), lora_dropout=0.25))
    parameters = [parameter for _, parameter in trainable_parameters(run.model)]
    torch.manual_seed(5)
    _, gradient = loss_and_gradient(run, EXAMPLES[2:])
    direction = gradient / gradient.norm()

    def loss_at(distance: float) -> float:
        with torch.no_grad():
            parts = direction.split([parameter.numel() for parameter in parameters])
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.add_(part.view_as(parameter), alpha=distance)
        torch.manual_seed(5)
        return loss_and_gradient(run, EXAMPLES[2:])[0]

    rise = (loss_at(1e-3) - loss_at(-2e-3)) / 2e-3
    assert rise == pytest.approx(gradient.norm().item(), rel=0.02)


def test_the_base_is_not_in_memory_twice() -> None:
    model = adapted(LlamaConfig(**SHAPE))
    assert new_run(model).decoder is not None
    base: Any = model.get_base_model()
    attention = base.model.layers[0].self_attn

    storages = {
        getattr(attention, name).base_layer.weight.untyped_storage().data_ptr()
        for name in ("q_proj", "k_proj", "v_proj")
    }

    assert len(storages) == 1


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (Gemma2Config(**SHAPE), "models of type gemma2"),
        (LlamaConfig(**SHAPE, hidden_act="gelu"), "gelu, not silu"),
        (LlamaConfig(**SHAPE, attention_dropout=0.1), "dropout in its attention"),
        (Phi3Config(**SHAPE | {"partial_rotary_factor": 0.5}), "a part of each head"),
        (LlamaConfig(**SHAPE, rope_parameters={"rope_type": "dynamic", "factor": 2.0}), "of type dynamic"),
    ],
)
def test_models_of_another_structure_take_the_plain_path_and_train(config: PretrainedConfig, reason: str) -> None:
    run = new_run(adapted(config))

    assert run.decoder is None
    assert reason in run.why_plain
    batches = run.arrange([EXAMPLES[2:]])
    assert take_step(run, batches, 1e-2).loss > take_step(run, batches, 1e-2).loss


def test_weights_trained_beside_the_projections_take_the_plain_path() -> None:
    model = adapted(LlamaConfig(**SHAPE), modules_to_save=["norm"])

    assert packed_decoder(model, CPU) == "weights beside the projections are trained"


def test_rows_beyond_a_sliding_window_take_the_plain_path_with_its_mask() -> None:
    run = new_run(adapted(MistralConfig(**SHAPE, sliding_window=32)))

    assert all(isinstance(batch, Pack) for batch in run.arrange([EXAMPLES[2:]]))
    assert all(isinstance(batch, Batch) for batch in run.arrange([EXAMPLES[1:]]))


def test_packing_can_be_turned_off() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE)), packing=False)

    assert (run.decoder, run.why_plain) == (None, "schedule.packing is off")


def test_packs_stay_within_what_a_micro_batch_may_hold() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE)), batch_size=1, max_length=32)

    assert [batch.token_count for batch in run.arrange([[row] for row in EXAMPLES[2:]])] == [30]
    assert [batch.token_count for batch in run.arrange([[EXAMPLES[1]], [EXAMPLES[2]]])] == [300, 21]


def test_a_resumed_run_multiplies_by_the_library_that_it_began_with() -> None:
    run = new_run(adapted(LlamaConfig(**SHAPE)))
    assert run.decoder is not None
    run.keep_library()
    assert run.state.products is run.decoder.products.library

    run.state = run.state.model_copy(update={"products": Library.ONEDNN})
    run.keep_library()

    assert run.decoder.products.library is Library.ONEDNN
