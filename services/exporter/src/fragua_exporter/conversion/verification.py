"""Proves that a GGUF file is the model that was trained: loads it in llama.cpp, compares it and asks it a question.

Four checks, each with numbers that end in `export_info.json`:

- tokens: the file must split texts, and the turns of the Modelfile's TEMPLATE, into exactly the ids of training;
- logits: at every position of a prompt the next-token distribution must be close to the reference (KL divergence);
- answer: the probe, through the Modelfile's TEMPLATE, must end with the end-of-turn token or reach its limit, and print
  nothing that belongs to another turn;
- task: held-out rows, if the export names some, must be answered about as well as by the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import llama_cpp
import numpy as np
import torch
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion.answering import answer_in_llama_cpp
from fragua_exporter.conversion.reference import Reference
from fragua_exporter.conversion.task import Score, score
from fragua_exporter.domain.export_spec import DivergenceLimit
from fragua_platform.errors import FailureClass, InternalError, Violation


@dataclass(frozen=True)
class TokenCheck:
    texts: int
    tokens: int
    differing_texts: tuple[str, ...]


@dataclass(frozen=True)
class LogitCheck:
    positions: int
    mean_kl: float
    max_kl: float
    top1_agreement: float
    """Share of positions with the same likeliest token."""
    limit: DivergenceLimit

    def as_document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class AnswerCheck:
    prompt: str
    text: str
    tokens: int
    ended_by: Literal["end_of_turn", "limit", "wrong_stop"]
    """`limit`: it was still speaking after `probe_max_tokens`. `wrong_stop`: it opened a turn or ended the document."""
    tokens_equal_to_reference: int
    """Leading tokens that the reference, also taking the likeliest token, gives as well."""
    reference_tokens: int


@dataclass(frozen=True)
class TaskCheck:
    score: Score
    reference: Score
    max_drop: float

    @property
    def exact_match_delta(self) -> float:
        return self.score.exact_match - self.reference.exact_match

    @property
    def token_f1_delta(self) -> float:
        return self.score.token_f1 - self.reference.token_f1


@dataclass(frozen=True)
class Verification:
    token_check: TokenCheck
    logit_check: LogitCheck
    answer_check: AnswerCheck
    task_check: TaskCheck | None

    def as_document(self) -> dict[str, Any]:
        return {
            "tokens": asdict(self.token_check),
            "logits": self.logit_check.as_document(),
            "answer": asdict(self.answer_check),
        } | ({"task": self._task_document(self.task_check)} if self.task_check else {})

    @staticmethod
    def _task_document(task: TaskCheck) -> dict[str, Any]:
        deltas = {"exact_match_delta": task.exact_match_delta, "token_f1_delta": task.token_f1_delta}
        return asdict(task.score) | {"reference": asdict(task.reference)} | deltas | {"max_drop": task.max_drop}


def verify(
    file: Path,
    limit: DivergenceLimit,
    reference: Reference,
    max_task_drop: float,
    on_token: Callable[[], None],
    adapter: Path | None = None,
) -> Verification:
    """Measure first, judge after: raises InternalError that lists every failed check of this file.

    `on_token` is called between tokens of the answers and may raise to stop. `adapter` is a GGUF LoRA that llama.cpp
    adds to the file.
    """
    name = adapter.name if adapter else file.name
    context = max(len(reference.parity_ids), len(reference.probe.token_ids) + reference.probe.max_tokens)
    try:
        model = llama_cpp.Llama(
            str(file),
            lora_path=str(adapter) if adapter else None,
            n_ctx=context,
            n_batch=context,
            n_threads=torch.get_num_threads(),
            n_threads_batch=torch.get_num_threads(),
            logits_all=True,
            # A cache in 32 bits, so that what is measured is the file and not the run.
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            verbose=False,
        )
    except (ValueError, RuntimeError) as refused:
        raise InternalError(
            f"{name}: llama.cpp cannot load the file ({refused}); its reasons are on standard error",
            reason="VERIFICATION_FAILED",
        ) from refused
    try:
        verification = Verification(
            _check_tokens(model, reference),
            _check_logits(model, reference, limit),
            _check_answer(model, reference, on_token),
            _check_task(model, reference, max_task_drop, on_token),
        )
    finally:
        model.close()
    _judge(name, verification)
    return verification


def verify_merged_model(directory: Path, limit: DivergenceLimit, reference: Reference) -> LogitCheck:
    """The same for what transformers loads: the reference's tokenizer and template lie beside it, unchanged."""
    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([reference.parity_ids])).logits[0].double()
    check = _divergence(logits, reference, limit)
    if problems := _divergence_problems(directory.name, check):
        raise _unfaithful(directory.name, problems)
    return check


def _check_tokens(model: llama_cpp.Llama, reference: Reference) -> TokenCheck:
    # Turns are tokenized as Ollama does it, which adds a begin of text if the file says so; their ids hold one already.
    texts = [(text, ids, False) for text, ids in reference.texts] + [(text, ids, True) for text, ids in reference.turns]
    differing = tuple(
        text
        for text, ids, add_bos in texts
        if tuple(model.tokenize(text.encode(), add_bos=add_bos, special=True)) != ids
    )
    return TokenCheck(len(texts), sum(len(ids) for _, ids, _ in texts), differing)


