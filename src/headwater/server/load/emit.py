"""The SQL that loads files, from trees: readers of spooled paths, casts to Iceberg's types.

Nothing here takes a user's text but names of columns, schemas and tables, as quoted identifiers;
paths are the server's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.model.identifiers import CATALOG_NAME, TableIdentifier, namespace_text
from headwater.server.load.files import CsvLayout, FileFormat, LoadFile
from headwater.sql.types import quote

Column = tuple[str, exp.DataType]
"""A column's name and its type, as DuckDB names it."""

_SAMPLE_ROWS = 1_000_000
_JSON_OBJECT_BYTES = 16 * 1024 * 1024


def reader(files: Sequence[LoadFile], layout: CsvLayout | None, *, skip_errors: bool) -> exp.Expr:
    """The table function that reads the files; all are of one format and, for CSV, one layout."""
    paths = exp.array(*(exp.Literal.string(str(file.path)) for file in files))
    options: dict[str, exp.Expr] = {}
    if layout is not None:
        # Nothing is left to detection: it would skip the lines above the last ragged one.
        name = "read_csv"
        options = {
            "auto_detect": exp.false(),
            "delim": exp.Literal.string(layout.separator),
            "quote": exp.Literal.string('"'),
            "escape": exp.Literal.string('"'),
            "header": exp.convert(layout.header),
            "columns": exp.Struct(
                expressions=[
                    exp.PropertyEQ(
                        this=exp.Literal.string(column), expression=exp.Literal.string("VARCHAR")
                    )
                    for column in layout.columns
                ]
            ),
            "ignore_errors": exp.convert(skip_errors),
        }
    elif files[0].format is FileFormat.JSON:
        name = "read_json"
        options = {
            "sample_size": exp.Literal.number(_SAMPLE_ROWS),
            "maximum_object_size": exp.Literal.number(_JSON_OBJECT_BYTES),
            "union_by_name": exp.true(),
            "ignore_errors": exp.convert(skip_errors),
        }
        if files[0].path.suffixes[0] == ".json" and skip_errors:
            options["format"] = exp.Literal.string("newline_delimited")
    else:
        name = "read_parquet"
        options = {"union_by_name": exp.true()}
    return exp.Anonymous(
        this=name,
        expressions=[
            paths,
            *(exp.Kwarg(this=exp.var(key), expression=value) for key, value in options.items()),
        ],
    )


def columns_of(source: exp.Expr) -> str:
    """A query for the files' columns, in order: name and DuckDB type."""
    described = exp.Describe(this=exp.select("*").from_(source))
    return f"SELECT column_name, column_type FROM ({_sql(described)})"


def text_columns_of(source: exp.Expr, names: Sequence[str]) -> str:
    """The same for text: the first of TEXT_TYPES that every value of a column can be.

    One pass over all rows, so that no later row can disappoint.
    """
    listed = ", ".join(exp.Literal.string(name).sql("duckdb") for name in names)
    kinds = ", ".join(_kind_of_text(quote(name)) for name in names)
    return (
        f"SELECT unnest([{listed}]) AS column_name, unnest([{kinds}]) AS column_type "
        f"FROM {_sql(source)}"
    )


_CLOCK = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"

TEXT_TYPES: dict[str, str] = {
    "BOOLEAN": r"(?i)true|false",
    "BIGINT": r"[+-]?(0|[1-9][0-9]{0,17})",
    "DOUBLE": r"[+-]?(0|[1-9][0-9]{0,14})?(\.[0-9]*)?([eE][+-]?[0-9]+)?",
    "DATE": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "TIMESTAMP": _CLOCK,
    "TIMESTAMPTZ": _CLOCK + r" ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)",
}
"""The types that text can turn out to be, and how it is written then (RE2).

A number with leading zeros (a ZIP code), or with more digits than its type keeps, is text; so is
what fits no type, and a column without values.
"""


def _kind_of_text(column: str) -> str:
    whens = " ".join(
        f"WHEN bool_and({column} IS NULL OR (regexp_full_match({column}, '{pattern}') "
        f"AND TRY_CAST({column} AS {kind}) IS NOT NULL)) THEN '{kind}'"
        for kind, pattern in TEXT_TYPES.items()
    )
    return f"CASE WHEN count({column}) = 0 THEN 'VARCHAR' {whens} ELSE 'VARCHAR' END"


def chosen(source: exp.Expr, names: Sequence[tuple[str, str]]) -> exp.Expr:
    """The source with some of its columns only: each by its name there, and the name it gets."""
    listed = (
        exp.alias_(exp.column(exp.to_identifier(name, quoted=True)), to, quoted=True)
        for name, to in names
    )
    return exp.select(*listed).from_(source).subquery("chosen")


def first_rows(source: exp.Expr, rows: int) -> exp.Expr:
    """The source's first rows, as a source."""
    return exp.select("*").from_(source).limit(rows).subquery("beginning")


def texts_of(source: exp.Expr, names: Sequence[str], *, rows: int, characters: int) -> str:
    """The first rows, every value as text of some characters at most."""
    listed = ", ".join(
        f"substr(CAST({quote(name)} AS VARCHAR), 1, {characters + 1}) AS {quote(name)}"
        for name in names
    )
    return f"SELECT {listed} FROM {_sql(source)} LIMIT {rows}"


