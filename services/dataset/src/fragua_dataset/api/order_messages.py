"""Between what clients may ask of a version and the service's own data: import options, fixers, filters."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import ValidationError

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application.derivations import Filter, Fix, Merge, Split
from fragua_dataset.application.imports import ImportRequest
from fragua_dataset.application.uploads import Announcement
from fragua_dataset.domain.selection import RowFilter
from fragua_dataset.domain.version_order import TokenizerUse, VersionOptions, VersionOrder
from fragua_dataset.domain.version_spec import Fixer
from fragua_platform.errors import InvalidInput, Violation

_SHAPES: dict[dataset_pb2.RowShape, Any] = {
    dataset_pb2.ROW_SHAPE_UNSPECIFIED: "auto",
    dataset_pb2.ROW_SHAPE_ALPACA: "alpaca",
    dataset_pb2.ROW_SHAPE_MESSAGES: "messages",
    dataset_pb2.ROW_SHAPE_PROMPT_COMPLETION: "prompt_completion",
    dataset_pb2.ROW_SHAPE_SHAREGPT: "sharegpt",
    dataset_pb2.ROW_SHAPE_MULTIPLE_CHOICE: "multiple_choice",
    dataset_pb2.ROW_SHAPE_REQUIREMENTS: "requirements",
}
_FORMATS: dict[dataset_pb2.FileFormat, Any] = {
    dataset_pb2.FILE_FORMAT_UNSPECIFIED: "auto",
    dataset_pb2.FILE_FORMAT_JSONL: "jsonl",
    dataset_pb2.FILE_FORMAT_JSON: "json",
    dataset_pb2.FILE_FORMAT_CSV: "csv",
    dataset_pb2.FILE_FORMAT_PARQUET: "parquet",
}


_PURPOSES: dict[dataset_pb2.DatasetPurpose, bool | None] = {
    dataset_pb2.DATASET_PURPOSE_UNSPECIFIED: None,
    dataset_pb2.DATASET_PURPOSE_TRAINING: False,
    dataset_pb2.DATASET_PURPOSE_EVALUATION: True,
}
_FIXERS = {
    dataset_pb2.FIXER_PAD_IDS: Fixer.PAD_IDS,
    dataset_pb2.FIXER_YAML_STRINGS: Fixer.YAML_STRINGS,
    dataset_pb2.FIXER_REPAIR_MOJIBAKE: Fixer.REPAIR_MOJIBAKE,
    dataset_pb2.FIXER_TRIM: Fixer.TRIM,
    dataset_pb2.FIXER_DROP_DUPLICATES: Fixer.DROP_DUPLICATES,
}
_DEFAULT_FRACTION = 0.2
_NO_NAME = re.compile(r"[/\\\x00-\x1f\x7f]")
"""A name is only shown, but to people and programs who may take it for a path."""


def import_from_header(header: dataset_service_pb2.ImportDatasetHeader) -> ImportRequest:
    if _NO_NAME.search(header.filename):
        problem = Violation("header.filename", "is a path or holds control characters; give the file's name alone")
        raise InvalidInput(f"header.filename {problem.description}", violations=[problem])
    return ImportRequest(
        dataset=header.parent,
        request_id=header.request_id,
        filename=header.filename,
        options=options_from_message(header.options),
    )


def announcement_from_header(header: dataset_service_pb2.ImportDatasetHeader) -> Announcement:
    return Announcement(
        dataset=header.parent,
        request_id=header.request_id,
        size=header.size_bytes if header.HasField("size_bytes") else None,
        sha256=header.sha256,
        resumable=header.resumable,
        offset=header.offset,
    )


def import_from_object(request: dataset_service_pb2.ImportDatasetObjectRequest) -> ImportRequest:
    return ImportRequest(
        dataset=request.parent,
        request_id=request.request_id,
        filename=request.object_uri.rpartition("/")[2][:255],
        options=options_from_message(request.options),
    )


def options_from_message(options: dataset_pb2.ImportOptions) -> VersionOptions:
    return VersionOptions(
        format=_FORMATS[options.format],
        shape=_SHAPES[options.shape],
        validation_fraction=options.validation_fraction if options.HasField("validation_fraction") else None,
        split_seed=options.split_seed,
        group_field=options.group_field,
        stratum_field=options.stratum_field,
        profile=options.profile,
        profile_yaml=options.profile_yaml,
        evaluation=_PURPOSES[options.purpose],
        tokenizers=tuple(
            TokenizerUse(base_model=use.base_model, max_length=use.max_length) for use in options.tokenizers
        ),
    )


def options_to_message(order: VersionOrder) -> dataset_pb2.ImportOptions:
    spec = order.spec
    lengths = {tokenizer.name: tokenizer.max_length for tokenizer in spec.tokenizers}
    return dataset_pb2.ImportOptions(
        shape=next(number for number, shape in _SHAPES.items() if shape == spec.shape),
        validation_fraction=spec.validation_fraction,
        split_seed=spec.split_seed,
        group_field=spec.group_field,
        format=next(number for number, name in _FORMATS.items() if name == spec.format),
        profile=spec.profile.name,
        purpose=purpose_to_message(spec.evaluation),
        stratum_field=spec.stratum_field,
        tokenizers=[
            dataset_pb2.TokenizerUse(base_model=each.base_model, max_length=lengths[each.name])
            for each in order.tokenizers
        ],
    )


def purpose_to_message(evaluation: bool) -> dataset_pb2.DatasetPurpose:
    return dataset_pb2.DATASET_PURPOSE_EVALUATION if evaluation else dataset_pb2.DATASET_PURPOSE_TRAINING


def fix_from_message(request: dataset_service_pb2.FixDatasetVersionRequest) -> Fix:
    fixers = {_FIXERS[number] for number in request.fixers}
    return Fix(
        dataset=request.dataset,
        parent=request.name,
        fixers=tuple(fixer for fixer in Fixer if fixer in fixers),
        profile=request.profile,
    )


def filter_from_message(request: dataset_service_pb2.FilterDatasetVersionRequest) -> Filter:
    """`InvalidInput` tells every bound that no row could meet, and a filter that asks nothing."""
    asked = request.filter
    conditions = {
        "metrics": {name: _bounds(bounds) for name, bounds in asked.metrics.items()},
        "question": _lengths(asked.question_chars),
        "answer": _lengths(asked.answer_chars),
    }
    if not (any(conditions.values()) or asked.profile or asked.profile_yaml):
        problem = Violation("filter", "asks nothing of the rows; give metrics, lengths or a profile")
        raise InvalidInput(f"the filter {problem.description}", violations=[problem])
    try:
        row_filter = RowFilter.model_validate(conditions | {"min_examples": max(asked.min_examples, 1)})
    except ValidationError as invalid:
        raise _refused_filter(invalid) from invalid
    return Filter(
        dataset=request.dataset,
        parent=request.name,
        row_filter=row_filter,
        profile=asked.profile,
        profile_yaml=asked.profile_yaml,
    )


def split_from_message(request: dataset_service_pb2.SplitDatasetVersionRequest) -> Split:
    given = request.HasField("validation_fraction")
    return Split(
        dataset=request.dataset,
        parent=request.name,
        validation_fraction=request.validation_fraction if given else _DEFAULT_FRACTION,
        split_seed=request.split_seed,
        group_field=request.group_field,
        stratum_field=request.stratum_field,
    )


def merge_from_message(request: dataset_service_pb2.MergeDatasetVersionsRequest) -> Merge:
    return Merge(dataset=request.parent, parents=tuple(request.names), options=options_from_message(request.options))


def _bounds(bounds: dataset_pb2.Bounds) -> dict[str, float]:
    return {name: getattr(bounds, name) for name in ("min", "max") if bounds.HasField(name)}


def _lengths(bounds: dataset_pb2.Bounds) -> dict[str, float]:
    """Whole numbers of characters within the bounds; what is no number stays, and is refused."""
    lengths = {f"{name}_chars": value for name, value in _bounds(bounds).items()}
    rounded = {"min_chars": math.ceil, "max_chars": math.floor}
    return {name: rounded[name](value) if math.isfinite(value) else value for name, value in lengths.items()}


def _refused_filter(invalid: ValidationError) -> InvalidInput:
    names = {"question": "question_chars", "answer": "answer_chars"}
    problems = [
        Violation(
            ".".join(["filter", *(names.get(str(part), str(part)) for part in error["loc"])]),
            error["msg"].removeprefix("Value error, "),
        )
        for error in invalid.errors()
    ]
    listed = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
    return InvalidInput(f"the filter cannot work: {listed}", violations=problems)
