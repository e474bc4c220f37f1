"""Everything that can be known to be wrong with an export before the first byte is written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fragua_exporter.conversion import chat_template
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.chat_template import ChatFormat
from fragua_exporter.conversion.checkpoint import Checkpoint, open_checkpoint
from fragua_exporter.conversion.importance import Conversation, load_conversations
from fragua_exporter.conversion.merge import NO_ADAPTER, Adapter, load_adapter
from fragua_exporter.conversion.merged_model import merged_size
from fragua_exporter.conversion.probe import Ends, Probe, make_probe
from fragua_exporter.conversion.quantize import BLOCK_TYPES, largest_size
from fragua_exporter.conversion.task import Task, load_task
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_exporter.conversion.vocabulary import Vocabulary, load_vocabulary
from fragua_exporter.conversion.writer import file_size
from fragua_exporter.domain.export_spec import ExportSpec, Quantization, parse_export_spec
from fragua_exporter.domain.modelfile import check_texts
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.engine import JobDirectory

QUANTIZER_SOURCES = (Quantization.F32, Quantization.F16)
"""What llama.cpp's quantizer may start from, the best first. Sixteen bits of bf16 would already be a quantization."""


@dataclass(frozen=True)
class Preflight:
    """Everything that is known, and known to fit together, before the first byte is written."""

    spec: ExportSpec
    checkpoint: Checkpoint
    plan: ModelPlan
    adapter: Adapter
    vocabulary: Vocabulary
    tokenizer: TrainedTokenizer
    chat: ChatFormat
    probe: Probe
    ends: Ends
    task: Task | None
    conversations: tuple[Conversation, ...]
    """What the importance of the weights is measured on; empty when all count alike."""

    @property
    def names(self) -> list[str]:
        """The base's tensors that make up the model."""
        return [tensor.source for tensor in self.plan.tensors]

    @property
    def quantized(self) -> list[Quantization]:
        """The formats that are made from another file."""
        return [quantization for quantization in self.spec.quantizations if quantization in BLOCK_TYPES]

    @property
    def quantizer_source(self) -> Quantization | None:
        """The format that is asked for anyway and that the others can be made from."""
        return next((source for source in QUANTIZER_SOURCES if source in self.spec.quantizations), None)


def check_inputs(job: JobDirectory, converter: Path | None = None) -> Preflight:
    spec = parse_export_spec(job.read_spec())
    check_texts(system_prompt=spec.system_prompt, license=spec.license)
    checkpoint = open_checkpoint(job.inputs / "base")
    plan = plan_model(checkpoint, converter)
    foreign = plan.converter is not None
    if foreign:
        _check_foreign(spec, plan)
    adapter = NO_ADAPTER if spec.base_alone else load_adapter(job.inputs / "adapter", plan)
    vocabulary = load_vocabulary(checkpoint.directory, plan.vocabulary_size, foreign)
    tokenizer = TrainedTokenizer(checkpoint.directory)
    chat = chat_template.recognise(tokenizer.render, tokenizer.bos)
    probe = make_probe(tokenizer, chat, spec.system_prompt, spec.probe_prompt, spec.probe_max_tokens)
    _check_context(spec, plan, probe)
    conversations: tuple[Conversation, ...] = ()
    if spec.importance:
        file = job.inputs / "importance" / "train.jsonl"
        conversations = load_conversations(file, tokenizer, chat, plan.context_length)
    return Preflight(
        spec=spec,
        checkpoint=checkpoint,
        plan=plan,
        adapter=adapter,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        chat=chat,
        probe=probe,
        ends=find_ends(vocabulary, chat),
        task=_load_task(job, spec, tokenizer, plan),
        conversations=conversations,
    )


def check_disk(directory: Path, preflight: Preflight, finished_bytes: int) -> None:
    """`finished_bytes` lie there already and need not be written again."""
    needed = needed_bytes(preflight) - finished_bytes
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise LimitExceeded(
            f"the files need {needed / 1e9:.2f} GB and the job's disk has {free / 1e9:.2f} GB free; "
            "free some space or ask for fewer quantizations",
            reason="DISK_FULL",
        )


def needed_bytes(preflight: Preflight) -> int:
    """Of disk, at most: what is asked for, and what is written on the way and removed again."""
    spec, plan = preflight.spec, preflight.plan
    sizes = [
        largest_size(plan, quantization) if quantization in BLOCK_TYPES else file_size(plan, quantization)
        for quantization in spec.quantizations
    ]
    if spec.merged_model or plan.converter is not None:
        sizes.append(merged_size(preflight.checkpoint, preflight.names))
    # The base alone, to prove the adapter with, and what the quantizer starts from.
    passing = [spec.adapter_gguf, preflight.quantized and preflight.quantizer_source is None]
    return sum(sizes) + sum(map(bool, passing)) * file_size(plan, Quantization.F16)


def find_ends(vocabulary: Vocabulary, chat: ChatFormat) -> Ends:
    end_of_turn = vocabulary.control_id(chat.end_of_turn)
    if end_of_turn is None:
        raise InvalidInput(
            f"base model: its chat template prints {chat.end_of_turn}, but the tokenizer does not hold it as one added "
            "token; use a base whose tokenizer was made for its template",
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        )
    tokens = {vocabulary.control_id(stop) for stop in chat.stops} | {vocabulary.special_ids.get("eos")}
    return Ends(end_of_turn, tuple(sorted(token for token in tokens if token is not None)), chat.stops)


def _check_foreign(spec: ExportSpec, plan: ModelPlan) -> None:
    """Another program converts the model, and only it knows llama.cpp's names for the tensors."""
    asked = [name for name, wanted in (("adapter_gguf", spec.adapter_gguf), ("importance", spec.importance)) if wanted]
    if asked:
        raise InvalidInput(
            f"base model: architecture {plan.gguf_architecture!r} goes through a llama.cpp checkout's converter",
            violations=[Violation(name, "is not possible there; export without it") for name in asked],
            reason="UNSUPPORTED_ARCHITECTURE",
        )


def _load_task(job: JobDirectory, spec: ExportSpec, tokenizer: TrainedTokenizer, plan: ModelPlan) -> Task | None:
    if not spec.task_rows:
        return None
    return load_task(job.inputs / "task" / "validation.jsonl", spec.task_rows, tokenizer, plan.context_length)


def _check_context(spec: ExportSpec, plan: ModelPlan, probe: Probe) -> None:
    available = min(spec.parameters.num_ctx, plan.context_length)
    needed = len(probe.token_ids) + probe.max_tokens
    if needed > available:
        raise InvalidInput(
            f"the probe does not fit the context of {available} tokens",
            violations=[
                Violation(
                    "probe_prompt",
                    f"with the system prompt it has {len(probe.token_ids)} tokens and the answer may take "
                    f"{probe.max_tokens}; shorten them",
                )
            ],
        )
