"""Looks whether a model kept to its turn: it ends by itself, and writes no tokens that begin somebody else's."""

from __future__ import annotations

import re

from fragua_evaluator.scoring.metrics.documents import Unreadable, keys_of, read_yaml_document

_MARKERS = re.compile(
    r"<\|(?:system|user|assistant|end|im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|begin_of_text"
    r"|end_of_text)\|>"
    r"|<(?:start|end)_of_turn>"
    r"|\[/?INST\]|<</?SYS>>|</s>"
    r"|^#{2,3} ?(?:Instruction|Response|Human|Assistant|Instrucción|Respuesta)\b:?",
    re.MULTILINE,
)
_ROLES = ("system", "user", "assistant", "human", "usuario", "asistente")
_SPEAKERS = re.compile(rf"^(?:\*\*)?(?:{'|'.join(_ROLES)})(?:\*\*)?:", re.MULTILINE | re.IGNORECASE)


def has_role_tokens(answer: str, expected: str = "") -> bool:
    """What the expected answer has as well is part of the subject, as in a lesson about chat templates."""
    markers = set(_MARKERS.findall(answer))
    if "<s>" in answer:  # HTML that strikes a text through
        markers.discard("</s>")
    if markers - set(_MARKERS.findall(expected)):
        return True
    if _SPEAKERS.search(answer) is None or _SPEAKERS.search(expected) is not None:
        return False
    return not _is_document(answer)


def _is_document(answer: str) -> bool:
    """`user:` may be a key of a document, too; a conversation alone happens to be YAML, and is none."""
    try:
        document = read_yaml_document(answer)
    except Unreadable:
        return False
    return isinstance(document, list) or any(key.lower() not in _ROLES for key in keys_of(document))
