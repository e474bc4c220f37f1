"""Between the protos of `fragua.dataset.v1` and the service's own data."""

from __future__ import annotations

from typing import Any

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application import ImportRequest, version_state
from fragua_dataset.domain.dataset import Branch, ImportOrder
from fragua_dataset.domain.problems import Problem
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.work import bundle_of, findings_of
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message

_SHAPES: dict[dataset_pb2.RowShape, Any] = {
    dataset_pb2.ROW_SHAPE_UNSPECIFIED: "auto",
    dataset_pb2.ROW_SHAPE_ALPACA: "alpaca",
    dataset_pb2.ROW_SHAPE_MESSAGES: "messages",
    dataset_pb2.ROW_SHAPE_PROMPT_COMPLETION: "prompt_completion",
    dataset_pb2.ROW_SHAPE_SHAREGPT: "sharegpt",
    dataset_pb2.ROW_SHAPE_MULTIPLE_CHOICE: "multiple_choice",
}
_FORMATS: dict[dataset_pb2.FileFormat, Any] = {
    dataset_pb2.FILE_FORMAT_UNSPECIFIED: "auto",
    dataset_pb2.FILE_FORMAT_JSONL: "jsonl",
    dataset_pb2.FILE_FORMAT_JSON: "json",
    dataset_pb2.FILE_FORMAT_CSV: "csv",
}


def import_from_header(header: dataset_service_pb2.ImportDatasetHeader) -> ImportRequest:
    options = header.options
    given: dict[str, Any] = {}
    if options.HasField("validation_fraction"):
        given["validation_fraction"] = options.validation_fraction
    if options.group_field:
        given["group_field"] = options.group_field
    return ImportRequest(
        dataset=header.parent,
        request_id=header.request_id,
        filename=header.filename,
        spec=VersionSpec(
            format=_FORMATS[options.format], shape=_SHAPES[options.shape], split_seed=options.split_seed, **given
        ),
        size=header.size_bytes if header.HasField("size_bytes") else None,
        sha256=header.sha256,
    )


def branch_to_message(branch: Branch) -> dataset_pb2.Branch:
    return dataset_pb2.Branch(name=branch.name, display_name=branch.display_name, create_time=branch.created)


def version_to_message(job: Job) -> dataset_pb2.DatasetVersion:
    order, findings, bundle = ImportOrder.model_validate(job.spec), findings_of(job), bundle_of(job)
    spec = order.spec
    return dataset_pb2.DatasetVersion(
        name=job.name,
        state=f"DATASET_VERSION_STATE_{version_state(job).value}",
        status=status_to_message(job),
        source_filename=order.filename,
        source_sha256=order.source_sha256,
        source_size_bytes=order.source_size,
        options=dataset_pb2.ImportOptions(
            shape=next(number for number, shape in _SHAPES.items() if shape == spec.shape),
            validation_fraction=spec.validation_fraction,
            split_seed=spec.split_seed,
            group_field=spec.group_field,
            format=next(number for number, name in _FORMATS.items() if name == spec.format),
        ),
        row_count=findings.train_rows + findings.validation_rows,
        train_row_count=findings.train_rows,
        validation_row_count=findings.validation_rows,
        problem_count=findings.problems,
        bundle=bundle_to_message(bundle) if bundle else None,
    )


def problem_to_message(problem: Problem) -> dataset_pb2.DatasetProblem:
    return dataset_pb2.DatasetProblem(
        line=problem.line or 0,
        pointer=problem.pointer,
        code=problem.code.value,
        message=problem.message,
        hint=problem.hint,
        severity=f"PROBLEM_SEVERITY_{problem.severity.value}",
    )
