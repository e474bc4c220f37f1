"""Estimates over gRPC: the engine looks at the very inputs, and every problem comes back as the caller's to mend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_platform.errors import InvalidInput
from tests.integration.training_site import BASE, BRANCH, OLD, TrainingSite, training_site
from tests.tiny_models import make_tiny_phi3


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TrainingSite]:
    async with training_site(tmp_path, make_tiny_phi3(tmp_path / "base", seed=3)) as site:
        yield site


# R111, R118
async def test_an_estimate_proves_the_mask_counts_parameters_and_measures_steps(site: TrainingSite) -> None:
    estimate = await _estimate(site, measure=True, preset="tutor", schedule=trainer_pb2.Schedule(max_steps=40))

    # R48, R184: recomputed, and Phi-3's fused layers in place of the seven names.
    matched = {match.target: (match.layers, list(match.shape)) for match in estimate.targets}
    assert matched == {
        "down_proj": (2, [64, 128]),
        "gate_up_proj": (2, [256, 64]),
        "o_proj": (2, [64, 64]),
        "qkv_proj": (2, [128, 64]),
    }
    assert estimate.trainable_parameters == 2 * 16 * (64 + 128 + 256 + 64 + 64 + 64 + 128 + 64)
    assert any("q_proj, k_proj, v_proj are one layer" in notice for notice in estimate.notices)
    # R186
    assert estimate.mask.rows == estimate.mask.rows_with_end_of_turn > 0
    assert 0 < estimate.mask.shortest_answer_tokens < estimate.mask.longest_row_tokens
    assert 0 < estimate.mask.supervised_tokens < estimate.mask.tokens
    assert estimate.steps == 40
    assert estimate.seconds >= 40 * estimate.seconds_per_step > 0
    assert estimate.memory_bytes > 100 << 20


async def test_without_measuring_nothing_is_loaded_or_timed(site: TrainingSite) -> None:
    estimate = await _estimate(site, measure=False)

    assert (estimate.seconds, estimate.seconds_per_step) == (0, 0)
    assert estimate.memory_bytes > 100 << 20
    assert estimate.disk_bytes > estimate.trainable_parameters * 4


async def test_everything_that_is_wrong_comes_back_at_once(site: TrainingSite) -> None:
    with pytest.raises(InvalidInput) as refused:
        await _estimate(
            site,
            measure=True,
            lora=trainer_pb2.LoraSpec(target_modules=["q_proj", "nada"]),
            optimizer=trainer_pb2.OPTIMIZER_PAGED_ADAMW_8BIT,
            schedule=trainer_pb2.Schedule(max_length=8),
        )

    told = [f"{violation.field}: {violation.description}" for violation in refused.value.violations]
    assert any("'q_proj' matches no linear layer" in line and "are fused there" in line for line in told)
    assert any("'nada' matches no linear layer" in line for line in told)
    assert any("training_job.optimizer: paged_adamw_8bit is impossible here" in line for line in told)
    assert any("more than schedule.max_length = 8" in line for line in told)


async def test_presets_are_listed_with_their_sources(site: TrainingSite) -> None:
    answer = await site.stub.ListTrainingPresets(trainer_service_pb2.ListTrainingPresetsRequest())

    assert [preset.name for preset in answer.training_presets] == [
        "ba-cpu",
        "branch",
        "incremental",
        "qwen-3b",
        "tutor",
    ]
    assert "# R184" in answer.training_presets[-1].spec_yaml


async def _estimate(site: TrainingSite, *, measure: bool, **fields: object) -> trainer_pb2.TrainingEstimate:
    job = trainer_pb2.TrainingJob(**{"dataset_version": OLD, "base_model": BASE} | fields)  # type: ignore[arg-type]
    request = trainer_service_pb2.EstimateTrainingJobRequest(parent=BRANCH, training_job=job, measure=measure)
    estimate: trainer_pb2.TrainingEstimate = await site.stub.EstimateTrainingJob(request)
    return estimate
