"""Between what clients may ask of a synthesis and the service's own data."""

from __future__ import annotations

from typing import Any, Final

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.order_messages import options_from_message
from fragua_dataset.application.synthesis import SynthesisRequest
from fragua_dataset.domain.synthesis_spec import DEFAULT_MAX_REQUESTS, Budget, Generator

_KINDS: Final[dict[dataset_pb2.GeneratorModel.Kind, Any]] = {
    dataset_pb2.GeneratorModel.KIND_OPENAI_COMPATIBLE: "openai",
    dataset_pb2.GeneratorModel.KIND_OLLAMA: "ollama",
    dataset_pb2.GeneratorModel.KIND_GGUF: "gguf",
    dataset_pb2.GeneratorModel.KIND_ADAPTER: "adapter",
}


def synthesis_from_message(request: dataset_service_pb2.SynthesizeDatasetRequest) -> SynthesisRequest:
    spec = request.spec
    return SynthesisRequest(
        dataset=request.parent,
        concepts=tuple(spec.concepts),
        domains=tuple(spec.domains),
        audiences=tuple(spec.audiences),
        complexities=tuple(spec.complexities),
        variants_per_concept=spec.variants_per_concept,
        prompt=spec.prompt,
        prompt_text=spec.prompt_text,
        language=spec.language,
        generator=Generator(
            kind=_KINDS[spec.generator.kind],
            endpoint=spec.generator.endpoint,
            model=spec.generator.model,
            temperature=spec.generator.temperature,
            max_tokens=spec.generator.max_tokens,
        ),
        key_variable=spec.generator.key_variable,
        metric=spec.metric,
        min_score=spec.min_score,
        seed=spec.seed,
        budget=Budget(
            max_requests=spec.budget.max_requests or DEFAULT_MAX_REQUESTS,
            max_tokens=spec.budget.max_tokens,
            max_seconds=spec.budget.max_seconds,
            max_examples=spec.budget.max_examples,
        ),
        options=options_from_message(request.options),
    )
