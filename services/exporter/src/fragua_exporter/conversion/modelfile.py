"""Builds the Modelfile from which `ollama create` makes a model that stops where it was trained to stop."""

from __future__ import annotations

from fragua_exporter.conversion.chat_template import ChatFormat
from fragua_exporter.domain.export_spec import ExportSpec
from fragua_exporter.domain.modelfile import Modelfile


def make_modelfile(gguf_file_name: str, chat: ChatFormat, spec: ExportSpec, context_length: int) -> Modelfile:
    """`context_length` is what the model was trained with; `num_ctx` never exceeds it."""
    return Modelfile(
        file=gguf_file_name,
        template=chat.template,
        stops=chat.stops,
        parameters={
            "temperature": spec.parameters.temperature,
            "top_p": spec.parameters.top_p,
            "top_k": spec.parameters.top_k,
            "num_ctx": min(spec.parameters.num_ctx, context_length),
        },
        system=chat.as_shown(spec.system_prompt),
        license=spec.license,
    )
