"""Between the protos of `fragua.exporter.v1` and the exporter's own data."""

from __future__ import annotations

from fragua.common.v1 import artifact_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua_exporter.domain.export_order import ExportOrder, ResolvedOrder
from fragua_exporter.domain.export_spec import ExportSpec, Quantization
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.work import bundle_of, files_of
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
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


def order_from_message(message: exporter_pb2.Export) -> ExportOrder:
    """Files are named after the branch and number of the adapter: `tutor-3-f16.gguf`."""
    _, branch, _, number = message.adapter.split("/")
    quantizations = [_QUANTIZATIONS[number] for number in message.quantizations]
    if not (quantizations or message.merged_model or message.adapter_gguf):
        quantizations = [Quantization.F16]
    spec = ExportSpec(
        model_name=f"{branch}-{number}",
        merged_model=message.merged_model,
        adapter_gguf=message.adapter_gguf,
        quantizations=tuple(quantizations),
        system_prompt=message.system_prompt,
        probe_prompt=message.probe_prompt or _DEFAULT_PROBE,
        license=message.license,
    )
    return ExportOrder(adapter=message.adapter, spec=spec)


def export_to_message(job: Job) -> exporter_pb2.Export:
    order, bundle = ResolvedOrder.model_validate(job.spec).order, bundle_of(job)
    return exporter_pb2.Export(
        name=job.name,
        adapter=order.adapter,
        quantizations=[quantization_number(quantization) for quantization in order.spec.quantizations],
        system_prompt=order.spec.system_prompt,
        probe_prompt=order.spec.probe_prompt,
        merged_model=order.spec.merged_model,
        adapter_gguf=order.spec.adapter_gguf,
        license=order.spec.license,
        status=status_to_message(job),
        files=[_file_to_message(file, bundle) for file in files_of(job)] if bundle else [],
        bundle=bundle_to_message(bundle) if bundle else None,
    )


def _file_to_message(file: ExportedFile, bundle: Bundle) -> exporter_pb2.ExportFile:
    published = bundle.manifest.file(file.file)
    return exporter_pb2.ExportFile(
        artifact=artifact_pb2.Artifact(key=published.key, size_bytes=published.size, sha256=published.sha256),
        quantization=quantization_number(file.quantization),
        verification=exporter_pb2.Verification(
            token_ids_equal=file.token_ids_equal,
            max_kl_divergence=file.max_kl,
            top1_agreement=file.top1_agreement,
            answer=file.answer,
            answer_stopped=file.answer_stopped,
        ),
    )


def quantization_from_number(number: exporter_pb2.Quantization) -> Quantization:
    return _QUANTIZATIONS[number]


def quantization_number(quantization: Quantization) -> exporter_pb2.Quantization:
    return next(number for number, value in _QUANTIZATIONS.items() if value is quantization)
