"""What a run writes down, read back by the programs that people read it with."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]

from fragua_platform.jobs.engine import Reporter
from fragua_trainer.domain.training_spec import ScheduleSpec
from fragua_trainer.training.journal import Journal
from fragua_trainer.training.progress import Progress
from fragua_trainer.training.run import Measured, RunState, Window
from fragua_trainer.training.schedule import Plan


def scalars(logs: Path) -> list[tuple[str, int, float]]:
    """Of the one event file in `logs`, in its format: length, checksum, event, checksum."""
    (file,) = logs.glob("events.out.tfevents.*")
    found = []
    for event in _events(file.read_bytes()):
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def _events(stored: bytes) -> Iterator[Event]:
    while stored:
        length = int.from_bytes(stored[:8], "little")
        yield Event.FromString(stored[12 : 12 + length])
        stored = stored[12 + length + 4 :]


# R115, R150
def test_tensorboard_finds_every_measured_value_and_after_a_resume_those_before(tmp_path: Path) -> None:
    first = Journal(tmp_path / "first")
    first.measured(10, {"loss": 2.5, "learning_rate": 0.25})
    first.close()
    second = Journal(tmp_path / "second")
    second.metrics_file.write_bytes(first.metrics_file.read_bytes())
    second.measured(20, {"loss": 1.5})
    second.close()

    assert sorted(scalars(tmp_path / "first/logs")) == [("learning_rate", 10, 0.25), ("loss", 10, 2.5)]
    assert sorted(scalars(tmp_path / "second/logs")) == [
        ("learning_rate", 10, 0.25), ("loss", 10, 2.5), ("loss", 20, 1.5),
    ]  # fmt: skip
    assert second.losses() == [2.5, 1.5]


# R116, R119, R150
def test_the_line_tells_how_far_the_run_is_and_how_long_it_still_takes(tmp_path: Path) -> None:
    now = 0.0
    records = StringIO()
    journal = Journal(tmp_path)
    plan = Plan(ScheduleSpec(epochs=3, batch_size=4), example_count=48)
    state = RunState(step=17, validation=Measured(first=2, last=1.25, best=1.25, best_step=12), training_seconds=17)
    progress = Progress(Reporter(records), plan, journal, state, eval_steps=12, clock=lambda: now)

    progress.step_begins()
    now += 450
    progress.within_step(state, done=1, total=2)
    now += 450
    state.step, state.window = 18, Window(loss_sum=30, supervised_tokens=20, tokens=9000, seconds=900)
    progress.step_done(state, learning_rate=1e-4, grad_norm=1.0, log=True)
    journal.close()

    assert "step 18/36, 1/2 micro-batches done · ETA 4 h 37 min" in records.getvalue()
    line = "epoch 2/3 · step 18/36 · loss 1.500 · val loss 1.250 · 10 tok/s · ETA 4 h 30 min"
    assert line in records.getvalue()
    (logged,) = journal.log_file.read_text("utf-8").splitlines()
    assert logged.endswith(f"+00:00 {line}")
    assert journal.rows()[0]["memory_bytes"] > 10_000_000


def test_a_loss_that_does_not_move_is_told_once(tmp_path: Path) -> None:
    records = StringIO()
    journal = Journal(tmp_path)
    state = RunState()
    progress = Progress(Reporter(records), Plan(ScheduleSpec(max_steps=20), 48), journal, state)

    for step in range(1, 13):
        state.step, state.window = step, Window(loss_sum=30, supervised_tokens=20, tokens=90, seconds=1)
        progress.step_done(state, learning_rate=1e-4, grad_norm=0.0, log=True)
    journal.close()

    assert records.getvalue().count("the loss does not move") == 1
    assert journal.log_file.read_text("utf-8").count("the loss does not move") == 1
