"""Grammar of statements about the session and of SHOW and DESCRIBE."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.statements import (
    Deallocate,
    DescribePrepared,
    Execute,
    Name,
    Nothing,
    ParsedStatement,
    Prepare,
    SetRole,
    SetSession,
    Show,
    TransactionControl,
    Use,
)
from headwater.sql.tokens import Cursor
from headwater.sql.trees import parse_expression

_SHOWS = (
    "CATALOGS, SCHEMAS, TABLES, VIEWS, COLUMNS, FUNCTIONS, SESSION, STATS FOR, "
    "CREATE TABLE|VIEW|SCHEMA, PARTITIONS, TBLPROPERTIES, GRANTS, ROLES, USERS, POLICIES"
)


def show(cursor: Cursor) -> ParsedStatement:
    """SHOW CATALOGS | SCHEMAS | TABLES | VIEWS | COLUMNS | FUNCTIONS | SESSION | STATS | …"""
    cursor.expect("SHOW")
    if cursor.match("CREATE"):
        kind = cursor.match_any("TABLE", "VIEW", "SCHEMA", "DATABASE", "NAMESPACE")
        if kind is None and cursor.dialect is Dialect.TRINO:
            raise cursor.fail("expected TABLE, VIEW or SCHEMA")
        what = {"VIEW": "create_view", "TABLE": "create_table", None: "create_table"}.get(
            kind, "create_schema"
        )
        return _end(cursor, Show(what, cursor.name()))
    if cursor.match("STATS"):
        cursor.expect("FOR")
        return _end(cursor, Show("stats", cursor.name()))
    if cursor.match("CATALOGS") or (cursor.dialect is Dialect.DUCKDB and cursor.match("DATABASES")):
        return _filtered(cursor, "catalogs", None)
    if cursor.match_any("SCHEMAS", "DATABASES", "NAMESPACES"):
        name = cursor.name() if cursor.match_any("FROM", "IN") else None
        return _filtered(cursor, "schemas", name)
    if cursor.match("ALL", "TABLES"):
        return _end(cursor, Show("tables"))
    if what_word := cursor.match_any("TABLES", "VIEWS", "FUNCTIONS"):
        name = cursor.name() if cursor.match_any("FROM", "IN") else None
        return _filtered(cursor, what_word.lower(), name)
    if cursor.match("COLUMNS"):
        if not cursor.match_any("FROM", "IN"):
            raise cursor.fail("expected FROM")
        return _filtered(cursor, "columns", cursor.name())
    if cursor.match("SESSION"):
        return _filtered(cursor, "session", None)
    if cursor.match("PARTITIONS"):
        cursor.match_any("FROM", "IN")
        return _end(cursor, Show("partitions", cursor.name()))
    if cursor.match("TBLPROPERTIES"):
        name = cursor.name()
        wanted = cursor.bracketed().strip() if cursor.looking_at("(") else None
        return _end(cursor, Show("properties", name, wanted.strip("'\"`") if wanted else None))
    if cursor.match("CURRENT") and cursor.match_any("NAMESPACE", "SCHEMA", "DATABASE"):
        return _end(cursor, Show("current_schema"))
    if cursor.at_end:
        raise cursor.fail("SHOW needs to know what", hint=f"supported: SHOW {_SHOWS}")
    token = cursor.peek()
    raise error(
        ErrorCode.NOT_SUPPORTED,
        f"there is no SHOW {token.text.upper()[:40] if token else ''}",
        hint=f"supported: SHOW {_SHOWS}",
        position=cursor.position,
    )


def _filtered(cursor: Cursor, what: str, name: Name | None) -> Show:
    like = escape = None
    pattern = cursor.peek()
    bare = (
        cursor.dialect is Dialect.SPARK
        and pattern is not None
        and pattern.token_type is TokenType.STRING
    )
    if cursor.match("LIKE") or bare:
        like = cursor.string("a pattern")
        if cursor.match("ESCAPE"):
            escape = cursor.string("an escape character")
    cursor.expect_end()
    return Show(what, name, like, escape)


def describe(cursor: Cursor) -> ParsedStatement:
    """DESCRIBE name, DESCRIBE INPUT name, DESCRIBE OUTPUT name."""
    cursor.index += 1
    following = cursor.peek(1)
    if following is not None and following.text != ".":
        if cursor.match("INPUT"):
            return _end(cursor, DescribePrepared(cursor.identifier(), output=False))
        if cursor.match("OUTPUT"):
            return _end(cursor, DescribePrepared(cursor.identifier(), output=True))
    if cursor.dialect is not Dialect.SPARK:
        cursor.match("TABLE")
        cursor.match_any("EXTENDED", "FORMATTED")
        return _end(cursor, Show("columns", cursor.name("the name of a table")))
    if following is not None and cursor.match_any("NAMESPACE", "DATABASE", "SCHEMA"):
        cursor.match("EXTENDED")
        return _end(cursor, Show("describe_schema", cursor.name("the name of a schema")))
    cursor.match("TABLE")
    extended = cursor.match_any("EXTENDED", "FORMATTED") is not None
    name = cursor.name("the name of a table")
    return _end(cursor, Show("describe_extended" if extended else "describe", name))


def nothing(cursor: Cursor) -> ParsedStatement:
    """CACHE, UNCACHE, REFRESH and ANALYZE TABLE, CLEAR CACHE: advice that needs no action here."""
    if cursor.match("CLEAR", "CACHE"):
        return _end(cursor, Nothing("CLEAR CACHE", None))
    word = cursor.match_any("CACHE", "UNCACHE", "REFRESH", "ANALYZE", "MSCK") or ""
    cursor.match_any("LAZY", "REPAIR")
    cursor.expect("TABLE")
    cursor.match("IF", "EXISTS")
    name = cursor.name("the name of a table")
    if word == "CACHE" and not cursor.at_end and not cursor.looking_at("OPTIONS"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "CACHE TABLE … AS is not supported",
            hint="CREATE TABLE … AS, or WITH in the query",
            position=cursor.position,
        )
    # What follows says how: options, columns, partitions.
    cursor.index = len(cursor.tokens)
    return Nothing(f"{word} TABLE", name)


def use(cursor: Cursor) -> ParsedStatement:
    """USE [catalog.]schema."""
    cursor.expect("USE")
    if cursor.dialect is Dialect.SPARK:
        cursor.match_any("SCHEMA", "DATABASE", "NAMESPACE", "CATALOG")
    return _end(cursor, Use(cursor.name("the name of a schema")))


def set_(cursor: Cursor) -> ParsedStatement:
    """SET SESSION name = value, SET ROLE name, and Spark's SET name = value."""
    cursor.expect("SET")
    if cursor.match("ROLE"):
        if cursor.match("ALL"):
            return _end(cursor, SetRole(None))
        return _end(cursor, SetRole(cursor.identifier("the name of a role")))
    if cursor.match("TIME", "ZONE"):
        return _end(cursor, SetSession("time_zone", cursor.string("a time zone")))
    if not cursor.match("SESSION") and cursor.dialect is not Dialect.SPARK:
        raise cursor.fail("expected SESSION or ROLE", hint="write SET SESSION name = value")
    name = str(cursor.name("the name of a setting"))
    cursor.expect("=")
    return SetSession(name, _value(cursor))


