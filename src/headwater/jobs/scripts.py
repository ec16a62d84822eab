"""SQL scripts: split into statements, with parameters put in; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.tokens import position_at, tokenize

_PLACE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNSAFE = re.compile(r"['\"`;\\\r\n\x00]|--|/\*")


@dataclass(frozen=True, slots=True)
class ScriptStatement:
    """One statement of a script, and the line (from 1) that it begins on."""

    text: str
    line: int


def split(text: str, dialect: Dialect) -> list[ScriptStatement]:
    """The statements between the semicolons; raises SYNTAX_ERROR for what is no SQL text."""
    statements: list[ScriptStatement] = []
    first: int | None = None
    end = 0
    for token in tokenize(text, dialect):
        if token.token_type is TokenType.SEMICOLON:
            if first is not None:
                statements.append(_statement(text, first, end))
            first = None
            continue
        if first is None:
            first = token.start
        end = token.end + 1
    if first is not None:
        statements.append(_statement(text, first, end))
    return statements


def fill(text: str, parameters: Mapping[str, str]) -> str:
    """The text with `${name}` replaced by values that cannot leave their place in it.

    Raises INVALID_ARGUMENT for a name without a value, or a value with quotes, semicolons, line
    breaks, backslashes or comments.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in parameters:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the script needs the parameter {name}",
                hint=f"give it: --param {name}=VALUE",
            )
        if _UNSAFE.search(parameters[name]):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the parameter {name} has characters that could end its place in the script",
                hint="leave out quotes, semicolons, backslashes, comments and line breaks",
            )
        return parameters[name]

    return _PLACE.sub(value, text)


def _statement(text: str, start: int, end: int) -> ScriptStatement:
    return ScriptStatement(text[start:end], position_at(text, start).line)
