"""Intervals of several parts, `INTERVAL 1 DAY 2 HOURS`, as one operand of what stands beside them.

sqlglot reads one as a sum without brackets, so that `t - INTERVAL 1 DAY 2 HOURS` would be written
again as `t - INTERVAL 1 DAY + INTERVAL 2 HOURS`; and it takes a number or string after
`INTERVAL 1 DAY +` for another part.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

_UNITS = frozenset(
    {"NANOSECOND", "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK"}
    | {"MONTH", "QUARTER", "YEAR"}
)
_VALUES = frozenset({TokenType.STRING, TokenType.NUMBER})
_SIGNS = frozenset({TokenType.PLUS, TokenType.DASH})


def bracketed(tokens: list[Token]) -> list[Token]:
    """The tokens with brackets around such intervals, and INTERVAL before each of the parts."""
    if not any(token.token_type is TokenType.INTERVAL for token in tokens):
        return tokens
    made: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        ends = _parts(tokens, place + 1) if token.token_type is TokenType.INTERVAL else []
        if not ends or (len(ends) == 1 and not _grows(tokens, ends[0])):
            made.append(token)
            place += 1
            continue
        made.append(_like(token, TokenType.L_PAREN, "("))
        begin = place + 1
        for end in ends:
            if begin > place + 1:
                made.append(_like(tokens[begin], TokenType.PLUS, "+"))
            made += [_like(token, TokenType.INTERVAL, token.text), *tokens[begin:end]]
            begin = end
        made.append(_like(tokens[begin - 1], TokenType.R_PAREN, ")"))
        place = begin
    return made


def _parts(tokens: list[Token], place: int) -> list[int]:
    """Where each part of an interval ends whose values begin at a place; empty for no interval."""
    ends: list[int] = []
    while True:
        if _kind(tokens, place) in _SIGNS and _kind(tokens, place + 1) in _VALUES:
            place += 1
        if _kind(tokens, place) not in _VALUES or not _is_unit(tokens, place + 1):
            return ends
        place += 2
        if _text(tokens, place) == "TO" and _is_unit(tokens, place + 1):
            place += 2
        # A sign that follows belongs to the next part, if a value and a unit are behind it: Spark
        # takes `INTERVAL 1 DAY - 2 HOURS` for one interval, too.
        ends.append(place)


def _grows(tokens: list[Token], place: int) -> bool:
    """True where sqlglot would take what follows a single part for another one."""
    plus = _kind(tokens, place) is TokenType.PLUS
    return _kind(tokens, place + plus) in _VALUES


def _kind(tokens: list[Token], place: int) -> TokenType | None:
    return tokens[place].token_type if place < len(tokens) else None


def _text(tokens: list[Token], place: int) -> str:
    return tokens[place].text.upper() if place < len(tokens) else ""


def _is_unit(tokens: list[Token], place: int) -> bool:
    text = _text(tokens, place)
    return text in _UNITS or text.removesuffix("S") in _UNITS


def _like(token: Token, kind: TokenType, text: str) -> Token:
    return Token(kind, text, token.line, token.col, token.start, token.end)
