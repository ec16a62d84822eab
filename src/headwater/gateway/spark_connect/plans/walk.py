"""The walk through a plan: everything in it is on the lists, and every name gets its meaning.

The walk changes the plan that it is given, which is the caller's copy. Nothing is decided or staged
on the way: what a name stands for is put into the plan by `Walk.fill`, once the plan is to run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans import functions
from headwater.gateway.spark_connect.plans.identifiers import resolved, resolved_text
from headwater.gateway.spark_connect.plans.inside import inside_of
from headwater.gateway.spark_connect.plans.kinds import ALLOWED, PACKAGE, REFUSED
from headwater.gateway.spark_connect.plans.model import Message, PlanContext, SessionView
from headwater.gateway.spark_connect.plans.names import (
    Names,
    snapshot_of_options,
    split_identifier,
    table_name,
)
from headwater.gateway.spark_connect.plans.options import (
    check_options,
    file_format,
    named_format,
)
from headwater.gateway.spark_connect.plans.positions import by_name
from headwater.gateway.spark_connect.plans.reads import Filling, Reads, TableRead, TextRead
from headwater.gateway.spark_connect.plans.sql_names import NamedTable, named_tables, rename
from headwater.gateway.spark_connect.plans.sql_text import (
    check_tree,
    emit_checked,
    hidden_column,
    is_query,
    parse_expression,
    parse_statement,
    title_of,
    with_constants,
)
from headwater.gateway.spark_connect.plans.summaries import in_order
from headwater.gateway.spark_connect.plans.types import (
    check_jvm_class,
    check_metadata,
    check_schema,
)
from headwater.gateway.spark_connect.protocol import messages
from headwater.model.identifiers import CATALOG_NAME, SnapshotRef
from headwater.query.names import names_files
from headwater.sql.statements import Name
from headwater.sql.time_travel import snapshot_of

_COMMAND_WORDS = "only queries may be used as relations"


Fill = Callable[[Filling], None]


@dataclass(slots=True)
class Walk:
    """One walk: what it found, and what is left to put in.

    `only_tables` stays True as long as nothing but tables of the catalog is read.
    """

    context: PlanContext
    nodes: int = 0
    inlined: int = 0
    python: bool = False
    only_tables: bool = True
    tables: dict[Name, None] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    reads: Reads = field(default_factory=Reads)

    def message(self, message: Message, names: Names) -> None:
        """Checks a message and all inside it."""
        limits = self.context.limits
        waiting: list[tuple[Message, Names, int]] = [(message, names, 1)]
        while waiting:
            found, names, depth = waiting.pop()
            self.nodes += 1
            if self.nodes > limits.nodes or depth > limits.depth:
                raise too_large()
            kind = found.DESCRIPTOR.full_name.removeprefix(PACKAGE)
            check_fields(found, kind)
            handler = _HANDLERS.get(kind)
            if handler is not None:
                inner = handler(self, found, names)
                if inner is not None:
                    waiting += [(each, inside, depth + 1) for each, inside in inner]
                    continue
            waiting += [(each, names, depth + 1) for each in inside_of(found)]

    def used_function(self, name: str) -> None:
        """Notes a registered function: the user's own code."""
        self.python = True
        self.only_tables = False

    def constant(self, name: str, names: Names) -> str | None:
        """What a function of the session stands for."""
        match name:
            case "current_catalog":
                return CATALOG_NAME
            case "current_database" | "current_schema":
                return names.session.schema or "default"
            case "version":
                return self.context.version
        return names.session.identity.principal.name

    def sql(self, text: str, names: Names, put: Callable[[str], None]) -> None:
        """Checks a query's text; `put` gets what runs instead, until then a mark of its reads."""
        tree = parse_statement(text)
        if not is_query(tree):
            raise error(ErrorCode.NOT_SUPPORTED, _COMMAND_WORDS)
        read = self._tree(tree, names, put, parse_statement)
        if read is not None:
            put(self.reads.text(read))

    def expression(self, text: str, names: Names, put: Callable[[str], None]) -> None:
        """Checks the text of an expression; `put` gets what runs instead."""
        self._tree(parse_expression(resolved_text(text)), names, put, parse_expression)

    def _tree(
        self,
        tree: exp.Expr,
        names: Names,
        put: Callable[[str], None],
        parse: Callable[[str], exp.Expr],
    ) -> TextRead | None:
        functions_here = self.context.functions | self.context.table_functions
        check_tree(tree, functions_here, self.used_function)
        tree = with_constants(tree, lambda name: self.constant(name, names))
        places: list[tuple[NamedTable, Callable[[Filling], str]]] = []
        relations: list[tuple[NamedTable, Message]] = []
        for table in named_tables(tree):
            if len(table.parts) == 1 and table.parts[0].casefold() in names.given:
                continue
            relation = messages().Relation()
            places.append((table, self._place(table, relation, names)))
            relations.append((table, relation))
        if not places:
            put(emit_checked(tree, functions_here, parse))
            return None

        def fill(filling: Filling) -> None:
            rename(tree, [(table, place(filling)) for table, place in places])
            put(emit_checked(tree, functions_here, parse))

        self.fills.append(fill)
        return TextRead(tree, tuple(relations))

    def _place(
        self, table: NamedTable, relation: Message, names: Names
    ) -> Callable[[Filling], str]:
        """What makes the name that stands for a table in SQL text; `relation` becomes the table."""
        at = snapshot_of(table.node, names.session)
        inner = self._inside(self.inlined + 1)
        inner.read_table(relation, table.parts, at, {}, names, alias=False)
        self._join(inner)

        def place(filling: Filling) -> str:
            for fill in inner.fills:
                fill(filling)
            return filling.view(relation)

        return place

    def _inside(self, inlined: int) -> Walk:
        return Walk(self.context, inlined=inlined, nodes=self.nodes, reads=self.reads)

    def _join(self, inner: Walk) -> None:
        self.nodes, self.inlined = inner.nodes, inner.inlined
        self.python |= inner.python
        self.only_tables &= inner.only_tables
        self.tables.update(inner.tables)

    def read_table(
        self,
        relation: Message,
        parts: tuple[str, ...],
        at: SnapshotRef,
        options: dict[str, str],
        names: Names,
        *,
        alias: bool = True,
    ) -> None:
        """Makes a relation read what a name stands for: a view, a table, or files."""
        view = names.view(parts)
        if view is not None:
            if not at.is_current:
                raise error(ErrorCode.NOT_SUPPORTED, "a temporary view has no history")
            self._read_view(relation, view, names, alias=alias)
            return
        if names_files(parts):
            self.read_files(relation, parts[0], [parts[1]], {}, None)
            return
        name = table_name(parts)
        self.tables[name] = None
        target = _under_alias(relation, parts) if alias else relation
        place = TableRead(name, at, names.session)
        self.reads.table(target, place)

        def fill(filling: Filling) -> None:
            staged = filling.table(place)
            if not staged.path:  # its types are wanted, not its rows
                target.local_relation.schema = staged.schema
                return
            read = target.read.data_source
            read.format = "parquet"
            read.schema = staged.schema
            read.paths[:] = [staged.path]

        self.fills.append(fill)

    def _read_view(
        self, relation: Message, view: SessionView, names: Names, *, alias: bool
    ) -> None:
        self.only_tables = False
        target = _under_alias(relation, (view.name,)) if alias else relation
        target.CopyFrom(view.relation)
        self.inlined += 1
        _renumber(target, self.inlined << 40)
        inner = self._inside(self.inlined)
        inner.message(target, names.inside(view))
        self._join(inner)
        self.fills += inner.fills

    def read_files(
        self,
        relation: Message,
        source: str,
        paths: Sequence[str],
        options: dict[str, str],
        schema: str | None,
    ) -> None:
        """Makes a relation read files of a granted location."""
        self.only_tables = False
        kind, kept = file_format(source), check_options(options)
        if not paths:
            raise error(ErrorCode.INVALID_ARGUMENT, "no path to read is given")
        wanted = list(paths)

        def fill(filling: Filling) -> None:
            staged = filling.context.stager.files(wanted, kind, kept, filling.context.session)
            filling.files.append(staged)
            read = relation.read.data_source
            read.format = staged.format
            read.paths[:] = staged.paths
            for key, value in staged.options.items():
                read.options[key] = value
            if schema:
                read.schema = schema

        self.fills.append(fill)


