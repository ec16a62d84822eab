"""Spark SQL to trees and back, for the user process: only what is on the lists gets through.

The trees keep the names of functions and the order of their arguments: what the user process gets
says what the user wrote, and yet is emitted from the tree, never copied from the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.functions import (
    FUNCTIONS,
    SESSION_FUNCTIONS,
    TABLE_FUNCTIONS,
    is_function,
    is_refused,
    refused_function,
    words,
)
from headwater.gateway.spark_connect.plans.table_arguments import (
    TableArgument,
    TableArgumentParser,
    check_table_argument,
    table_argument_sql,
)
from headwater.model.statement import Dialect
from headwater.sql.intervals import bracketed
from headwater.sql.tokens import tokenize
from headwater.sql.trees import guarded

_SUBSTITUTED = "${"
_PLAIN = re.compile(r"\w*|\?")
_TABLE = re.compile(r"\s*TABLE\s+(?=[\w`])", re.IGNORECASE)

_SYNTAX = words(
    "CAST TRY_CAST EXTRACT POSITION TRIM OVERLAY SUBSTRING SUBSTR BROADCAST BROADCASTJOIN MAPJOIN "
    "MERGE MERGEJOIN SHUFFLEMERGE SHUFFLE_HASH SHUFFLE_REPLICATE_NL"
)


class SparkText(Spark):
    """Spark's dialect, in which a function keeps its name and its arguments."""

    class Parser(TableArgumentParser):
        """Knows those functions alone whose arguments are no mere list."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        # `array(1, 2)[0]` is an element; in Spark no brackets make an array.
        ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parse for name, parse in Spark.Parser.FUNCTION_PARSERS.items() if name in _SYNTAX
        }

    class Generator(Spark.Generator):  # type: ignore[misc, valid-type]
        """Writes Spark's own functions as Spark names the columns that they make."""

        # Spark has WITH inside queries; Hive has not, and moved up, its names would hide others.
        EXPRESSIONS_WITHOUT_NESTED_CTES: ClassVar[set[Any]] = set()
        TRANSFORMS: ClassVar[dict[Any, Any]] = {
            **Spark.Generator.TRANSFORMS,
            TableArgument: table_argument_sql,
        }
        # Hive has no TIME, so sqlglot writes TIMESTAMP for it.
        TYPE_MAPPING: ClassVar[dict[Any, str]] = {
            **Spark.Generator.TYPE_MAPPING,
            exp.DataType.Type.TIME: "TIME",
        }

        def datatype_sql(self, expression: exp.DataType) -> str:
            """A type; the digits of a TIME's seconds stay."""
            if expression.is_type(exp.DataType.Type.TIME) and expression.expressions:
                return f"TIME({self.expressions(expression, flat=True)})"
            return str(super().datatype_sql(expression))

        def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
            """A cast; `DATE '2026-01-01'` stays what it is, for a column is named after it."""
            # sqlglot takes Spark's CAST for a TRY_CAST, so these come from no CAST.
            written = type(expression) is exp.Cast and expression.this.is_string
            if written and expression.to.this is exp.DataType.Type.DATE:
                return f"DATE {self.sql(expression.this)}"
            return str(super().cast_sql(expression, safe_prefix))

        def normalize_func(self, name: str) -> str:
            """The name of a function, in small letters unless it is a user's."""
            return name.lower() if is_function(name) else name


_TREE = words(
    """
    Add Alias Aliases All Any And Array AtTimeZone Between BitwiseAnd BitwiseLeftShift BitwiseNot
    BitwiseOr BitwiseRightShift BitwiseXor Boolean Bracket CTE Case Cast Cluster Collate Column
    ColumnDef Concat Cube CurrentDate CurrentTime CurrentTimestamp CurrentUser DPipe DataType
    DataTypeParam Distinct Distribute Div Dot EQ Escape Except Exists Extract Filter From GT GTE
    Group GroupingSets Having HexString Hint HistoricalData ILike Identifier If IgnoreNulls In
    IntDiv Intersect Interval IntervalSpan Is Join JoinHint Kwarg LT LTE Lambda Lateral Like
    LikeAll LikeAny Limit Literal Localtimestamp Mod Mul NEQ NamedWindow Neg Not Null NullSafeEQ
    NullSafeNEQ Offset Or Order Ordered Overlay Paren Pivot PivotAlias Placeholder PropertyEQ
    Qualify RawString RegexpLike RespectNulls Rollup Schema Select SessionUser Sort Slice Star
    StrPosition Struct Sub Subquery Substring TableAlias TableArgument TableSample Table Transform
    Trim Tuple TryCast Union Unpivot UnpivotColumns Values Var Version Where Window WindowSpec With
    WithinGroup
    """
)
"""Kinds of tree nodes that may stand in a query or expression."""