def _value(cursor: Cursor) -> str:
    value = parse_expression(cursor.rest(), cursor.dialect)
    if isinstance(value, exp.Literal):
        return str(value.this)
    if isinstance(value, exp.Boolean):
        return "true" if value.this else "false"
    if isinstance(value, exp.Neg) and isinstance(value.this, exp.Literal):
        return f"-{value.this.this}"
    if isinstance(value, exp.Column) and cursor.dialect is Dialect.SPARK:
        return value.sql()
    raise cursor.fail("expected a literal value", hint="a string, a number, true or false")


def reset(cursor: Cursor) -> ParsedStatement:
    """RESET SESSION name, and Spark's RESET name."""
    cursor.expect("RESET")
    if not cursor.match("SESSION") and cursor.dialect is not Dialect.SPARK:
        raise cursor.fail("expected SESSION", hint="write RESET SESSION name")
    return _end(cursor, SetSession(str(cursor.name("the name of a setting")), None))


def prepare(cursor: Cursor) -> ParsedStatement:
    """PREPARE name FROM statement."""
    cursor.expect("PREPARE")
    name = cursor.identifier("the name of the statement")
    if not cursor.match_any("FROM", "AS"):
        raise cursor.fail("expected FROM")
    if cursor.at_end:
        raise cursor.fail("expected a statement")
    return Prepare(name, cursor.text[cursor.offset :].strip())


def execute(cursor: Cursor) -> ParsedStatement:
    """EXECUTE name [USING …], EXECUTE IMMEDIATE 'text' [USING …]."""
    cursor.expect("EXECUTE")
    text = None
    name = ""
    if cursor.match("IMMEDIATE"):
        text = cursor.string("the statement as a string")
    else:
        name = cursor.identifier("the name of the statement")
    parameters: tuple[exp.Expr, ...] = ()
    if cursor.match("USING"):
        if cursor.at_end:
            raise cursor.fail("expected values")
        row = parse_expression(f"ROW({cursor.text[cursor.offset :]}\n)", Dialect.TRINO)
        if not isinstance(row, exp.Struct):
            raise cursor.fail("expected values")
        parameters = tuple(value.copy() for value in row.expressions)
        cursor.index = len(cursor.tokens)
    cursor.expect_end()
    return Execute(name, parameters, text)


def deallocate(cursor: Cursor) -> ParsedStatement:
    """DEALLOCATE PREPARE name."""
    cursor.expect("DEALLOCATE")
    cursor.match("PREPARE")
    return _end(cursor, Deallocate(cursor.identifier("the name of the statement")))


def transaction(cursor: Cursor) -> ParsedStatement:
    """START TRANSACTION, COMMIT and ROLLBACK."""
    if cursor.match("START", "TRANSACTION") or cursor.match("BEGIN"):
        # Isolation levels and access modes are promises that a single-statement engine keeps.
        while not cursor.at_end and cursor.match_any(
            "ISOLATION", "LEVEL", "READ", "ONLY", "WRITE", "COMMITTED", "UNCOMMITTED",
            "REPEATABLE", "SERIALIZABLE", "TRANSACTION", "WORK", ",",
        ):  # fmt: skip
            pass
        return _end(cursor, TransactionControl("start"))
    for action in ("COMMIT", "ROLLBACK"):
        if cursor.match(action):
            cursor.match_any("WORK", "TRANSACTION")
            return _end(cursor, TransactionControl(action.lower()))
    raise cursor.fail("expected START TRANSACTION, COMMIT or ROLLBACK")


def _end(cursor: Cursor, statement: ParsedStatement) -> ParsedStatement:
    cursor.expect_end()
    return statement
