"""Text to a parsed statement: exactly one, in one of three dialects."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql import definitions, session_grammar
from headwater.sql.governance_grammar import is_governance, parse_governance
from headwater.sql.hints import did_you_mean
from headwater.sql.statements import (
    Delete,
    Explain,
    Insert,
    Merge,
    ParsedStatement,
    Query,
    Truncate,
    Update,
)
from headwater.sql.tokens import Cursor, tokenize
from headwater.sql.trees import is_query, node_position, parse_tree, table_name

_TREE_WORDS = frozenset(
    {"SELECT", "WITH", "VALUES", "TABLE", "FROM", "(", "INSERT", "UPDATE", "DELETE", "MERGE"}
)

SUPPORTED = (
    "SELECT, VALUES, TABLE, WITH, INSERT, UPDATE, DELETE, MERGE, TRUNCATE, CREATE, DROP, ALTER, "
    "COMMENT, SHOW, DESCRIBE, EXPLAIN, USE, SET, RESET, PREPARE, EXECUTE, DEALLOCATE, "
    "START TRANSACTION, COMMIT, ROLLBACK, GRANT, REVOKE, DENY"
)

_OTHERS: dict[str, Callable[[Cursor], ParsedStatement]] = {
    "CREATE": definitions.create,
    "DROP": definitions.drop,
    "ALTER": definitions.alter,
    "COMMENT": definitions.comment,
    "SHOW": session_grammar.show,
    "DESCRIBE": session_grammar.describe,
    "DESC": session_grammar.describe,
    "USE": session_grammar.use,
    "SET": session_grammar.set_,
    "RESET": session_grammar.reset,
    "PREPARE": session_grammar.prepare,
    "EXECUTE": session_grammar.execute,
    "DEALLOCATE": session_grammar.deallocate,
    "START": session_grammar.transaction,
    "BEGIN": session_grammar.transaction,
    "COMMIT": session_grammar.transaction,
    "ROLLBACK": session_grammar.transaction,
}


_ADVICE = frozenset({"CACHE", "UNCACHE", "CLEAR", "REFRESH", "ANALYZE", "MSCK"})
"""What Spark's clients send to make other engines faster."""


def parse(text: str, dialect: Dialect) -> ParsedStatement:
    """The one statement that a text holds (a closing `;` is fine).

    Raises SYNTAX_ERROR with a place and a hint, and NOT_SUPPORTED for statements that we lack.
    """
    tokens = tokenize(text, dialect)
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    if not tokens:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement is empty", hint="try SELECT 1")
    first = tokens[0].text.split()[0].upper()
    if first in _TREE_WORDS:
        return _from_tree(parse_tree(text, dialect, tokens), dialect)
    cursor = Cursor.over(text, dialect)
    for place, token in enumerate(cursor.tokens):
        if token.token_type is TokenType.SEMICOLON and not cursor.looking_at("PREPARE"):
            cursor.index = place
            raise cursor.fail("more than one statement", hint="send statements one by one")
    if is_governance(cursor):
        return parse_governance(cursor)
    if first == "EXPLAIN":
        return _explain(cursor)
    if first == "TRUNCATE":
        cursor.expect("TRUNCATE")
        cursor.match("TABLE")
        name = cursor.name("the name of a table")
        cursor.expect_end()
        return Truncate(name)
    if first in _ADVICE and dialect is Dialect.SPARK:
        return session_grammar.nothing(cursor)
    if first in _OTHERS:
        return _OTHERS[first](cursor)
    known = [*_TREE_WORDS, *_OTHERS, "EXPLAIN", "TRUNCATE", "GRANT", "REVOKE", "DENY"]
    guess = did_you_mean(first, known)
    raise error(
        ErrorCode.SYNTAX_ERROR if guess else ErrorCode.NOT_SUPPORTED,
        f"a statement cannot start with {first[:40]}",
        hint=guess or f"supported: {SUPPORTED}",
        position=cursor.position,
    )


def _explain(cursor: Cursor) -> Explain:
    cursor.expect("EXPLAIN")
    analyze = cursor.match("ANALYZE")
    cursor.match_any("VERBOSE", "EXTENDED", "FORMATTED", "COST")
    json = False
    if cursor.looking_at("(", "TYPE") or cursor.looking_at("(", "FORMAT"):
        json = "FORMAT JSON" in " ".join(cursor.bracketed().upper().replace(",", " ").split())
    inner = parse(cursor.rest(), cursor.dialect)
    if isinstance(inner, Explain):
        raise cursor.fail("EXPLAIN cannot explain itself")
    return Explain(inner, analyze, json)


def _from_tree(tree: exp.Expr, dialect: Dialect) -> ParsedStatement:
    if is_query(tree):
        return Query(tree)
    with_ = tree.args.get("with_")
    if isinstance(tree, exp.Insert):
        return _insert(tree, dialect)
    if with_ is not None:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "WITH cannot stand before UPDATE, DELETE or MERGE",
            hint="put the query into the FROM, USING or WHERE part",
        )
    if isinstance(tree, exp.Update):
        return Update(table_name(tree.this), tree)
    if isinstance(tree, exp.Delete):
        return Delete(table_name(tree.this), tree)
    if isinstance(tree, exp.Merge):
        return Merge(table_name(tree.this), tree)
    raise error(
        ErrorCode.NOT_SUPPORTED, "this statement is not supported", hint=f"supported: {SUPPORTED}"
    )


def _insert(tree: exp.Insert, dialect: Dialect) -> Insert:
    for unknown in ("conflict", "returning", "partition", "ignore", "exists"):
        if tree.args.get(unknown):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"INSERT with {unknown.replace('_', ' ').upper()} is not supported",
                hint="write INSERT INTO name (columns) SELECT …",
                position=node_position(tree),
            )
    source = tree.args.get("source")
    query = tree.expression
    if query is None and isinstance(source, exp.Table):
        query = exp.Select(expressions=[exp.Star()], from_=exp.From(this=source))
    if query is None or not is_query(query):
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "INSERT needs a query",
            hint="write INSERT INTO name (columns) SELECT … or VALUES …",
            position=node_position(tree),
        )
    query.pop()
    if (with_ := tree.args.get("with_")) is not None:
        query.set("with_", with_)
    columns: tuple[str, ...] | None = None
    table = tree.this
    if isinstance(table, exp.Schema):
        columns = tuple(column.name for column in table.expressions)
        table = table.this
    return Insert(
        table_name(tree.this),
        columns,
        query,
        bool(tree.args.get("overwrite")),
        bool(tree.args.get("by_name")),
        _partition(table.args.get("partition")),
        tree.args.get("where"),
    )


def _partition(node: exp.Expr | None) -> tuple[tuple[str, exp.Expr | None], ...]:
    """The columns of PARTITION (a = 1, b), a constant or nothing for each."""
    found: list[tuple[str, exp.Expr | None]] = []
    for item in node.expressions if node is not None else ():
        column, value = (item.this, item.expression) if isinstance(item, exp.EQ) else (item, None)
        if not isinstance(column, exp.Column | exp.Identifier):
            raise error(
                ErrorCode.SYNTAX_ERROR,
                "PARTITION takes columns, each with a constant or without",
                hint="write PARTITION (day = DATE '2026-01-01', hour)",
                position=node_position(item),
            )
        found.append((column.name, value))
    return tuple(found)
