"""Renders Go's text/template, the language of Ollama's TEMPLATE, so that a Modelfile's own turns can be tried here.

Holds what Ollama's templates of chat turns are made of: text with trim markers and comments, `if`, `else if`, `range`,
variables, fields, literals, pipelines and the comparing functions. Anything else is refused with GoTemplateError, never
skipped: what is rendered here is what Go renders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fragua_exporter.conversion.go_values import FUNCTIONS, GoTemplateError, Value, call, printed

_ACTION = re.compile(r"\{\{(?P<trim_left>-(?=\s))?")
_COMMENT = re.compile(r"\s*/\*.*?\*/\s*(?P<trim_right>(?<=\s)-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<close>-?\}\}) | (?P<string>"(?:\\.|[^"\\\n])*") | (?P<raw>`[^`]*`) | (?P<number>-?\d+)
    | (?P<variable>\$\w*) | (?P<field>\.\w+) | (?P<dot>\.) | (?P<word>\w+) | (?P<symbol>:=|[=|(),])""",
    re.VERBOSE,
)
_GO_SPACE = " \t\r\n"


@dataclass
class _Scope:
    root: Value
    dot: Value
    variables: dict[str, Value] = field(default_factory=dict)

    def inner(self, dot: Value) -> _Scope:
        return _Scope(self.root, dot, dict(self.variables))


_Node = Callable[[_Scope], Iterator[str]]
_Expression = Callable[[_Scope], Value]


class GoTemplate:
    def __init__(self, source: str) -> None:
        self._nodes = _Parser(source).parse()

    def render(self, data: Mapping[str, Value]) -> str:
        return "".join(_run(self._nodes, _Scope(data, data)))


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Parser:
    """Reads the template from front to back; every method takes up its part and leaves what follows."""

    def __init__(self, source: str) -> None:
        self._pieces = list(_pieces(source))
        self._tokens: list[_Token] = []

    def parse(self) -> list[_Node]:
        nodes, ended_by = self._list()
        if ended_by:
            raise GoTemplateError(f"{{{{ {ended_by} }}}} closes nothing")
        return nodes

    def _list(self) -> tuple[list[_Node], str]:
        """Nodes up to an `end` or `else`, whose tokens stay behind, or up to the end of the template."""
        nodes: list[_Node] = []
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, str):
                nodes.append(_text(piece))
                continue
            self._tokens = piece
            word = piece[0].text if piece and piece[0].kind == "word" else ""
            if word in ("end", "else"):
                self._tokens.pop(0)
                return nodes, word
            if word in ("if", "range"):
                self._tokens.pop(0)
                nodes.append(self._block(word))
            else:
                nodes.append(self._action())
        return nodes, ""

    def _block(self, word: str) -> _Node:
        names = self._loop_variables() if word == "range" else ()
        condition = self._assignment()
        self._finish()
        body, ended_by = self._list()
        otherwise: list[_Node] = []
        if ended_by == "else" and self._tokens:  # `else if …` is a block of its own that shares the `end`.
            if self._tokens.pop(0).text != "if":
                raise GoTemplateError("only an if can follow an else")
            otherwise = [self._block("if")]
        else:
            if ended_by == "else":
                otherwise, ended_by = self._list()
            if ended_by != "end":
                raise GoTemplateError(f"{{{{ {word} }}}} has no end")
            self._finish()
        return _if(condition, body, otherwise) if word == "if" else _range(condition, body, otherwise, names)

    def _loop_variables(self) -> tuple[str, ...]:
        """Names of index and value in `range $index, $value := …`, without an index in `range $value := …`."""
        shape = [token.text if token.kind == "symbol" else token.kind for token in self._tokens[:4]]
        if shape == ["variable", ",", "variable", ":="]:
            index, _, value, _ = (self._tokens.pop(0).text for _ in shape)
            return index, value
        if shape[:2] == ["variable", ":="]:
            value, _ = (self._tokens.pop(0).text for _ in range(2))
            return "", value
        return ()

    def _action(self) -> _Node:
        silent = len(self._tokens) > 1 and self._tokens[1].text in (":=", "=")
        expression = self._assignment()
        self._finish()

        def node(scope: _Scope) -> Iterator[str]:
            value = expression(scope)
            if not silent:
                yield printed(value)

        return node

    def _assignment(self) -> _Expression:
        """A pipeline, perhaps with `$name :=` before it."""
        if len(self._tokens) > 1 and self._tokens[0].kind == "variable" and self._tokens[1].text in (":=", "="):
            name, sign = self._tokens.pop(0).text, self._tokens.pop(0).text
            if sign == "=":
                raise GoTemplateError(f"{name} = …: changing variables is not known")
            value = self._pipeline()

            def declare(scope: _Scope) -> Value:
                scope.variables[name] = value(scope)
                return scope.variables[name]

            return declare
        return self._pipeline()

    def _pipeline(self) -> _Expression:
        expression = self._command(None)
        while self._tokens and self._tokens[0].text == "|":
            self._tokens.pop(0)
            expression = self._command(expression)
        return expression

    def _command(self, piped: _Expression | None) -> _Expression:
        if self._tokens and self._tokens[0].kind == "word" and self._tokens[0].text not in _CONSTANTS:
            name = self._tokens.pop(0).text
            if name not in FUNCTIONS:
                raise GoTemplateError(f"function {name} is not known")
            arguments = self._operands() + ([piped] if piped else [])
            return lambda scope: call(name, [argument(scope) for argument in arguments])
        operands = self._operands()
        if len(operands) != 1 or piped:
            raise GoTemplateError("only functions take arguments")
        return operands[0]

    def _operands(self) -> list[_Expression]:
        operands = []
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            operands.append(self._operand())
        return operands

    def _operand(self) -> _Expression:
        token = self._tokens.pop(0)
        expression: _Expression
        if token.kind == "field":
            expression = _field(lambda scope: scope.dot, token.text[1:])
        elif token.kind == "dot":
            expression = lambda scope: scope.dot  # noqa: E731
        elif token.kind == "variable":
            expression = _variable(token.text)
        elif token.text == "(":
            expression = self._pipeline()
            token = self._tokens.pop(0) if self._tokens else token
            if token.text != ")":
                raise GoTemplateError("( is never closed")
        else:
            return _literal(token)
        # `$.Messages` is one operand, `$ .Messages` are two: only what touches is a chain.
        while self._tokens and self._tokens[0].kind == "field" and self._tokens[0].start == token.end:
            token = self._tokens.pop(0)
            expression = _field(expression, token.text[1:])
        return expression

    def _finish(self) -> None:
        if self._tokens:
            raise GoTemplateError(f"unexpected {self._tokens[0].text!r}")


