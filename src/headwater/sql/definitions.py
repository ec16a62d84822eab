"""Grammar of CREATE, DROP, ALTER and COMMENT in the three dialects."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.sql.alter import alter_table
from headwater.sql.column_grammar import (
    bracketed_columns,
    literal_text,
    partition_fields,
    properties,
    split_partitioning,
    split_sorting,
)
from headwater.sql.statements import (
    AlterSchema,
    AlterTable,
    ColumnDefinition,
    CreateSchema,
    CreateTable,
    CreateView,
    DropSchema,
    DropTable,
    DropView,
    Name,
    ParsedStatement,
    PartitionField,
    RenameView,
    SetColumnComment,
    SetComment,
    SortField,
    TableOptions,
)
from headwater.sql.tokens import Cursor
from headwater.sql.trees import parse_query

_SCHEMA_WORDS = ("SCHEMA", "DATABASE", "NAMESPACE")


def create(cursor: Cursor) -> ParsedStatement:
    """CREATE SCHEMA | TABLE | VIEW."""
    cursor.expect("CREATE")
    or_replace = cursor.match("OR", "REPLACE")
    if cursor.looking_at("TEMPORARY") or cursor.looking_at("TEMP"):
        raise _refused(
            cursor, "temporary objects are not supported", "use WITH, or a schema of your own"
        )
    cursor.match("EXTERNAL")
    if cursor.match_any(*_SCHEMA_WORDS):
        return _create_schema(cursor)
    if cursor.match("TABLE"):
        return _create_table(cursor, or_replace)
    if cursor.match("VIEW"):
        return _create_view(cursor, or_replace)
    token = cursor.peek()
    raise _refused(
        cursor,
        f"CREATE {token.text.upper()[:40] if token else ''} is not supported".replace("  ", " "),
        "supported: CREATE SCHEMA, TABLE, VIEW, ROLE, USER, ROW FILTER, COLUMN MASK",
    )


def _refused(cursor: Cursor, message: str, hint: str) -> HeadwaterError:
    return error(ErrorCode.NOT_SUPPORTED, message, hint=hint, position=cursor.position)


def _if_not_exists(cursor: Cursor) -> bool:
    return cursor.match("IF", "NOT", "EXISTS")


def _create_schema(cursor: Cursor) -> CreateSchema:
    if_not_exists = _if_not_exists(cursor)
    name = cursor.name("the name of a schema")
    comment, found = None, {}
    while not cursor.at_end:
        if cursor.match("AUTHORIZATION"):
            raise _refused(cursor, "AUTHORIZATION is not supported", "the creator owns the schema")
        if cursor.match("COMMENT"):
            comment = cursor.string("a comment")
        elif cursor.match("WITH", "DBPROPERTIES") or cursor.match("WITH"):
            found.update(properties(cursor))
        elif cursor.match("LOCATION"):
            found["location"] = cursor.string("a location")
        else:
            raise cursor.fail("expected WITH or COMMENT")
    values = {key: literal_text(value, cursor) for key, value in found.items()}
    return CreateSchema(name, if_not_exists, comment, values)


@dataclass(slots=True)
class _Options:
    comment: str | None = None
    location: str | None = None
    format_version: int | None = None
    partitioning: tuple[PartitionField, ...] = ()
    sorting: tuple[SortField, ...] = ()
    properties: dict[str, str] = default(default_factory=dict)

    def done(self) -> TableOptions:
        return TableOptions(
            self.comment,
            self.location,
            self.format_version,
            self.partitioning,
            self.sorting,
            self.properties,
        )


def _create_table(cursor: Cursor, or_replace: bool) -> CreateTable:
    if_not_exists = _if_not_exists(cursor)
    name = cursor.name("the name of a table")
    columns: tuple[ColumnDefinition, ...] = ()
    names_only: tuple[str, ...] = ()
    if cursor.looking_at("(") and not cursor.looking_at("(", "SELECT"):
        if cursor.match("(", "LIKE"):
            like = cursor.name("the name of a table")
            if cursor.match_any("INCLUDING", "EXCLUDING"):
                cursor.expect("PROPERTIES")
            cursor.expect(")")
            options = _table_options(cursor)
            return CreateTable(name, (), options, if_not_exists, or_replace, like=like)
        if _is_name_list(cursor):
            names_only = cursor.names_in_brackets()
        else:
            columns = bracketed_columns(cursor)
    elif cursor.match("LIKE"):
        like = cursor.name("the name of a table")
        return CreateTable(name, (), _table_options(cursor), if_not_exists, or_replace, like=like)
    options = _table_options(cursor)
    if cursor.at_end:
        if not columns:
            raise cursor.fail(
                "a table needs columns", hint="write CREATE TABLE name (id bigint, …)"
            )
        _check_options(cursor, options, [column.name for column in columns])
        return CreateTable(name, columns, options, if_not_exists, or_replace)
    cursor.match("AS")
    text, with_data = _without_data(cursor)
    query = parse_query(text, cursor.dialect)
    if columns:
        raise cursor.fail("CREATE TABLE … AS takes names of columns, not their types")
    columns = tuple(ColumnDefinition(column, None) for column in names_only)
    return CreateTable(
        name, columns, options, if_not_exists, or_replace, query=query, with_data=with_data
    )


def _is_name_list(cursor: Cursor) -> bool:
    """True for `(a, b)`, the column names of CREATE TABLE AS."""
    ahead = 1
    while cursor.peek(ahead) is not None:
        after = cursor.peek(ahead + 1)
        if after is None:
            return False
        if after.text == ")":
            return True
        if after.text != ",":
            return False
        ahead += 2
    return False


def _without_data(cursor: Cursor) -> tuple[str, bool]:
    """The query's text, without WITH [NO] DATA at its end."""
    words = [token.text.upper() for token in cursor.tokens[-3:]]
    for size, ending in ((3, ["WITH", "NO", "DATA"]), (2, ["WITH", "DATA"])):
        if words[-size:] == ending:
            end = cursor.tokens[-size].start - cursor.shift
            return cursor.rest()[:end], size == 2
    return cursor.rest(), True