def too_large() -> Exception:
    """The error for a plan beyond the limits."""
    return error(
        ErrorCode.EXCEEDED_STATEMENT_SIZE,
        "the plan is too large or nested too deeply",
        hint="save a part of it as a table and go on from there",
    )


def check_fields(message: Message, kind: str) -> None:
    """Raises NOT_SUPPORTED for a message or field that is not on the list."""
    allowed = ALLOWED.get(kind)
    if allowed is None:
        raise error(ErrorCode.NOT_SUPPORTED, f"Spark Connect's {kind} is not supported")
    for found, _ in message.ListFields():
        if found.name not in allowed:
            reason = REFUSED.get(kind, {}).get(found.name, f"{kind}.{found.name}")
            raise error(ErrorCode.NOT_SUPPORTED, f"not supported over Spark Connect: {reason}")


def _under_alias(relation: Message, name: tuple[str, ...]) -> Message:
    """Turns a relation into an alias of an empty one, which is returned; its id stays."""
    common = messages().RelationCommon()
    common.CopyFrom(relation.common)
    relation.Clear()
    relation.common.CopyFrom(common)
    relation.subquery_alias.alias = name[-1]
    relation.subquery_alias.qualifier.extend(name[:-1])
    found: Message = relation.subquery_alias.input
    return found


