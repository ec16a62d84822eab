"""IDENTIFIER(…) in SQL text: a name made of constants, written out before anyone reads the text.

The name is then judged as any other: it gives what the same name written out gives, and no more.
What is not made of constants stays, and is refused as a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot.tokenizer_core import Token, TokenType

from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.model.statement import Dialect
from headwater.sql.tokens import tokenize

_WORD = "identifier"
_STRINGS = (TokenType.STRING, TokenType.RAW_STRING)


def resolved(sql: Any) -> Any:
    """A `SQL` message with names for IDENTIFIER of constants: itself, or a changed copy.

    Raises SYNTAX_ERROR for a constant that is no name.
    """
    if _WORD not in sql.query.lower():
        return sql
    named = {name: _text(each) for name, each in sql.args.items()}
    named |= {name: _text(each.literal) for name, each in sql.named_arguments.items()}
    places = [_text(each.literal) for each in sql.pos_arguments] or [
        _text(each) for each in sql.pos_args
    ]
    found = _Text(sql.query, named, places)
    text = found.written_out()
    if text == sql.query:
        return sql
    made = type(sql)()
    made.CopyFrom(sql)
    made.query = text
    for name in found.names_used - found.names_left:
        for arguments in (made.args, made.named_arguments):
            if name in arguments:
                del arguments[name]
    for place in sorted(found.places_used, reverse=True):
        del (made.pos_arguments or made.pos_args)[place]
    return made


def resolved_text(text: str) -> str:
    """As `resolved`, for text that comes without arguments."""
    return text if _WORD not in text.lower() else _Text(text, {}, ()).written_out()


def _text(literal: Any) -> str | None:
    return literal.string if literal.HasField("string") else None


@dataclass(slots=True)
class _Text:
    """A text, the constants of its markers, and which markers names were made of."""

    text: str
    named: Mapping[str, str | None]
    places: Sequence[str | None]
    tokens: list[Token] = field(default_factory=list)
    names_used: set[str] = field(default_factory=set)
    names_left: set[str] = field(default_factory=set)
    places_used: set[int] = field(default_factory=set)

    def written_out(self) -> str:
        """The text with names in the place of IDENTIFIER of constants."""
        self.tokens = tokenize(self.text, Dialect.SPARK)
        pieces, offset, at = [], 0, 0
        while at < len(self.tokens):
            token = self.tokens[at]
            end = self._clause(at)
            if end is None:
                if (name := self._marker(at)) is not None:
                    self.names_left.add(name)
                at += 1
                continue
            value, after = end
            pieces += [self.text[offset : token.start], self._name(value, after)]
            offset = self.tokens[after - 1].end + 1
            at = after
        return "".join(pieces) + self.text[offset:]

    def _clause(self, at: int) -> tuple[str, int] | None:
        """The constant of an IDENTIFIER that begins at a token, and the token after it."""
        if not self._is(at, TokenType.VAR) or self.tokens[at].text.lower() != _WORD:
            return None
        if at and self._is(at - 1, TokenType.DOT):
            return None
        if not self._is(at + 1, TokenType.L_PAREN):
            return None
        names, places = set(self.names_used), set(self.places_used)
        found = self._joined(at + 2)
        if found is not None and self._is(found[1], TokenType.R_PAREN):
            return found[0], found[1] + 1
        self.names_used, self.places_used = names, places
        return None

    def _joined(self, at: int) -> tuple[str, int] | None:
        """Constants with `||` between them."""
        found = self._constant(at)
        while found is not None and self._is(found[1], TokenType.DPIPE):
            more = self._constant(found[1] + 1)
            found = None if more is None else (found[0] + more[0], more[1])
        return found

    def _constant(self, at: int) -> tuple[str, int] | None:
        """A string, a marker of one, `concat(…)` or brackets around one."""
        if at >= len(self.tokens):
            return None
        token = self.tokens[at]
        if token.token_type in _STRINGS:
            return token.text, at + 1
        if token.token_type is TokenType.PLACEHOLDER:
            place = sum(each.token_type is TokenType.PLACEHOLDER for each in self.tokens[:at])
            value = self.places[place] if place < len(self.places) else None
            self.places_used.add(place)
            return None if value is None else (value, at + 1)
        if (name := self._marker(at)) is not None:
            self.names_used.add(name)
            value = self.named.get(name)
            return None if value is None else (value, at + 2)
        is_call = token.text.lower() == "concat" and self._is(at + 1, TokenType.L_PAREN)
        if not is_call and token.token_type is not TokenType.L_PAREN:
            return None
        found = self._joined(at + (2 if is_call else 1))
        while is_call and found is not None and self._is(found[1], TokenType.COMMA):
            more = self._joined(found[1] + 1)
            found = None if more is None else (found[0] + more[0], more[1])
        if found is None or not self._is(found[1], TokenType.R_PAREN):
            return None
        return found[0], found[1] + 1

    def _marker(self, at: int) -> str | None:
        """The name of a marker `:name` that begins at a token."""
        if not self._is(at, TokenType.COLON) or at + 1 >= len(self.tokens):
            return None
        mark, name = self.tokens[at], self.tokens[at + 1]
        return name.text if name.start == mark.end + 1 and name.text in self.named else None

    def _is(self, at: int, kind: TokenType) -> bool:
        return at < len(self.tokens) and self.tokens[at].token_type is kind

    def _name(self, value: str, after: int) -> str:
        parts = split_identifier(value)
        if len(parts) == 1 and parts[0].isidentifier() and self._is(after, TokenType.L_PAREN):
            return parts[0]  # of a function: those are known by plain words
        return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