_TABLE_PARTS = words(
    "this db catalog alias sample joins pivots hints version when laterals ordinality"
)


def parse_statement(text: str) -> exp.Expr:
    """The tree of the one statement that a text holds; SYNTAX_ERROR, or NOT_SUPPORTED."""
    if (table := _TABLE.match(text)) is not None:
        text = "SELECT * FROM " + text[table.end() :]
    return _parse(text)


def parse_expression(text: str) -> exp.Expr:
    """The tree of one expression, perhaps with an alias (`expr`, `selectExpr`, `filter`)."""
    tree = _parse(f"SELECT {text}\n")
    if (
        not isinstance(tree, exp.Select)
        or len(tree.expressions) != 1
        or any(value for key, value in tree.args.items() if key != "expressions")
    ):
        raise error(ErrorCode.SYNTAX_ERROR, f"expected one expression: {text[:100]!r}")
    found: exp.Expr = tree.expressions[0]
    found.pop()
    return found


def _parse(text: str) -> exp.Expr:
    tokens: list[Token] = tokenize(text, Dialect.SPARK)
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement is empty", hint="try SELECT 1")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise error(
            ErrorCode.SYNTAX_ERROR, "more than one statement", hint="send statements one by one"
        )
    parser = SparkText().parser(error_level=ErrorLevel.IMMEDIATE)
    tokens = bracketed(tokens)
    try:
        trees = guarded(lambda: parser.parse(tokens, text))
    except ParseError as failure:
        details = failure.errors[0] if failure.errors else {}
        found = str(details.get("highlight") or "")[:40]
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "the statement cannot be parsed" + (f" near {found!r}" if found else ""),
        ) from failure
    except (SqlglotError, TokenError, ValueError, TypeError, AttributeError, KeyError) as failure:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement cannot be parsed") from failure
    if len(trees) != 1 or trees[0] is None:
        raise error(ErrorCode.SYNTAX_ERROR, "expected one statement")
    return trees[0]


def emit(tree: exp.Expr) -> str:
    """The tree as Spark SQL, every name in backquotes and without comments.

    Spark puts settings in place of `${…}` before it parses, so none may be in its text.
    """

    def run() -> str:
        for node in list(tree.find_all(exp.Literal)):
            if node.is_string and _SUBSTITUTED in node.this:
                parts = node.this.split(_SUBSTITUTED)
                pieces = [exp.Literal.string(parts[0] + "$")]
                pieces += [exp.Literal.string("{" + part + "$") for part in parts[1:-1]]
                pieces.append(exp.Literal.string("{" + parts[-1]))
                node.replace(exp.Anonymous(this="concat", expressions=pieces))
        return tree.sql(dialect=SparkText, comments=False, identify=True, normalize_functions=False)

    text = guarded(run)
    if _SUBSTITUTED in text:
        raise error(ErrorCode.NOT_SUPPORTED, "a name with ${ is not supported in Spark SQL here")
    return text


def emit_checked(
    tree: exp.Expr, functions: frozenset[str], parse: Callable[[str], exp.Expr]
) -> str:
    """As `emit`; the text is read once more, and must say what the tree says and nothing else."""
    text = emit(tree)
    again = parse(text)
    check_tree(again, functions, lambda _name: None)
    if emit(again) != text or _names(again) != _names(tree):
        raise error(ErrorCode.NOT_SUPPORTED, "this SQL cannot be passed on safely")
    return text


def _names(tree: exp.Expr) -> list[str]:
    """Every table that a tree names, and every table function, whose case means nothing."""
    return sorted(
        ".".join(
            part.name if isinstance(part, exp.Identifier) else part.name.lower()
            for part in node.parts
        )
        for node in tree.find_all(exp.Table)
    )


def is_query(tree: exp.Expr) -> bool:
    """True for SELECT, VALUES, set operations and FROM-first queries."""
    return isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery | exp.Values | exp.Table)


def check_tree(tree: exp.Expr, functions: frozenset[str], used: Callable[[str], None]) -> None:
    """Raises for a node or function that is not on the lists.

    `functions` are the session's registered ones; `used` is told each of them that is called.
    """
    for hint in list(tree.find_all(exp.Hint)):
        if not all(_is_hint(part) for part in hint.expressions):
            hint.pop()
    for node in list(tree.walk()):
        kind = type(node).__name__
        if isinstance(node.parent, exp.Hint):
            continue
        if isinstance(node, exp.Anonymous):
            _check_function(node, functions, used)
            _keep_unit(node)
        elif isinstance(node, exp.Var | exp.Placeholder) and not _PLAIN.fullmatch(node.name):
            # These are written as they are, without quotes.
            raise error(ErrorCode.SYNTAX_ERROR, f"{node.name[:60]!r} cannot stand here")
        elif kind not in _TREE:
            raise error(ErrorCode.NOT_SUPPORTED, f"{kind} is not supported in Spark SQL here")
        elif isinstance(node, exp.Table):
            _check_table(node)
        elif isinstance(node, exp.Column):
            _check_column(node)
        elif isinstance(node, exp.Lateral):
            _check_lateral(node)
        elif isinstance(node, TableArgument):
            check_table_argument(node)


