"""Messages are held against the rules of their protos, with a readable place for each broken one."""

from __future__ import annotations

import time

import pytest

from fragua.dataset.v1 import dataset_service_pb2
from fragua.trainer.v1 import trainer_service_pb2
from fragua_platform.errors import InvalidInput
from fragua_platform.grpc.validation import check_message


def test_a_good_message_passes_through() -> None:
    request = dataset_service_pb2.CreateBranchRequest(branch_id="antropologia", display_name="Antropología")
    assert check_message(request) is request


def test_places_name_nested_fields_and_items() -> None:
    request = trainer_service_pb2.CreateTrainingJobRequest(parent="branches/tutor", request_id="r1")
    request.training_job.lora.target_modules.extend(["q_proj", "ñ"])
    with pytest.raises(InvalidInput) as refused:
        check_message(request)
    fields = [violation.field for violation in refused.value.violations]
    assert "training_job.base_model" in fields
    assert "training_job.lora.target_modules[1]" in fields


def test_the_message_alone_tells_the_first_problem_and_how_many_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"the request has 2 problems; the first: branch_id: does not match"):
        check_message(dataset_service_pb2.CreateBranchRequest(branch_id="", display_name="x" * 121))


def test_an_empty_message_is_told_what_it_lacks() -> None:
    with pytest.raises(InvalidInput, match=r"^payload: exactly one field is required in oneof$"):
        check_message(dataset_service_pb2.ImportDatasetRequest())


def test_checking_a_chunk_costs_next_to_nothing() -> None:
    chunk = dataset_service_pb2.ImportDatasetRequest(chunk=bytes(1024 * 1024))
    check_message(chunk)
    started = time.process_time()
    for _ in range(100):
        check_message(chunk)
    # 0.02 ms each where this was written; parsing the message costs more. The bound leaves room for slow machines.
    assert (time.process_time() - started) / 100 < 0.002
