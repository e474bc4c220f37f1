"""What clients ask over the wire: every choice of the protos means something to the engine."""

import pytest

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.order_messages import filter_from_message, fix_from_message, import_from_header
from fragua_dataset.domain.profile import TextLimits
from fragua_dataset.domain.version_spec import Fixer


def read_as(options: dataset_pb2.ImportOptions) -> tuple[str, str]:
    asked = import_from_header(dataset_service_pb2.ImportDatasetHeader(options=options)).options
    return asked.shape, asked.format


@pytest.mark.parametrize("number", dataset_pb2.RowShape.values()[1:])
def test_every_shape_of_the_proto_is_one_of_the_engine(number: dataset_pb2.RowShape) -> None:
    name = dataset_pb2.RowShape.Name(number).removeprefix("ROW_SHAPE_").lower()
    assert read_as(dataset_pb2.ImportOptions(shape=number)) == (name, "auto")


@pytest.mark.parametrize("number", dataset_pb2.FileFormat.values()[1:])
def test_every_format_of_the_proto_is_one_of_the_engine(number: dataset_pb2.FileFormat) -> None:
    name = dataset_pb2.FileFormat.Name(number).removeprefix("FILE_FORMAT_").lower()
    assert read_as(dataset_pb2.ImportOptions(format=number)) == ("auto", name)


@pytest.mark.parametrize("number", dataset_pb2.Fixer.values()[1:])
def test_every_fixer_of_the_proto_is_one_of_the_engine(number: dataset_pb2.Fixer) -> None:
    name = dataset_pb2.Fixer.Name(number).removeprefix("FIXER_").lower().replace("_", "-")
    assert fix_from_message(dataset_service_pb2.FixDatasetVersionRequest(fixers=[number])).fixers == (Fixer(name),)


@pytest.mark.parametrize(("number", "evaluation"), [(0, None), (1, False), (2, True)])
def test_every_purpose_of_the_proto_is_told_from_none(
    number: dataset_pb2.DatasetPurpose, evaluation: bool | None
) -> None:
    header = dataset_service_pb2.ImportDatasetHeader(options=dataset_pb2.ImportOptions(purpose=number))
    assert import_from_header(header).options.evaluation is evaluation


def test_the_order_in_which_fixers_are_named_makes_no_other_request() -> None:
    first, second = (
        fix_from_message(dataset_service_pb2.FixDatasetVersionRequest(fixers=fixers))
        for fixers in (["FIXER_TRIM", "FIXER_PAD_IDS"], ["FIXER_PAD_IDS", "FIXER_TRIM"])
    )
    assert first == second


def test_bounds_on_characters_are_whole_numbers_within_those_that_were_asked() -> None:
    asked = dataset_pb2.RowFilter(answer_chars=dataset_pb2.Bounds(min=9.5, max=100.9))
    found = filter_from_message(dataset_service_pb2.FilterDatasetVersionRequest(filter=asked)).row_filter
    assert found.answer == TextLimits(min_chars=10, max_chars=100)
    assert found.question == TextLimits()
    assert found.min_examples == 1