def _table_options(cursor: Cursor) -> TableOptions:
    options = _Options()
    while not cursor.at_end:
        if cursor.match("COMMENT"):
            cursor.match("=")
            options.comment = cursor.string("a comment")
        elif cursor.match("USING"):
            provider = cursor.identifier("a table format")
            # Spark's own default is the format of the tables' files.
            if provider.lower() not in ("iceberg", "parquet"):
                raise _refused(
                    cursor, f"tables of format {provider} are not supported", "USING iceberg"
                )
        elif cursor.match("PARTITIONED", "BY"):
            options.partitioning = partition_fields(cursor)
        elif cursor.match("LOCATION"):
            options.location = cursor.string("a location")
        elif cursor.looking_at("WITH", "("):
            cursor.expect("WITH")
            _with_properties(cursor, options)
        elif cursor.match_any("TBLPROPERTIES", "OPTIONS"):
            for key, value in properties(cursor).items():
                _set_property(options, key, literal_text(value, cursor))
        else:
            break
    return options.done()


def _with_properties(cursor: Cursor, options: _Options) -> None:
    for key, value in properties(cursor).items():
        match key.lower():
            case "partitioning" | "partitioned_by":
                options.partitioning = split_partitioning(value, cursor)
            case "sorted_by":
                options.sorting = split_sorting(value, cursor)
            case "extra_properties":
                raise _refused(
                    cursor, "extra_properties is not supported", "name the property directly"
                )
            case _:
                _set_property(options, key, literal_text(value, cursor))


def _set_property(options: _Options, key: str, value: str) -> None:
    match key.lower():
        case "format_version" | "format-version":
            if value not in ("1", "2", "3"):
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"there is no Iceberg format version {value[:20]!r}",
                    hint="1, 2 or 3",
                )
            options.format_version = int(value)
        case "location":
            options.location = value
        case "format":
            options.properties["write.format.default"] = value.lower()
        case _:
            options.properties[key] = value


def _check_options(cursor: Cursor, options: TableOptions, columns: list[str]) -> None:
    known = {column.casefold() for column in columns}
    used = [field.column for field in options.partitioning]
    used += [field.column for field in options.sorting]
    for column in used:
        if column.split(".")[0].casefold() not in known:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"the table has no column {column!r} to partition or sort by",
                position=cursor.position,
            )


