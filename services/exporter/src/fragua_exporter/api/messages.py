"""Between the protos of `fragua.exporter.v1` and the exporter's own data."""

from __future__ import annotations

from fragua.common.v1 import artifact_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua_exporter.application.estimates import Machine
from fragua_exporter.application.records import ExportRecord
from fragua_exporter.domain.export_order import ExportOrder, ResolvedOrder
from fragua_exporter.domain.export_spec import FEWER_BITS, ExportSpec, Quantization, SamplingParameters
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.modelfile import check_texts
from fragua_exporter.domain.publication import Publication
from fragua_exporter.domain.signature import ExportVerification
from fragua_exporter.domain.size_estimate import ExportEstimate
from fragua_exporter.work import bundle_of, files_of, reused_of
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.jobs.events import status_to_message
from fragua_platform.messages import bundle_to_message

_QUANTIZATIONS = {
    exporter_pb2.QUANTIZATION_F32: Quantization.F32,
    exporter_pb2.QUANTIZATION_F16: Quantization.F16,
    exporter_pb2.QUANTIZATION_BF16: Quantization.BF16,
    exporter_pb2.QUANTIZATION_Q8_0: Quantization.Q8_0,
    exporter_pb2.QUANTIZATION_Q6_K: Quantization.Q6_K,
    exporter_pb2.QUANTIZATION_Q5_K_M: Quantization.Q5_K_M,
    exporter_pb2.QUANTIZATION_Q4_K_M: Quantization.Q4_K_M,
    exporter_pb2.QUANTIZATION_Q4_0: Quantization.Q4_0,
}
_DEFAULT_PROBE = "Hello! Who are you? / ¡Hola! ¿Quién eres?"
_DEFAULT_TASK_ROWS = 100


def order_from_message(message: exporter_pb2.Export) -> ExportOrder:
    """Files are named after the branch and number of the adapter: `tutor-3-f16.gguf`."""
    _, branch, _, number = message.adapter.split("/")
    quantizations = [_QUANTIZATIONS[number] for number in message.quantizations]
    if not (quantizations or message.merged_model or message.adapter_gguf):
        quantizations = [Quantization.F16]
    _check_datasets(message, quantizations)
    spec = ExportSpec(
        model_name=f"{branch}-{number}",
        merged_model=message.merged_model,
        adapter_gguf=message.adapter_gguf,
        quantizations=tuple(quantizations),
        system_prompt=message.system_prompt,
        parameters=_parameters(message.parameters),
        probe_prompt=message.probe_prompt or _DEFAULT_PROBE,
        importance=bool(message.importance_dataset),
        task_rows=(message.task_rows or _DEFAULT_TASK_ROWS) if message.task_dataset else 0,
        license=message.license,
    )
    check_texts(system_prompt=spec.system_prompt, license=spec.license)
    return ExportOrder(
        adapter=message.adapter,
        importance_dataset=message.importance_dataset,
        task_dataset=message.task_dataset,
        spec=spec,
    )


def export_to_message(record: ExportRecord) -> exporter_pb2.Export:
    job = record.job
    order, bundle = ResolvedOrder.model_validate(job.spec).order, bundle_of(job)
    return exporter_pb2.Export(
        name=job.name,
        adapter=order.adapter,
        quantizations=[quantization_number(quantization) for quantization in order.spec.quantizations],
        system_prompt=order.spec.system_prompt,
        probe_prompt=order.spec.probe_prompt,
        merged_model=order.spec.merged_model,
        adapter_gguf=order.spec.adapter_gguf,
        parameters=exporter_pb2.SamplingParameters(**order.spec.parameters.model_dump()),
        license=order.spec.license,
        importance_dataset=order.importance_dataset,
        task_dataset=order.task_dataset,
        task_rows=order.spec.task_rows,
        status=status_to_message(job),
        files=[_file_to_message(file, bundle) for file in files_of(job)] if bundle else [],
        bundle=bundle_to_message(bundle) if bundle else None,
        signatures=[
            exporter_pb2.ExportSignature(
                signer=each.signer, public_key=each.public_key, signature=each.signature, sign_time=each.time
            )
            for each in record.signatures
        ],
        publications=[publication_to_message(each) for each in record.publications],
        reused=reused_of(job),
    )


def publication_to_message(publication: Publication) -> exporter_pb2.OllamaPublication:
    return exporter_pb2.OllamaPublication(
        model=publication.model,
        quantization=quantization_number(publication.quantization),
        digest=publication.digest,
        publish_time=publication.published,
    )


def estimate_to_message(found: ExportEstimate, machine: Machine) -> exporter_pb2.ExportEstimate:
    return exporter_pb2.ExportEstimate(
        disk_bytes=found.disk_bytes,
        memory_bytes=found.memory_bytes,
        disk_free_bytes=machine.disk_free_bytes,
        memory_free_bytes=machine.memory_free_bytes,
        files=[
            exporter_pb2.FileEstimate(quantization=quantization_number(file.quantization), size_bytes=file.size_bytes)
            for file in found.files
        ],
    )


def verification_to_message(found: ExportVerification) -> exporter_pb2.ExportVerification:
    return exporter_pb2.ExportVerification(
        intact=found.intact,
        faults=found.faults,
        signatures=[
            exporter_pb2.ExportSignatureCheck(signer=check.signer, public_key=check.public_key, valid=check.valid)
            for check in found.signatures
        ],
    )


def _check_datasets(message: exporter_pb2.Export, quantizations: list[Quantization]) -> None:
    """What would be ordered and never used."""
    problems = []
    if message.importance_dataset and not FEWER_BITS & set(quantizations):
        few = ", ".join(sorted(FEWER_BITS))
        problems.append(Violation("export.importance_dataset", f"serves the formats {few}; none of them is asked for"))
    if message.task_rows and not message.task_dataset:
        problems.append(Violation("export.task_rows", "says how many rows of task_dataset are asked; name it"))
    if problems:
        raise InvalidInput("; ".join(f"{each.field} {each.description}" for each in problems), violations=problems)


def _parameters(message: exporter_pb2.SamplingParameters) -> SamplingParameters:
    return SamplingParameters.model_validate({field.name: value for field, value in message.ListFields()})


def _file_to_message(file: ExportedFile, bundle: Bundle) -> exporter_pb2.ExportFile:
    published = bundle.manifest.file(file.file)
    return exporter_pb2.ExportFile(
        artifact=artifact_pb2.Artifact(key=published.key, size_bytes=published.size, sha256=published.sha256),
        quantization=quantization_number(file.quantization),
        verification=exporter_pb2.Verification(
            token_ids_equal=file.token_ids_equal,
            max_kl_divergence=file.max_kl,
            mean_kl_divergence=file.mean_kl,
            top1_agreement=file.top1_agreement,
            answer=file.answer,
            answer_stopped=file.answer_stopped,
            answer_tokens=file.answer_tokens,
            answer_tokens_equal=file.answer_tokens_equal,
            task_score=file.task_score,
            task_score_delta=file.task_score_delta,
            fallback_tensors=file.fallback_tensors,
        ),
    )


def quantization_from_number(number: exporter_pb2.Quantization) -> Quantization:
    return _QUANTIZATIONS[number]


def quantization_number(quantization: Quantization) -> exporter_pb2.Quantization:
    return next(number for number, value in _QUANTIZATIONS.items() if value is quantization)