def _check_logits(model: llama_cpp.Llama, reference: Reference, limit: DivergenceLimit) -> LogitCheck:
    model.eval(list(reference.parity_ids))
    scores = np.array(model.scores[: len(reference.parity_ids)], dtype=np.float64)
    return _divergence(torch.from_numpy(scores), reference, limit)


def _divergence(logits: torch.Tensor, reference: Reference, limit: DivergenceLimit) -> LogitCheck:
    ours = torch.log_softmax(logits, dim=-1).numpy()
    theirs = reference.log_probabilities
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=-1)
    agreement = (ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean()
    return LogitCheck(len(logits), float(divergence.mean()), float(divergence.max()), float(agreement), limit)


def _check_answer(model: llama_cpp.Llama, reference: Reference, on_token: Callable[[], None]) -> AnswerCheck:
    ends = reference.ends
    answer: list[int] = []
    for token in model.generate(list(reference.probe.token_ids), temp=0.0, repeat_penalty=1.0):
        answer.append(token)
        on_token()
        if token in ends.tokens or len(answer) == reference.probe.max_tokens:
            break
    last = answer[-1]
    spoken = answer[:-1] if last in ends.tokens else answer
    text = model.detokenize(spoken).decode("utf-8", errors="replace")
    ended_by: Literal["end_of_turn", "limit", "wrong_stop"] = "limit"
    if any(stop in text for stop in ends.texts):
        ended_by = "wrong_stop"
    elif last in ends.tokens:
        ended_by = "end_of_turn" if last == ends.end_of_turn else "wrong_stop"
    same = [ours == theirs for ours, theirs in zip(answer, reference.greedy_ids, strict=False)]
    return AnswerCheck(
        prompt=reference.probe.prompt,
        text=text,
        tokens=len(answer),
        ended_by=ended_by,
        tokens_equal_to_reference=same.index(False) if False in same else len(same),
        reference_tokens=len(reference.greedy_ids),
    )


def _check_task(
    model: llama_cpp.Llama, reference: Reference, max_drop: float, on_token: Callable[[], None]
) -> TaskCheck | None:
    task, ends = reference.task, reference.ends
    if task is None or reference.task_score is None:
        return None
    questions = [question.token_ids for question in task.questions]
    answers = answer_in_llama_cpp(model, questions, task.max_tokens, ends.tokens, on_token)
    texts = [
        model.detokenize([token for token in ids if token not in ends.tokens]).decode("utf-8", errors="replace")
        for ids in answers
    ]
    return TaskCheck(score(task, texts), reference.task_score, max_drop)


def _judge(name: str, verification: Verification) -> None:
    tokens, logits, answer = verification.token_check, verification.logit_check, verification.answer_check
    unfaithful = []
    if tokens.differing_texts:
        unfaithful.append(
            Violation(
                f"{name}: tokens",
                f"{len(tokens.differing_texts)} of {tokens.texts} texts are split otherwise than in training, "
                f"the first is {tokens.differing_texts[0][:80]!r}",
            )
        )
    unfaithful += _divergence_problems(name, logits)
    if unfaithful:
        raise _unfaithful(name, unfaithful)
    if answer.ended_by == "wrong_stop":
        raise InternalError(
            f"{name} is faithful, but the model does not end its turns: it would talk to itself; nothing was published. "
            "Train with the end-of-turn token inside the loss, or for more steps",
            violations=[Violation(f"{name}: answer", f"after {answer.text[:200]!r} it did not end its turn")],
            reason="VERIFICATION_FAILED",
            failure_class=FailureClass.USER_DATA,
        )
    task = verification.task_check
    if task is not None and task.token_f1_delta < -task.max_drop:
        raise InternalError(
            f"{name} lost too much of what the model was trained for; nothing was published. Ask for a larger "
            "quantization, give an importance dataset, or allow a larger drop",
            violations=[
                Violation(
                    f"{name}: task",
                    f"over {task.score.rows} rows its token F1 is {task.score.token_f1:.3f}, the merged model's is "
                    f"{task.reference.token_f1:.3f} (a drop of {task.max_drop:g} is allowed)",
                )
            ],
            reason="VERIFICATION_FAILED",
            failure_class=FailureClass.USER_CONFIG,
        )


def _divergence_problems(name: str, logits: LogitCheck) -> list[Violation]:
    # Written as "within, or else", so that NaN fails too.
    if logits.mean_kl <= logits.limit.mean_kl and logits.max_kl <= logits.limit.max_kl:
        return []
    return [
        Violation(
            f"{name}: logits",
            f"mean KL {logits.mean_kl:.2e} (limit {logits.limit.mean_kl:g}), max KL {logits.max_kl:.2e} "
            f"(limit {logits.limit.max_kl:g}), same likeliest token at {logits.top1_agreement:.0%} of positions",
        )
    ]


def _unfaithful(name: str, problems: Sequence[Violation]) -> InternalError:
    return InternalError(
        f"{name} is not the model that was trained; nothing was published. Please report this as a defect, "
        "with config.json and tokenizer.json of the base",
        violations=problems,
        reason="VERIFICATION_FAILED",
    )
