"""A machine that cannot hold the reference is told so before anything is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped]
import pytest

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.memory import available_memory, check_memory
from fragua_platform.errors import LimitExceeded

GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    memory = SimpleNamespace(available=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    return memory


def limit_container(group: Path, limit: str, used: int, files: int) -> None:
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon {used - files}\ninactive_file {files}\n")


def test_a_machine_without_room_for_the_reference_is_named_with_what_it_takes(
    base: Path, machine: SimpleNamespace
) -> None:
    plan = plan_model(open_checkpoint(base))
    check_memory(plan)
    machine.available = 1000
    with pytest.raises(LimitExceeded, match=r"GB of memory and 0\.0 GB are free; give the worker more") as refused:
        check_memory(plan)
    assert refused.value.reason == "OUT_OF_MEMORY"


def test_a_container_has_what_its_limit_leaves_and_what_it_only_read_from_files(
    machine: SimpleNamespace, tmp_path: Path
) -> None:
    assert available_memory(tmp_path) == 8 * GIB
    limit_container(tmp_path, "max", used=GIB, files=0)
    assert available_memory(tmp_path) == 8 * GIB
    limit_container(tmp_path, str(4 * GIB), used=3 * GIB, files=2 * GIB)
    assert available_memory(tmp_path) == 3 * GIB
    limit_container(tmp_path, str(GIB), used=2 * GIB, files=0)
    assert available_memory(tmp_path) == 0
