"""A run that is saved, restored and continued, in one process."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch

from fragua_platform.errors import Corrupted, InvalidInput
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from fragua_trainer.domain.training_spec import LoggingSpec, LoraSpec, Precision, ScheduleSpec
from fragua_trainer.training.adapter import attach_lora, match_targets, trainable_parameters
from fragua_trainer.training.base_model import load_base_model, open_base_model
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.examples import Dataset, Split
from fragua_trainer.training.journal import Journal
from fragua_trainer.training.loop import train
from fragua_trainer.training.progress import Progress
from fragua_trainer.training.run import Run
from fragua_trainer.training.schedule import Plan
from tests.tiny_models import make_tiny_llama

CPU = torch.device("cpu")
EXAMPLES = [Example([2, *range(10 + n, 20 + n)], [IGNORED] * 4 + list(range(13 + n, 20 + n))) for n in range(6)]
DATASET = Dataset(Split(EXAMPLES, "train digest"), Split(EXAMPLES[:2], "validation digest"))
SCHEDULE = ScheduleSpec(max_steps=6, batch_size=2, learning_rate=1e-2)
EVERY_STEP = LoggingSpec(log_steps=1, save_steps=2, eval_steps=1)


class StopAt(StringIO):
    """The records of a run, and somebody who asks it to stop as soon as one of them holds `text`."""

    def __init__(self, text: str = "never") -> None:
        super().__init__()
        self.reporter = Reporter(self)
        self._text = text

    def write(self, line: str) -> int:
        if self._text in line:
            self.reporter.request_stop()
        return super().write(line)


class Engine:
    """The joints of a run without its inputs' files."""

    def __init__(self, directory: Path, run: Run, records: StopAt, fingerprint: str = "same", keep: int = 9) -> None:
        self.job = JobDirectory(directory)
        self.job.outputs.mkdir(parents=True)
        self.journal = Journal(self.job.outputs)
        self.run = run
        self.checkpoints = Checkpoints(self.job, records.reporter, {"schedule": fingerprint}, self.journal.files, keep)
        self._plan = Plan(SCHEDULE, len(EXAMPLES))
        self._reporter = records.reporter

    def train(self) -> None:
        progress = Progress(self._reporter, self._plan, self.journal, self.run.state)
        with self.checkpoints:
            train(self.run, DATASET, self._plan, EVERY_STEP, self.checkpoints, progress)

    @property
    def losses(self) -> list[dict[str, float]]:
        rows = self.journal.rows()
        return [{key: row[key] for key in row if "loss" in key or key == "step"} for row in rows]

    @property
    def adapter(self) -> list[float]:
        weights = [parameter.detach().flatten() for _, parameter in trainable_parameters(self.run.model)]
        return [float(weight) for weight in torch.cat(weights)]


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], Run]:
    torch.set_num_threads(1)
    base = open_base_model(make_tiny_llama(tmp_path / "base", seed=1))

    def start() -> Run:
        lora = LoraSpec(rank=2, dropout=0.3)
        model = load_base_model(base, Precision.FP32, CPU)
        return Run.start(attach_lora(model, lora, match_targets(model, lora), 7, ""), SCHEDULE, CPU, Precision.FP32)

    return start


def test_a_stop_during_validation_leaves_it_for_the_resumed_run(tmp_path: Path, new_run: Callable[[], Run]) -> None:
    unbroken = Engine(tmp_path / "unbroken", new_run(), StopAt())
    unbroken.train()

    stopped = Engine(tmp_path / "stopped", new_run(), StopAt("step 3/6 · loss"))
    with pytest.raises(Interrupted):
        stopped.train()
    resumed = Engine(tmp_path / "resumed", new_run(), StopAt())
    resumed.checkpoints.restore(resumed.run, stopped.job.checkpoints / "step-3")
    resumed.train()

    assert "validation_loss" not in stopped.losses[-1]
    assert resumed.losses == unbroken.losses
    assert resumed.adapter == unbroken.adapter


def test_a_stop_without_a_new_step_saves_nothing(tmp_path: Path, new_run: Callable[[], Run]) -> None:
    records = StopAt()
    records.reporter.request_stop()
    engine = Engine(tmp_path / "stopped", new_run(), records)

    with pytest.raises(Interrupted):
        engine.train()

    assert records.getvalue() == ""
    assert not engine.job.checkpoints.exists()


def test_a_checkpoint_of_another_run_is_refused_by_what_differs(tmp_path: Path, new_run: Callable[[], Run]) -> None:
    first = Engine(tmp_path / "first", new_run(), StopAt())
    first.train()
    other = Engine(tmp_path / "other", new_run(), StopAt(), fingerprint="other")

    with pytest.raises(InvalidInput, match="saved by another run: schedule differ") as refused:
        other.checkpoints.restore(other.run, first.job.checkpoints / "step-2")

    assert refused.value.violations[0].field == "schedule"


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "metrics.jsonl", "training.log"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-40])])
def test_a_damaged_checkpoint_is_refused(
    tmp_path: Path, new_run: Callable[[], Run], file: str, damage: Callable[[Path], None]
) -> None:
    first = Engine(tmp_path / "first", new_run(), StopAt())
    first.train()
    checkpoint = first.job.checkpoints / "step-4"
    damage(checkpoint / file)
    resumed = Engine(tmp_path / "resumed", new_run(), StopAt())

    with pytest.raises(Corrupted, match="not a whole checkpoint"):
        resumed.checkpoints.restore(resumed.run, checkpoint)


def test_an_unfinished_checkpoint_is_never_seen_under_its_name(
    tmp_path: Path, new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = StopAt()
    engine = Engine(tmp_path / "full disk", new_run(), records)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fragua_trainer.training.checkpoint.save_file", full_disk)
    engine.checkpoints.save(engine.run)
    with pytest.raises(OSError, match="No space left"):
        engine.checkpoints.finish()

    assert not list(engine.job.checkpoints.glob("step-*"))
    assert "checkpoint" not in records.getvalue()
