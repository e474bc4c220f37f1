"""Between the protos about dataset versions and the service's own data."""

from __future__ import annotations

from fragua.dataset.v1 import dataset_pb2
from fragua_dataset.api.order_messages import options_to_message, purpose_to_message
from fragua_dataset.application.versions import VersionAndJob
from fragua_dataset.domain.verification import Verification
from fragua_dataset.domain.version import Review, Signature
from fragua_dataset.domain.version_order import VersionOrder
from fragua_dataset.domain.version_report import FilterReport, FixReport, TruncationReport
from fragua_platform.jobs.events import status_to_message
from fragua_platform.messages import bundle_to_message


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
        options=options_to_message(order),
        row_count=findings.train_rows + findings.validation_rows,
        train_row_count=findings.train_rows,
        validation_row_count=findings.validation_rows,
        problem_count=findings.problems,
        bundle=bundle_to_message(version.bundle) if version.bundle else None,
        origin=f"DATASET_ORIGIN_{version.origin.value}",
        purpose=purpose_to_message(version.evaluation),
        parents=version.parents,
        profile=version.profile,
        review=_review_to_message(version.review) if version.review else None,
        signatures=[_signature_to_message(signature) for signature in version.signatures],
        truncation=[_truncation_to_message(report, order) for report in findings.truncation],
        fixes=_fixes_to_message(findings.fixes) if findings.fixes else None,
        selection=_selection_to_message(findings.selection) if findings.selection else None,
    )


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


def verification_to_message(found: Verification) -> dataset_pb2.DatasetVerification:
    return dataset_pb2.DatasetVerification(
        intact=found.intact,
        faults=found.faults,
        rows_checked=found.rows_checked,
        signatures=[
            dataset_pb2.SignatureCheck(
                signer=check.signer, public_key=check.public_key, valid=check.valid, trusted=check.trusted
            )
            for check in found.signatures
        ],
    )
