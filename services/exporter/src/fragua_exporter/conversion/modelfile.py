"""Writes the Modelfile from which `ollama create` builds a model that stops where it was trained to stop."""

from __future__ import annotations

from fragua_exporter.conversion.chat_template import TemplateFamily
from fragua_exporter.domain.export_spec import SamplingParameters
from fragua_platform.errors import InvalidInput, Violation


def render_modelfile(
    gguf_file_name: str, family: TemplateFamily, system_prompt: str, parameters: SamplingParameters, context_length: int
) -> str:
    """`context_length` is what the model was trained with; `num_ctx` never exceeds it."""
    lines = [f"FROM ./{gguf_file_name}", f"TEMPLATE {_quoted(family.ollama_template)}"]
    if system_prompt:
        lines.append(f"SYSTEM {_quoted(system_prompt)}")
    lines += [f'PARAMETER stop "{stop}"' for stop in family.stops]
    lines += [
        f"PARAMETER temperature {parameters.temperature:g}",
        f"PARAMETER top_p {parameters.top_p:g}",
        f"PARAMETER top_k {parameters.top_k}",
        f"PARAMETER num_ctx {min(parameters.num_ctx, context_length)}",
    ]
    return "\n".join(lines) + "\n"


def check_system_prompt(text: str) -> None:
    """Refuse what a Modelfile cannot carry: Ollama's parser would change it without a word."""
    problems = []
    if '"""' in text:
        problems.append(Violation("system_prompt", 'holds """, for which a Modelfile has no escape; use other quotes'))
    dropped = sorted({char for char in text if not char.isprintable() and char not in "\n\r\t"})
    if dropped:
        names = ", ".join(f"U+{ord(char):04X}" for char in dropped)
        problems.append(Violation("system_prompt", f"holds unprintable characters that Ollama drops: {names}"))
    if problems:
        raise InvalidInput("the system prompt cannot be written into a Modelfile", violations=problems)


def _quoted(text: str) -> str:
    return f'"""{text}"""'
