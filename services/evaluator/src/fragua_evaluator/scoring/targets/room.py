"""Whether a question and its answer fit a model."""

from __future__ import annotations


def lack_of_room(tokens: int, answer_tokens: int, context_length: int | None) -> str:
    """In words; "" when there is room, or the model has no limit."""
    if context_length is None or tokens + answer_tokens <= context_length:
        return ""
    answer = f" and {answer_tokens:,} for its answer" if answer_tokens else ""
    return f"takes {tokens:,} tokens{answer}; the model has {context_length:,}"