_WITH_PLAN_ID = frozenset(
    {
        "Expression.UnresolvedAttribute",
        "Expression.UnresolvedStar",
        "Expression.UnresolvedRegex",
        "RelationCommon",
        "SubqueryExpression",
    }
)


def _renumber(relation: Message, shift: int) -> None:
    """Gives a view's relations ids of their own: the plan around it may hold them as well."""
    waiting = [relation]
    while waiting:
        found = waiting.pop()
        kind = found.DESCRIPTOR.full_name.removeprefix(PACKAGE)
        if kind in _WITH_PLAN_ID and (kind == "SubqueryExpression" or found.HasField("plan_id")):
            found.plan_id += shift
        waiting += inside_of(found)


Inside = list[tuple[Message, Names]]
Handler = Callable[[Walk, Message, Names], Inside | None]


def _relation(walk: Walk, relation: Message, names: Names) -> Inside | None:
    kind = relation.WhichOneof("rel_type")
    if kind is None:
        raise error(ErrorCode.NOT_SUPPORTED, "a relation of an unknown kind is not supported")
    if kind == "read":
        return _read(walk, relation, names)
    if kind in ("describe", "summary"):
        return [(in_order(relation, kind), names)]
    if kind == "catalog":
        raise error(ErrorCode.NOT_SUPPORTED, "catalog functions cannot be part of a query")
    if kind in ("local_relation", "cached_local_relation", "chunked_cached_local_relation"):
        walk.only_tables = False
    if kind == "cached_remote_relation":
        walk.only_tables = False
        if relation.cached_remote_relation.relation_id not in walk.context.relations:
            raise error(ErrorCode.STATEMENT_NOT_FOUND, "there is no such checkpoint")
    return None


def _read(walk: Walk, relation: Message, names: Names) -> Inside:
    check_fields(relation.read, "Read")
    match relation.read.WhichOneof("read_type"):
        case "named_table":
            check_fields(relation.read.named_table, "Read.NamedTable")
            options = dict(relation.read.named_table.options)
            parts = split_identifier(relation.read.named_table.unparsed_identifier)
            at = snapshot_of_options(options)
        case "data_source":
            return _read_source(walk, relation, names)
        case _:
            raise error(ErrorCode.NOT_SUPPORTED, "a read of an unknown kind is not supported")
    relation.ClearField("read")
    walk.read_table(relation, parts, at, options, names)
    return []


def _read_source(walk: Walk, relation: Message, names: Names) -> Inside:
    source = messages().Read.DataSource()
    source.CopyFrom(relation.read.data_source)
    check_fields(source, "Read.DataSource")
    source.format = named_format(source.format, walk.context.settings)
    options = dict(source.options)
    paths = [*source.paths, *(v for k, v in options.items() if k.lower() == "path")]
    if source.predicates or source.source_name:
        raise error(ErrorCode.NOT_SUPPORTED, "a data source with predicates is not supported")
    if source.schema:
        walk.python |= check_schema(source.schema)
    relation.ClearField("read")
    if source.format.lower() == "iceberg":
        if len(paths) != 1 or "/" in paths[0]:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "Iceberg tables are read by their names",
                hint='spark.table("schema.table")',
            )
        plain = {key: value for key, value in options.items() if key.lower() != "path"}
        at = snapshot_of_options(plain)
        walk.read_table(relation, split_identifier(paths[0]), at, plain, names)
        return []
    walk.read_files(relation, source.format, paths, options, source.schema)
    return []


def _expression(walk: Walk, expression: Message, names: Names) -> Inside | None:
    match expression.WhichOneof("expr_type"):
        case None:
            raise error(ErrorCode.NOT_SUPPORTED, "an expression of an unknown kind")
        case "unresolved_function":
            found = expression.unresolved_function
            return _function(walk, expression, found.function_name, names)
        case "call_function":
            parts = split_identifier(expression.call_function.function_name)
            if len(parts) > 1:
                raise error(ErrorCode.FUNCTION_NOT_FOUND, "functions have no schemas here")
            return _function(walk, expression, parts[0], names)
        case "expression_string":
            text = expression.expression_string
            check_fields(text, "Expression.ExpressionString")

            def put(emitted: str) -> None:
                text.expression = emitted

            walk.expression(text.expression, names, put)
            return []
    return None