def _pieces(source: str) -> Iterator[str | list[_Token]]:
    """Texts as they will be printed, trimmed where an action beside them says so, and the tokens of the actions."""
    position, trim = 0, False
    while True:
        action = _ACTION.search(source, position)
        text = source[position : action.start() if action else len(source)]
        if trim:
            text = text.lstrip(_GO_SPACE)
        if action and action["trim_left"]:
            text = text.rstrip(_GO_SPACE)
        if text:
            yield text
        if not action:
            return
        comment = _COMMENT.match(source, action.end())
        if comment:
            position, trim = comment.end(), bool(comment["trim_right"])
            continue
        tokens, position, trim = _tokens(source, action.end())
        yield tokens


def _tokens(source: str, position: int) -> tuple[list[_Token], int, bool]:
    tokens: list[_Token] = []
    spaced = False
    while match := _TOKEN.match(source, position):
        kind, start, position = str(match.lastgroup), position, match.end()
        if kind == "close":
            trim = match.group() == "-}}"
            if trim and not spaced:
                break
            return tokens, position, trim
        spaced = kind == "space"
        if not spaced:
            tokens.append(_Token(kind, match.group(), start, position))
    raise GoTemplateError(f"cannot read {source[position : position + 20]!r}")


def _text(text: str) -> _Node:
    return lambda scope: iter((text,))


def _run(nodes: Sequence[_Node], scope: _Scope) -> Iterator[str]:
    for node in nodes:
        yield from node(scope)


def _if(condition: _Expression, body: Sequence[_Node], otherwise: Sequence[_Node]) -> _Node:
    def node(scope: _Scope) -> Iterator[str]:
        inner = scope.inner(scope.dot)
        yield from _run(body if condition(inner) else otherwise, inner)

    return node


def _range(items: _Expression, body: Sequence[_Node], otherwise: Sequence[_Node], names: tuple[str, ...]) -> _Node:
    def node(scope: _Scope) -> Iterator[str]:
        sequence = items(scope) or ()
        if not isinstance(sequence, list | tuple):
            raise GoTemplateError(f"range cannot go through {sequence!r}")
        for number, item in enumerate(sequence):
            inner = scope.inner(item)
            inner.variables |= {name: held for name, held in zip(names, (number, item), strict=False) if name}
            yield from _run(body, inner)
        if not sequence:
            yield from _run(otherwise, scope.inner(scope.dot))

    return node


def _field(of: _Expression, name: str) -> _Expression:
    def expression(scope: _Scope) -> Value:
        holder = of(scope)
        if not isinstance(holder, Mapping):
            raise GoTemplateError(f"{holder!r} has no field {name}")
        # Ollama's data is a Go map, in which what is missing is nil.
        return holder.get(name)

    return expression


def _variable(name: str) -> _Expression:
    def expression(scope: _Scope) -> Value:
        if name == "$":
            return scope.root
        if name not in scope.variables:
            raise GoTemplateError(f"variable {name} is not declared")
        return scope.variables[name]

    return expression


_CONSTANTS = {"true": True, "false": False, "nil": None}


def _literal(token: _Token) -> _Expression:
    value: Value
    if token.kind == "string":
        value = json.loads(token.text)
    elif token.kind == "raw":
        value = token.text[1:-1]
    elif token.kind == "number":
        value = int(token.text)
    elif token.text in _CONSTANTS:
        value = _CONSTANTS[token.text]
    else:
        raise GoTemplateError(f"unexpected {token.text!r}")
    return lambda scope: value