def unfit_of(source: exp.Expr, columns: Sequence[Column], *, each: int) -> str:
    """Values that cannot be cast: column, value as text, and how many rows; `each` of a column."""
    parts = []
    for name, kind in columns:
        column = exp.column(exp.to_identifier(name, quoted=True))
        tried = exp.TryCast(this=column.copy(), to=kind.copy())
        wrong = exp.and_(column.is_(exp.null()).not_(), tried.is_(exp.null()))
        label = exp.Literal.string(name).sql("duckdb")
        parts.append(
            f"(SELECT {label} AS name, CAST({quote(name)} AS VARCHAR) AS value, "
            f"count(*) AS times FROM {_sql(source)} WHERE {_sql(wrong)} "
            f"GROUP BY ALL ORDER BY times DESC, value LIMIT {each})"
        )
    return " UNION ALL ".join(parts)


def create(
    identifier: TableIdentifier,
    source: exp.Expr,
    columns: Sequence[Column],
    *,
    only_castable: bool = False,
) -> str:
    """CREATE TABLE AS: the files' columns, cast to the types given; or rows that can be, only."""
    query = exp.select(*(_cast(name, kind) for name, kind in columns)).from_(source)
    if only_castable:
        query = query.where(*(_castable(name, kind) for name, kind in columns))
    return _sql(exp.Create(this=_target(identifier), kind="TABLE", expression=query))


def insert(
    identifier: TableIdentifier,
    source: exp.Expr,
    columns: Sequence[Column],
    *,
    only_castable: bool = False,
) -> str:
    """INSERT by column name, each cast to the table's own type; rows that cannot be, left out."""
    query = exp.select(*(_cast(name, kind) for name, kind in columns)).from_(source)
    if only_castable:
        query = query.where(*(_castable(name, kind) for name, kind in columns))
    target = exp.Schema(
        this=_target(identifier),
        expressions=[exp.to_identifier(name, quoted=True) for name, _ in columns],
    )
    return _sql(exp.Insert(this=target, expression=query))


def insert_prefix(identifier: TableIdentifier) -> str:
    """`INSERT INTO` the table, to stand before a query that yields all of its columns."""
    return f"INSERT INTO {_sql(_target(identifier))}"


def delete_all(identifier: TableIdentifier) -> str:
    """DELETE of every row."""
    return _sql(exp.Delete(this=_target(identifier)))


def in_transaction(*statements: str) -> str:
    """The statements as one transaction: one commit, or none."""
    return "; ".join(("BEGIN", *statements, "COMMIT"))


def storable_type(kind: exp.DataType) -> exp.DataType:
    """The type that Iceberg can keep for a type as the engine's readers infer it."""
    arguments = kind.expressions
    if kind.is_type(exp.DType.STRUCT):
        fields = [
            exp.ColumnDef(this=field.this, kind=storable_type(field.args["kind"]))
            for field in arguments
        ]
        return exp.DataType(this=exp.DType.STRUCT, expressions=fields, nested=True)
    if kind.is_type(exp.DType.ARRAY, exp.DType.LIST, exp.DType.MAP):
        inner = [storable_type(item) for item in arguments]
        return exp.DataType(this=kind.this, expressions=inner, nested=True)
    if kind.is_type(*_KEPT):
        return kind
    return exp.DataType.build(_WIDENED.get(kind.this, "VARCHAR"), dialect="duckdb")


_KEPT = (
    *(exp.DType.BOOLEAN, exp.DType.INT, exp.DType.BIGINT, exp.DType.FLOAT, exp.DType.DOUBLE),
    *(exp.DType.DECIMAL, exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP),
    *(exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ, exp.DType.UUID, exp.DType.VARBINARY),
)
_WIDENED = {
    exp.DType.TINYINT: "INTEGER",
    exp.DType.SMALLINT: "INTEGER",
    exp.DType.UTINYINT: "INTEGER",
    exp.DType.USMALLINT: "INTEGER",
    exp.DType.UINT: "BIGINT",
    exp.DType.UBIGINT: "DECIMAL(20, 0)",
    exp.DType.INT128: "DECIMAL(38, 0)",
    exp.DType.UINT128: "DECIMAL(38, 0)",
    exp.DType.TIMESTAMP_S: "TIMESTAMP",
    exp.DType.TIMESTAMP_MS: "TIMESTAMP",
    exp.DType.TIMESTAMP_NS: "TIMESTAMP",
}


def _cast(name: str, kind: exp.DataType) -> exp.Expr:
    cast = exp.Cast(this=exp.column(exp.to_identifier(name, quoted=True)), to=kind)
    return exp.alias_(cast, name, quoted=True)


def _castable(name: str, kind: exp.DataType) -> exp.Expr:
    column = exp.column(exp.to_identifier(name, quoted=True))
    tried = exp.TryCast(this=column.copy(), to=kind.copy())
    return exp.or_(column.is_(exp.null()), tried.is_(exp.null()).not_())


def _target(identifier: TableIdentifier) -> exp.Table:
    return exp.Table(
        this=exp.to_identifier(identifier.name, quoted=True),
        db=exp.to_identifier(namespace_text(identifier.namespace), quoted=True),
        catalog=exp.to_identifier(CATALOG_NAME, quoted=True),
    )


def _sql(tree: exp.Expr) -> str:
    return tree.sql("duckdb")
