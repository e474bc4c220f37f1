"""Between the protos about dataset versions and the service's own data."""

from __future__ import annotations

from typing import Any

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application.imports import ImportRequest
from fragua_dataset.application.versions import VersionAndJob
from fragua_dataset.domain.version import Review, Signature
from fragua_dataset.domain.version_order import VersionOrder
from fragua_dataset.domain.version_report import FilterReport, FixReport, TruncationReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_platform.jobs.events import status_to_message
from fragua_platform.messages import bundle_to_message

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


def version_to_message(found: VersionAndJob) -> dataset_pb2.DatasetVersion:
    version, order = found.version, found.order
    findings, source = version.findings, order.source
    return dataset_pb2.DatasetVersion(
        name=version.name,
        state=f"DATASET_VERSION_STATE_{version.state.value}",
        status=status_to_message(found.job),
        source_filename=order.filename,
        source_sha256=source.sha256 if source else "",
        source_size_bytes=source.size if source else 0,
        options=_options_to_message(order),
        row_count=findings.train_rows + findings.validation_rows,
        train_row_count=findings.train_rows,
        validation_row_count=findings.validation_rows,
        problem_count=findings.problems,
        bundle=bundle_to_message(version.bundle) if version.bundle else None,
        origin=f"DATASET_ORIGIN_{version.origin.value}",
        purpose=_purpose(version.evaluation),
        parents=version.parents,
        profile=version.profile,
        review=_review_to_message(version.review) if version.review else None,
        signatures=[_signature_to_message(signature) for signature in version.signatures],
        truncation=[_truncation_to_message(report, order) for report in findings.truncation],
        fixes=_fixes_to_message(findings.fixes) if findings.fixes else None,
        selection=_selection_to_message(findings.selection) if findings.selection else None,
    )


def _options_to_message(order: VersionOrder) -> dataset_pb2.ImportOptions:
    spec = order.spec
    lengths = {tokenizer.name: tokenizer.max_length for tokenizer in spec.tokenizers}
    return dataset_pb2.ImportOptions(
        shape=next(number for number, shape in _SHAPES.items() if shape == spec.shape),
        validation_fraction=spec.validation_fraction,
        split_seed=spec.split_seed,
        group_field=spec.group_field,
        format=next(number for number, name in _FORMATS.items() if name == spec.format),
        profile=spec.profile.name,
        purpose=_purpose(spec.evaluation),
        stratum_field=spec.stratum_field,
        tokenizers=[
            dataset_pb2.TokenizerUse(base_model=each.base_model, max_length=lengths[each.name])
            for each in order.tokenizers
        ],
    )


def _purpose(evaluation: bool) -> dataset_pb2.DatasetPurpose:
    return dataset_pb2.DATASET_PURPOSE_EVALUATION if evaluation else dataset_pb2.DATASET_PURPOSE_TRAINING


def _review_to_message(review: Review) -> dataset_pb2.DatasetReview:
    return dataset_pb2.DatasetReview(
        reviewer=review.reviewer,
        reason=review.reason,
        review_time=review.time,
        sample_seed=review.sample_seed,
        sample_size=review.sample_size,
    )


def _signature_to_message(signature: Signature) -> dataset_pb2.DatasetSignature:
    return dataset_pb2.DatasetSignature(
        signer=signature.signer,
        public_key=signature.public_key,
        signature=signature.signature,
        sign_time=signature.time,
    )


def _truncation_to_message(report: TruncationReport, order: VersionOrder) -> dataset_pb2.TruncationReport:
    base_models = {tokenizer.name: tokenizer.base_model for tokenizer in order.tokenizers}
    return dataset_pb2.TruncationReport(
        tokenizer=base_models.get(report.tokenizer, report.tokenizer),
        max_length=report.max_length,
        longest=report.longest,
        rows_cut=report.rows_cut,
        rows_without_answer=report.rows_without_answer,
    )


def _fixes_to_message(report: FixReport) -> dataset_pb2.FixReport:
    return dataset_pb2.FixReport(rows_changed=report.rows_changed, changes_by_fixer=report.changes_by_fixer)


def _selection_to_message(report: FilterReport) -> dataset_pb2.FilterReport:
    return dataset_pb2.FilterReport(rows_kept=report.rows_kept, rows_left_out=report.rows_left_out)