def _create_view(cursor: Cursor, or_replace: bool) -> CreateView:
    if_not_exists = _if_not_exists(cursor)
    name = cursor.name("the name of a view")
    columns: list[str] = []
    comment = None
    if cursor.match("("):
        while True:
            columns.append(cursor.identifier("a column name"))
            if cursor.match("COMMENT"):
                cursor.string("a comment")
            if not cursor.match(","):
                break
        cursor.expect(")")
    while not cursor.match("AS"):
        if cursor.match("COMMENT"):
            comment = cursor.string("a comment")
        elif cursor.match("SECURITY"):
            if cursor.match_any("DEFINER", "INVOKER") is None:
                raise cursor.fail("expected DEFINER or INVOKER")
        elif cursor.match("TBLPROPERTIES"):
            properties(cursor)
        else:
            raise cursor.fail("expected AS")
    text = cursor.text[cursor.offset :].strip()
    tree = parse_query(cursor.rest(), cursor.dialect)
    return CreateView(name, tree, text, tuple(columns) or None, or_replace, if_not_exists, comment)


def drop(cursor: Cursor) -> ParsedStatement:
    """DROP SCHEMA | TABLE | VIEW."""
    cursor.expect("DROP")
    kind = cursor.match_any(*_SCHEMA_WORDS, "TABLE", "VIEW")
    if kind is None:
        token = cursor.peek()
        what = token.text.upper()[:40] if token else "needs to know what: it"
        raise _refused(
            cursor,
            f"DROP {what} is not supported",
            "supported: DROP SCHEMA, TABLE, VIEW, ROLE, USER, ROW FILTER, COLUMN MASK",
        )
    if_exists = cursor.match("IF", "EXISTS")
    name = cursor.name()
    dropped: ParsedStatement
    if kind in _SCHEMA_WORDS:
        cascade = cursor.match_any("CASCADE", "RESTRICT") == "CASCADE"
        dropped = DropSchema(name, if_exists, cascade)
    elif kind == "TABLE":
        dropped = DropTable(name, if_exists, cursor.match("PURGE"))
    else:
        dropped = DropView(name, if_exists)
    cursor.expect_end()
    return dropped


def alter(cursor: Cursor) -> ParsedStatement:
    """ALTER SCHEMA | TABLE | VIEW."""
    cursor.expect("ALTER")
    if cursor.match_any(*_SCHEMA_WORDS):
        return _alter_schema(cursor)
    if cursor.match("TABLE"):
        return alter_table(cursor)
    if cursor.match("VIEW"):
        name = cursor.name("the name of a view")
        cursor.expect("RENAME", "TO")
        to = cursor.name("the new name")
        cursor.expect_end()
        return RenameView(name, to)
    token = cursor.peek()
    raise _refused(
        cursor,
        f"ALTER {token.text.upper()[:40] if token else ''} is not supported",
        "supported: ALTER SCHEMA, TABLE, VIEW",
    )


def _alter_schema(cursor: Cursor) -> AlterSchema:
    name = cursor.name("the name of a schema")
    if cursor.match("UNSET"):
        if cursor.match_any("DBPROPERTIES", "PROPERTIES") is None:
            raise cursor.fail("expected PROPERTIES")
        cursor.expect("(")
        removed: dict[str, str | None] = {cursor.string(): None}
        while cursor.match(","):
            removed[cursor.string()] = None
        cursor.expect(")")
        cursor.expect_end()
        return AlterSchema(name, removed)
    cursor.expect("SET")
    if cursor.match_any("PROPERTIES", "DBPROPERTIES") is None:
        raise cursor.fail("expected PROPERTIES")
    changed = {
        key: None if value is None else literal_text(value, cursor)
        for key, value in properties(cursor).items()
    }
    cursor.expect_end()
    return AlterSchema(name, changed)


def comment(cursor: Cursor) -> ParsedStatement:
    """COMMENT ON TABLE | VIEW | COLUMN name IS 'text' | NULL."""
    cursor.expect("COMMENT", "ON")
    kind = cursor.match_any("TABLE", "VIEW", "COLUMN")
    if kind is None:
        raise cursor.fail("expected TABLE, VIEW or COLUMN")
    name = cursor.name()
    cursor.expect("IS")
    text = None if cursor.match("NULL") else cursor.string("a comment")
    cursor.expect_end()
    if kind != "COLUMN":
        return AlterTable(name, (SetComment(text),))
    if len(name.parts) < 2:
        raise cursor.fail("expected table.column")
    table = Name(name.parts[:-1], name.position)
    return AlterTable(table, (SetColumnComment((name.parts[-1],), text),))
