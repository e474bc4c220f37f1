"""Import options over the wire: every choice of the protos means something to the engine."""

import pytest

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.order_messages import import_from_header


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
