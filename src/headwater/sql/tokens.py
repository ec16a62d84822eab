"""A statement's tokens and a cursor over them, for the statements that sqlglot does not parse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from sqlglot.dialects.dialect import Dialect as Grammar
from sqlglot.errors import ErrorLevel, TokenError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType

from headwater.errors import ErrorCode, HeadwaterError, Position, error
from headwater.model.statement import Dialect
from headwater.sql.hints import syntax_hint
from headwater.sql.spark_parser import SparkGrammar
from headwater.sql.statements import Name

MAX_NESTING = 200
"""How deep brackets may nest; deeper text is refused before any recursive code sees it."""

MAX_TYPE_NESTING = 50
"""How many ARRAY<, MAP< and STRUCT< a statement may have: parsing takes their square in time."""

_OPENS = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSES = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_NESTED_TYPES = frozenset({TokenType.ARRAY, TokenType.MAP, TokenType.STRUCT})
_WORD = frozenset({TokenType.VAR, TokenType.IDENTIFIER})
_LITERAL = frozenset(
    {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.NATIONAL_STRING,
        TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.UNICODE_STRING,
        TokenType.BYTE_STRING,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
    }
)


@cache
def grammar(dialect: Dialect) -> Grammar:
    """The sqlglot dialect that reads or writes a dialect of ours."""
    return Grammar.get_or_raise(str(dialect))


def parser(dialect: Dialect) -> Parser:
    """A parser of a dialect of ours; it raises at the first error."""
    kind = SparkGrammar if dialect is Dialect.SPARK else grammar(dialect).parser_class
    return kind(dialect=grammar(dialect), error_level=ErrorLevel.IMMEDIATE)


def position_at(text: str, offset: int) -> Position:
    """Line and column, both 1-based, of an offset into a text."""
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def raw_tokens(text: str, dialect: Dialect) -> list[Token]:
    """The text's tokens, whatever they are; raises sqlglot's own errors.

    In Spark 4 a doubled quote in a string is a quote; sqlglot takes `'O''Brien'` for two strings,
    of which Spark 3 made one without the quote.
    """
    tokens: list[Token] = list(grammar(dialect).tokenize(text))
    if dialect is not Dialect.SPARK or ("''" not in text and '""' not in text):
        return tokens
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.token_type is token.token_type is TokenType.STRING
            and last.end + 1 == token.start
            and text[last.end] == text[token.start]
        ):
            joined[-1] = Token(
                TokenType.STRING,
                last.text + text[token.start] + token.text,
                last.line,
                token.col,
                last.start,
                token.end,
                last.comments + token.comments,
            )
        else:
            joined.append(token)
    return joined


def tokenize(text: str, dialect: Dialect) -> list[Token]:
    """The text's tokens; SYNTAX_ERROR for what cannot be a token, such as an open quote."""
    _check_text(text)
    try:
        tokens = raw_tokens(text, dialect)
    except (TokenError, ValueError) as failure:
        place, hint = _unclosed(text) or (None, "look for an unmatched quote or comment")
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "the statement cannot be split into tokens",
            hint=hint,
            position=None if place is None else position_at(text, place),
        ) from failure
    _check_nesting(text, tokens)
    return tokens


def _check_nesting(text: str, tokens: list[Token]) -> None:
    depth = angles = 0
    before: TokenType | None = None
    for token in tokens:
        kind = token.token_type
        if kind in _OPENS:
            depth += 1
        elif kind in _CLOSES:
            depth -= 1
        elif kind is TokenType.LT and before in _NESTED_TYPES:
            # ARRAY<MAP<…: the brackets of types. Their closing is told from `>` by nothing but
            # the grammar, so they only count up; a statement has few of them.
            angles += 1
        if depth > MAX_NESTING or angles > MAX_TYPE_NESTING:
            raise too_deep(position_at(text, token.start))
        before = kind


def too_deep(position: Position | None = None) -> HeadwaterError:
    """The error for a statement that nests deeper than we walk."""
    return error(
        ErrorCode.SYNTAX_ERROR,
        "the statement nests too deeply",
        hint="split it with WITH, or replace a long chain of OR by IN",
        position=position,
    )


def _check_text(text: str) -> None:
    for offset, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise error(
                ErrorCode.SYNTAX_ERROR,
                f"the character U+{ord(character):04X} is not allowed in a statement",
                hint="statements are Unicode text without NUL",
                position=position_at(text, offset),
            )


def _unclosed(text: str) -> tuple[int, str] | None:
    """Where the quote or comment begins that never ends, and what to tell of it."""
    at = 0
    while (opening := _OPENING.search(text, at)) is not None:
        what, closing = _CLOSING[opening.group()]
        end = text.find(closing, opening.end())
        if end < 0:
            told = f"{what} is not closed: missing {closing}"
            return None if closing == "\n" else (opening.start(), told)
        at = end + len(closing)
    return None


_CLOSING = {
    "'": ("a string", "'"),
    '"': ("a quoted name", '"'),
    "`": ("a quoted name", "`"),
    "/*": ("a comment", "*/"),
    "--": ("a comment", "\n"),
}
_OPENING = re.compile("|".join(map(re.escape, _CLOSING)))


