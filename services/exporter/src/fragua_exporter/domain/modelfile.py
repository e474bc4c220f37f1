"""An Ollama Modelfile as data: written by the conversion engine, read again when the model is put into an Ollama server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fragua_platform.errors import Corrupted, InvalidInput, Violation

_COMMAND = re.compile(
    r'(FROM|TEMPLATE|SYSTEM|LICENSE|PARAMETER) (?:(\w+) )?(?:"""(.*?)"""|"(.*?)"|([^"\s]+))\n', re.DOTALL
)


@dataclass(frozen=True)
class Modelfile:
    file: str
    """The GGUF file that lies beside it."""
    template: str
    stops: tuple[str, ...]
    parameters: Mapping[str, float]
    """Ollama's name of each, e.g. `num_ctx`."""
    system: str = ""
    license: str = ""

    def render(self) -> str:
        lines = [f"FROM ./{self.file}", f"TEMPLATE {_quoted(self.template)}"]
        if self.system:
            lines.append(f"SYSTEM {_quoted(self.system)}")
        lines += [f'PARAMETER stop "{stop}"' for stop in self.stops]
        lines += [f"PARAMETER {name} {json.dumps(value)}" for name, value in self.parameters.items()]
        if self.license:
            lines.append(f"LICENSE {_quoted(self.license)}")
        return "\n".join(lines) + "\n"


def parse_modelfile(text: str) -> Modelfile:
    """Read what `render` wrote; raises Corrupted at anything else."""
    singles, stops, parameters, position = {"SYSTEM": "", "LICENSE": ""}, [], {}, 0
    while position < len(text):
        command = _COMMAND.match(text, position)
        if command is None:
            raise Corrupted(
                f"the Modelfile is not one that an export wrote, from {text[position : position + 40]!r} on"
            )
        name, parameter, *values = command.groups()
        value = next(value for value in values if value is not None)
        if parameter == "stop":
            stops.append(value)
        elif parameter:
            parameters[parameter] = json.loads(value)
        else:
            singles[name] = value
        position = command.end()
    if "FROM" not in singles or "TEMPLATE" not in singles:
        raise Corrupted("the Modelfile has no FROM or no TEMPLATE")
    return Modelfile(
        file=singles["FROM"].removeprefix("./"),
        template=singles["TEMPLATE"],
        stops=tuple(stops),
        parameters=parameters,
        system=singles["SYSTEM"],
        license=singles["LICENSE"],
    )


def check_texts(**texts: str) -> None:
    """Refuse what a Modelfile cannot carry, by the name of each text: Ollama's parser would change it without a word."""
    problems = []
    for field, text in texts.items():
        if '"""' in text:
            problems.append(Violation(field, 'holds """, for which a Modelfile has no escape; use other quotes'))
        if dropped := sorted({char for char in text if not char.isprintable() and char not in "\n\r\t"}):
            names = ", ".join(f"U+{ord(char):04X}" for char in dropped)
            problems.append(Violation(field, f"holds unprintable characters that Ollama drops: {names}"))
    if problems:
        named = " and ".join(sorted({problem.field for problem in problems}))
        raise InvalidInput(f"{named} cannot be written into a Modelfile", violations=problems)


def _quoted(text: str) -> str:
    return f'"""{text}"""'