def _function(walk: Walk, expression: Message, name: str, names: Names) -> Inside | None:
    lowered = name.lower()
    if functions.is_refused(lowered):
        raise functions.refused_function(name)
    if lowered in walk.context.functions:
        walk.used_function(lowered)
        return None
    if lowered in functions.SESSION_FUNCTIONS:
        constant = walk.constant(lowered, names)
        expression.Clear()
        expression.literal.string = constant or ""
        return []
    if not (functions.is_function(lowered) or lowered in functions.INTERNAL):
        raise functions.refused_function(name)
    return None


def _project(walk: Walk, project: Message, _names: Names) -> None:
    """A function of the session's that is a column keeps its name once a constant stands for it."""
    for column in project.expressions:
        match column.WhichOneof("expr_type"):
            case "unresolved_function":
                name = column.unresolved_function.function_name
            case "call_function":
                name = column.call_function.function_name
            case "expression_string":
                found = _CALL.fullmatch(column.expression_string.expression)
                name = "" if found is None else found[1]
            case _:
                continue
        lowered = name.lower()
        if lowered in functions.SESSION_FUNCTIONS and lowered not in walk.context.functions:
            inner = messages().Expression()
            inner.CopyFrom(column)
            column.alias.expr.CopyFrom(inner)
            column.alias.name.append(title_of(lowered))


_CALL = re.compile(r"\s*(\w+)\s*\(\s*\)\s*")


def _attribute(_walk: Walk, attribute: Message, _names: Names) -> None:
    _refuse_hidden(attribute.unparsed_identifier)
    if attribute.is_metadata_column:
        raise hidden_column()


def _refuse_hidden(name: str) -> None:
    parts = name.casefold().replace("`", "").replace(" ", "").split(".")
    if "_metadata" in parts:
        raise hidden_column()


def _star(_walk: Walk, star: Message, _names: Names) -> None:
    _refuse_hidden(star.unparsed_target)


def _described(_walk: Walk, found: Message, _names: Names) -> None:
    if found.metadata:
        check_metadata(found.metadata)


def _cast(walk: Walk, cast: Message, _names: Names) -> None:
    if cast.WhichOneof("cast_to_type") == "type_str":
        walk.python |= check_schema(cast.type_str)


def _sql(walk: Walk, sql: Message, names: Names) -> Inside | None:
    sql.CopyFrom(by_name(resolved(sql)))

    def put(emitted: str) -> None:
        sql.query = emitted

    walk.sql(sql.query, names, put)
    return None


def _with_relations(walk: Walk, relation: Message, names: Names) -> Inside:
    given = {
        each.subquery_alias.alias.casefold()
        for each in relation.references
        if each.WhichOneof("rel_type") == "subquery_alias"
    }
    if given:
        walk.only_tables = False
    root = Names(names.session, names.views, names.given | given)
    return [(relation.root, root), *((each, names) for each in relation.references)]


def _table_function(walk: Walk, found: Message, _names: Names) -> None:
    lowered = found.function_name.lower()
    if lowered in walk.context.table_functions:
        walk.used_function(lowered)
    elif lowered not in functions.TABLE_FUNCTIONS:
        raise functions.refused_function(found.function_name)


def _code(walk: Walk, _found: Message, _names: Names) -> None:
    walk.python = True
    walk.only_tables = False


def _type_of_user(walk: Walk, found: Message, _names: Names) -> None:
    if found.jvm_class:
        check_jvm_class(found.jvm_class)
    walk.python |= bool(found.serialized_python_class)


def _unparsed_type(walk: Walk, found: Message, _names: Names) -> None:
    walk.python |= check_schema(found.data_type_string)


def _local(walk: Walk, found: Message, _names: Names) -> None:
    if found.schema:
        walk.python |= check_schema(found.schema)


def _parse(_walk: Walk, found: Message, _names: Names) -> None:
    check_options(found.options)


_HANDLERS: dict[str, Handler] = {
    "Relation": _relation,
    "Expression": _expression,
    "Project": _project,
    "Expression.UnresolvedAttribute": _attribute,
    "Expression.UnresolvedStar": _star,
    "Expression.Alias": _described,
    "DataType.StructField": _described,
    "Expression.Cast": _cast,
    "SQL": _sql,
    "WithRelations": _with_relations,
    "UnresolvedTableValuedFunction": _table_function,
    "PythonUDF": _code,
    "PythonUDTF": _code,
    "DataType.UDT": _type_of_user,
    "DataType.Unparsed": _unparsed_type,
    "LocalRelation": _local,
    "Parse": _parse,
}
"""What is done with a message beyond its fields; a list says what is left to walk inside it."""