@dataclass(slots=True)
class Cursor:
    """A place in a statement's tokens that moves forward as keywords, names and values match."""

    text: str
    dialect: Dialect
    tokens: list[Token]
    index: int = 0
    shift: int = 0

    @classmethod
    def over(cls, text: str, dialect: Dialect) -> Cursor:
        """A cursor at the start of a statement."""
        # sqlglot makes one token of everything after SHOW, EXECUTE and the like when they stand
        # first, so something else stands first here.
        prefix = "( "
        tokens = [
            word
            for token in tokenize(prefix + text, dialect)[1:]
            for word in _words(token, prefix + text)
        ]
        return cls(text, dialect, tokens, shift=len(prefix))

    def peek(self, ahead: int = 0) -> Token | None:
        """The token at the cursor, or some tokens ahead; None after the end."""
        place = self.index + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    @property
    def at_end(self) -> bool:
        """True when everything was read."""
        return self.index >= len(self.tokens)

    @property
    def offset(self) -> int:
        """The offset into the text of the token at the cursor."""
        token = self.peek()
        return len(self.text) if token is None else token.start - self.shift

    @property
    def position(self) -> Position:
        """The place of the token at the cursor."""
        return position_at(self.text, self.offset)

    def looking_at(self, *words: str, ahead: int = 0) -> bool:
        """True when the next tokens are these keywords or symbols; nothing is read."""
        for distance, word in enumerate(words):
            token = self.peek(ahead + distance)
            if token is None or token.text.upper() != word:
                return False
            if token.token_type is TokenType.IDENTIFIER or token.token_type in _LITERAL:
                return False
        return True

    def match(self, *words: str) -> bool:
        """Reads these keywords or symbols if they come next, and says whether they did."""
        if not self.looking_at(*words):
            return False
        self.index += len(words)
        return True

    def match_any(self, *words: str) -> str | None:
        """Reads one of several keywords if it comes next, and says which."""
        return next((word for word in words if self.match(word)), None)

    def expect(self, *words: str) -> None:
        """Reads these keywords or symbols, or fails."""
        for word in words:
            if not self.match(word):
                raise self.fail(f"expected {word}")

    def identifier(self, what: str = "a name") -> str:
        """Reads one name, quoted or not."""
        token = self.peek()
        if token is None or not self._is_name(token):
            raise self.fail(f"expected {what}")
        self.index += 1
        return token.text

    def name(self, what: str = "a name") -> Name:
        """Reads a dotted name."""
        position = self.position
        parts = [self.identifier(what)]
        while self.match("."):
            parts.append(self.identifier("a name after the dot"))
        return Name(tuple(parts), position)

    def string(self, what: str = "a string") -> str:
        """Reads a string literal."""
        token = self.peek()
        if token is None or token.token_type not in (
            TokenType.STRING,
            TokenType.NATIONAL_STRING,
            TokenType.UNICODE_STRING,
            TokenType.RAW_STRING,
        ):
            if token is not None and self.dialect is Dialect.DUCKDB:
                raise self.fail(f"expected {what}", hint="strings are quoted with '")
            raise self.fail(f"expected {what}")
        self.index += 1
        return token.text

    def integer(self, what: str = "a whole number") -> int:
        """Reads a whole number, with an optional minus sign."""
        negative = self.match("-")
        token = self.peek()
        if token is None or token.token_type is not TokenType.NUMBER or not token.text.isdigit():
            raise self.fail(f"expected {what}")
        self.index += 1
        return -int(token.text) if negative else int(token.text)

    def names_in_brackets(self, what: str = "a column name") -> tuple[str, ...]:
        """Reads `(a, b, …)`."""
        self.expect("(")
        names = [self.identifier(what)]
        while self.match(","):
            names.append(self.identifier(what))
        self.expect(")")
        return tuple(names)

    def bracketed(self) -> str:
        """Reads a balanced `( … )` and gives what is inside, other text blanked out."""
        self.expect("(")
        start, depth = self.offset, 1
        while (token := self.peek()) is not None:
            if token.token_type is TokenType.L_PAREN:
                depth += 1
            elif token.token_type is TokenType.R_PAREN:
                depth -= 1
                if not depth:
                    inside = blank(self.text, start, token.start - self.shift)
                    self.index += 1
                    return inside
            self.index += 1
        raise self.fail("a bracket is not closed: missing )")

    def rest(self) -> str:
        """The text from the cursor on, everything before it blanked so that places stay right."""
        return blank(self.text, self.offset, len(self.text))

    def expect_end(self) -> None:
        """Fails unless everything was read."""
        if not self.at_end:
            raise self.fail("unexpected text after the statement")

    def fail(self, message: str, *, hint: str | None = None) -> HeadwaterError:
        """The SYNTAX_ERROR for what stands at the cursor, to be raised."""
        token = self.peek()
        found = "the statement ends" if token is None else f"found {token.text[:40]!r}"
        return error(
            ErrorCode.SYNTAX_ERROR,
            f"{message}, {found}",
            hint=hint or syntax_hint(None if token is None else token.text, message),
            position=self.position,
        )

    def _is_name(self, token: Token) -> bool:
        if token.token_type in _WORD:
            return True
        return token.token_type not in _LITERAL and bool(token.text) and _is_word(token.text)


def _words(token: Token, text: str) -> list[Token]:
    """The single words of a token such as PARTITIONED BY, which sqlglot reads as one."""
    source = text[token.start : token.end + 1]
    if token.token_type is TokenType.IDENTIFIER or token.token_type in _LITERAL:
        return [token]
    words = list(re.finditer(r"\w+", source))
    if len(words) < 2 or not source.replace(" ", "").replace("\n", "").isalpha():
        return [token]
    return [
        Token(
            TokenType.VAR,
            word[0],
            token.line,
            token.col,
            token.start + word.start(),
            token.start + word.end() - 1,
        )
        for word in words
    ]


def _is_word(text: str) -> bool:
    return (text[0].isalpha() or text[0] == "_") and all(
        character.isalnum() or character in "_$@" for character in text
    )


def blank(text: str, start: int, end: int) -> str:
    """The text with everything outside [start, end) turned to spaces, line breaks kept."""
    before = "".join(character if character == "\n" else " " for character in text[:start])
    return before + text[start:end]