def _check_function(
    node: exp.Anonymous, functions: frozenset[str], used: Callable[[str], None]
) -> None:
    name = node.name if isinstance(node.this, str | exp.Identifier) else ""
    lowered = name.lower()
    if not _PLAIN.fullmatch(name) or is_refused(lowered):
        raise refused_function(name)
    if isinstance(node.parent, exp.Table | exp.Lateral) and node.arg_key == "this":
        if lowered in TABLE_FUNCTIONS or lowered in functions:
            if lowered in functions:
                used(lowered)
            return
        raise refused_function(name)
    if isinstance(node.parent, exp.Dot) and node.arg_key == "expression":
        raise error(ErrorCode.FUNCTION_NOT_FOUND, f"functions have no schemas here: {name[:60]!r}")
    if lowered in functions:
        used(lowered)
    elif lowered not in FUNCTIONS and lowered not in SESSION_FUNCTIONS:
        raise refused_function(name)


_HINTS = words(
    """
    broadcast broadcastjoin mapjoin merge mergejoin shufflemerge shuffle_merge shuffle_hash
    shuffle_replicate_nl coalesce repartition repartition_by_range rebalance
    """
)


def _is_hint(node: exp.Expr) -> bool:
    return isinstance(node, exp.JoinHint | exp.Anonymous | exp.Var | exp.Column) and (
        str(node.name or node.this).lower() in _HINTS
    )


_UNITS = words(
    "dateadd date_add datediff date_diff timediff timestampadd timestampdiff timestamp_add"
    " timestamp_diff"
)


def _keep_unit(node: exp.Anonymous) -> None:
    """The unit of `dateadd(DAY, 1, d)` is a keyword, no column."""
    if node.name.lower() in _UNITS and len(node.expressions) == 3:
        unit = node.expressions[0]
        if isinstance(unit, exp.Column) and len(unit.parts) == 1 and unit.name.isidentifier():
            unit.replace(exp.Var(this=unit.name.upper()))


def _check_lateral(node: exp.Lateral) -> None:
    if not isinstance(node.this, exp.Anonymous | exp.Subquery | exp.Table):
        raise error(ErrorCode.NOT_SUPPORTED, "LATERAL needs a table function or a subquery")


def _check_table(table: exp.Table) -> None:
    if unknown := {key for key, value in table.args.items() if value} - _TABLE_PARTS:
        raise error(
            ErrorCode.NOT_SUPPORTED, f"a table with {min(unknown)} is not supported in Spark SQL"
        )
    if isinstance(table.this, exp.Anonymous):
        if table.args.get("db"):
            raise error(ErrorCode.FUNCTION_NOT_FOUND, "table functions have no schemas here")
        return
    if not all(isinstance(part, exp.Identifier) for part in table.parts):
        raise error(ErrorCode.NOT_SUPPORTED, "a table needs a plain name")


def _check_column(column: exp.Column) -> None:
    if any(part.name.lower() == "_metadata" for part in column.parts):
        raise hidden_column()


def hidden_column() -> Exception:
    """The error for `_metadata`, which tells where a table's files lie."""
    return error(
        ErrorCode.PERMISSION_DENIED,
        "the column _metadata cannot be read: it tells where a table's files lie",
    )


def with_constants(tree: exp.Expr, constants: Callable[[str], str | None]) -> exp.Expr:
    """The tree with the functions of the session replaced by what they stand for.

    A column of a query keeps the name that Spark gives it.
    """
    for node in list(_session_nodes(tree)):
        name = node.name if isinstance(node, exp.Anonymous) else _CONSTANT_NAMES[type(node)]
        value = constants(name.lower())
        literal: exp.Expr = exp.Null() if value is None else exp.Literal.string(value)
        if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            title = exp.to_identifier(title_of(name), quoted=True)
            literal = exp.Alias(this=literal, alias=title)
        if node is tree:
            return literal
        node.replace(literal)
    return tree


def title_of(name: str) -> str:
    """The name that Spark gives a column which is one of the session's functions."""
    return f"{name.lower()}()"


_CONSTANT_NAMES: dict[type, str] = {
    exp.CurrentUser: "current_user",
    exp.SessionUser: "session_user",
}


def _session_nodes(tree: exp.Expr) -> Iterable[exp.Expr]:
    for node in tree.find_all(exp.Anonymous, *_CONSTANT_NAMES):
        if not isinstance(node, exp.Anonymous) or node.name.lower() in SESSION_FUNCTIONS:
            yield node
