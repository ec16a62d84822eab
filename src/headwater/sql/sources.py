"""Binds FROM: tables, views, WITH queries, subqueries, VALUES, UNNEST, LATERAL, joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, Position, error
from headwater.model.identifiers import CATALOG_NAME, SnapshotRef
from headwater.model.statement import Dialect, Session
from headwater.sql import relations
from headwater.sql.expressions import (
    MAX_VIEW_DEPTH,
    BinderState,
    Cte,
    Ctes,
    ExpressionBinder,
    Names,
    Output,
    QueryBinder,
    row_field,
)
from headwater.sql.hints import did_you_mean
from headwater.sql.scope import Field, Scope, Source, merge
from headwater.sql.spark import query_constructs
from headwater.sql.statements import Name
from headwater.sql.time_travel import snapshot_of
from headwater.sql.trees import PARAMETER, is_query, node_position, parse_query
from headwater.sql.types import arrow_data_type, common_type, data_type
from headwater.sql.unnest import UnnestBinder, series

_TABLE_PARTS = frozenset(
    {"this", "db", "catalog", "alias", "joins", "version", "when", "sample", "laterals"}
)
_JOIN_PARTS = frozenset({"this", "method", "side", "kind", "using", "on", "global_"})


class SourceBinder:
    """Binds the FROM part of queries of one resolver and session."""

    def __init__(
        self,
        state: BinderState,
        resolver: relations.Resolver,
        session: Session,
        query: QueryBinder,
        expressions: ExpressionBinder,
        view_binder: Callable[[relations.Resolver, Session], QueryBinder],
    ) -> None:
        self.state = state
        self.resolver = resolver
        self.session = session
        self.query = query
        self.expressions = expressions
        self.view_binder = view_binder
        self.unnest = UnnestBinder(state, session, expressions)

    def bind(self, node: exp.Select, outer: Scope | None, ctes: Ctes) -> Scope:
        """The scope of a SELECT; its FROM, JOIN and LATERAL VIEW parts are bound in place."""
        scope = Scope(outer=outer)
        from_ = node.args.get("from_")
        if from_ is not None:
            self.bind_into(scope, from_, ctes)
        for join in node.args.get("joins") or ():
            self._join(scope, join, ctes)
        joins = list(node.args.get("joins") or ())
        joins += [
            self._lateral_view(scope, lateral, ctes) for lateral in node.args.get("laterals") or ()
        ]
        node.set("joins", joins or None)
        node.set("laterals", None)
        return scope

    def bind_into(self, scope: Scope, holder: exp.Expr, ctes: Ctes) -> None:
        """Binds the item that a FROM holds, and the joins that sqlglot hangs below it."""
        item, joins = _detach_joins(holder.this)
        bound, source = self._item(item, scope, ctes, lateral=False)
        scope.add(source)
        bound_joins = []
        for join in joins:
            self._join(scope, join, ctes)
            bound_joins.append(join)
        if bound_joins:
            bound.set("joins", bound_joins)
        holder.set("this", bound)

    # --- joins --------------------------------------------------------------------------------

    def _join(self, scope: Scope, join: exp.Join, ctes: Ctes) -> None:
        for part, value in join.args.items():
            if value and part not in _JOIN_PARTS:
                raise _not_supported(join, f"JOIN with {part}")
        method = str(join.args.get("method") or "").upper()
        kind, side = str(join.kind or "").upper(), str(join.side or "").upper()
        if method not in ("", "NATURAL", "ASOF") or kind not in (
            "", "INNER", "CROSS", "OUTER", "SEMI", "ANTI",
        ):  # fmt: skip
            raise _not_supported(join, f"{method or kind} JOIN")
        if (method == "ASOF" or kind in ("SEMI", "ANTI")) and (
            self.session.dialect is Dialect.TRINO
        ):
            raise _not_supported(join, f"{method or kind} JOIN")
        item, nested = _detach_joins(join.this)
        bound, source = self._item(
            item, scope, ctes, lateral=self.session.dialect is Dialect.DUCKDB
        )
        if nested:
            raise _not_supported(join, "a join inside a join without brackets")
        join.set("this", bound)
        using = [part.name for part in join.args.get("using") or ()]
        if method == "NATURAL":
            theirs = {each.name.casefold() for each in source.fields}
            using = [each.name for each in scope.visible if each.name.casefold() in theirs]
            join.set("method", None)
        position = node_position(join)
        condition = join.args.get("on")
        if using:
            before = (list(scope.sources), list(scope.visible))
            on = merge(scope, source, using, side, position)
            join.set("using", None)
            join.set("on", on)
            if kind in ("SEMI", "ANTI"):
                scope.sources, scope.visible = before
            return
        inside = Scope([*scope.sources], [*scope.visible], scope.outer)
        inside.add(source)
        if condition is not None:
            join.set("on", self.expressions.bind(condition, Names(inside, ctes)))
        elif side or kind in ("SEMI", "ANTI"):
            # Only a join of everything with everything needs no condition.
            if not isinstance(bound, exp.Lateral):
                raise error(
                    ErrorCode.SYNTAX_ERROR,
                    f"{side or kind} JOIN needs ON or USING",
                    position=position,
                )
            join.set("on", exp.true())
        elif isinstance(bound, exp.Lateral):
            # A bare LATERAL after a comma cannot follow explicit joins in every grammar.
            join.set("kind", None)
            join.set("on", exp.true())
        else:
            join.set("kind", "CROSS")
        if kind not in ("SEMI", "ANTI"):
            scope.add(source)

    # --- items --------------------------------------------------------------------------------

    def _item(
        self, item: exp.Expr, scope: Scope, ctes: Ctes, *, lateral: bool
    ) -> tuple[exp.Expr, Source]:
        match item:
            case exp.Unnest():
                return self.unnest.bind(item, Names(scope, ctes))
            case exp.Lateral():
                return self._lateral(item, scope, ctes)
            case exp.Values():
                return self._values(item, scope, ctes)
            case exp.Table(this=exp.Func()):
                return self._function(item, scope, ctes)
            case exp.Table():
                return self._table(item, ctes)
            case exp.Subquery():
                return self._subquery(item, scope, ctes, lateral)
            case _:
                if is_query(item):  # the parser takes `FROM FROM t` for one
                    raise error(
                        ErrorCode.SYNTAX_ERROR,
                        "a query in FROM needs brackets around it",
                        position=node_position(item),
                    )
                raise _not_supported(item, f"{type(item).__name__} in FROM")

    def _subquery(
        self, item: exp.Subquery, scope: Scope, ctes: Ctes, lateral: bool
    ) -> tuple[exp.Expr, Source]:
        sample = _pop_sample(item)
        alias, columns = _alias(item)
        if isinstance(item.this, exp.Table | exp.Unnest | exp.Lateral | exp.Values) or (
            isinstance(item.this, exp.Subquery) and item.this.args.get("joins")
        ):
            # Brackets around a join: a query of its own, so that its names cannot mix.
            return self._bracketed_join(item, scope, ctes, alias, columns)
        if item.args.get("pivots"):
            raise _not_supported(item, "PIVOT")
        outer = scope if lateral else scope.outer
        inner = exp.Subquery(
            this=item.this,
            **{
                part: value
                for part, value in item.args.items()
                if value and part in ("with_", "order", "limit", "offset")
            },
        )
        query, outputs = self.query(inner, outer, ctes)
        return self._derived(query, outputs, alias, columns, item, sample)

    def _bracketed_join(
        self,
        item: exp.Subquery,
        scope: Scope,
        ctes: Ctes,
        alias: str | None,
        columns: Sequence[str],
    ) -> tuple[exp.Expr, Source]:
        inner = Scope(outer=scope.outer)
        select = exp.Select(expressions=[], from_=exp.From(this=item.this))
        self.bind_into(inner, select.args["from_"], ctes)
        joins = select.args["from_"].this.args.pop("joins", None)
        select.set("joins", joins)
        key = self.state.unique(alias or "joined")
        labels: dict[int, str] = {}
        trees: list[exp.Expr] = []
        for source in inner.sources:
            for each in source.fields:
                labels[id(each)] = self.state.unique(each.name)
                trees.append(_labelled(each.read(), labels[id(each)]))
        for each in inner.visible:
            if id(each) not in labels:
                labels[id(each)] = self.state.unique(each.name)
                trees.append(_labelled(each.read(), labels[id(each)]))
        select.set("expressions", trees)
        fields = _renamed(
            tuple(
                Field(each.name, each.type, _column(key, labels[id(each)]))
                for each in inner.visible
            ),
            columns,
            item,
        )
        bound = exp.Subquery(this=select, alias=_table_alias(key))
        inner_sources = tuple(
            Source(
                source.name,
                tuple(
                    Field(each.name, each.type, _column(key, labels[id(each)]))
                    for each in source.fields
                ),
                source.qualifiers,
            )
            for source in inner.sources
        )
        return bound, Source(alias, fields, inner=() if alias else inner_sources)

    def _derived(
        self,
        query: exp.Expr,
        outputs: Sequence[Output],
        alias: str | None,
        columns: Sequence[str],
        item: exp.Expr,
        sample: exp.Expr | None = None,
        qualifiers: tuple[str, ...] = (),
    ) -> tuple[exp.Expr, Source]:
        key = self.state.unique(alias or "query")
        fields = _renamed(
            tuple(
                Field(output.name, output.type, _column(key, output.label)) for output in outputs
            ),
            columns,
            item,
        )
        bound = exp.Subquery(this=query, alias=_table_alias(key))
        if sample is not None:
            bound.set("sample", sample)
        return bound, Source(alias, fields, qualifiers)

    def _values(self, item: exp.Values, scope: Scope, ctes: Ctes) -> tuple[exp.Expr, Source]:
        alias, columns = _alias(item)
        rows = [
            row.expressions if isinstance(row, exp.Tuple) else [row] for row in item.expressions
        ]
        width = len(rows[0]) if rows else 0
        if not width or any(len(row) != width for row in rows):
            raise error(
                ErrorCode.TYPE_MISMATCH,
                "the rows of VALUES differ in length",
                position=node_position(item),
            )
        names = Names(Scope(outer=scope.outer), ctes)
        bound = [[self.expressions.bind(value, names) for value in row] for row in rows]
        key = self.state.unique(alias or "values")
        first = 1 if self.session.dialect is Dialect.SPARK else 0
        prefix = "_col" if self.session.dialect is Dialect.TRINO else "col"
        labels = [f"{prefix}{first + place}" for place in range(width)]
        outputs = []
        for place, label in enumerate(labels):
            kinds = [row[place].type for row in bound]
            outputs.append(Output(label, _row_type(kinds), label))
        item.set("expressions", [exp.Tuple(expressions=row) for row in bound])
        item.set(
            "alias",
            exp.TableAlias(
                this=exp.to_identifier(key, quoted=True),
                columns=[exp.to_identifier(label, quoted=True) for label in labels],
            ),
        )
        fields = tuple(
            Field(output.name, output.type, _column(key, output.label)) for output in outputs
        )
        return item, Source(alias, _renamed(fields, columns, item))

    def _lateral(self, item: exp.Lateral, scope: Scope, ctes: Ctes) -> tuple[exp.Expr, Source]:
        if item.args.get("view") or item.args.get("outer") or item.args.get("ordinality"):
            raise _not_supported(item, "this form of LATERAL")
        alias, columns = _alias(item)
        if isinstance(item.this, exp.Unnest):
            item.this.set("alias", item.args.get("alias"))
            return self.unnest.bind(item.this, Names(scope, ctes))
        if not isinstance(item.this, exp.Subquery):
            raise _not_supported(item, "LATERAL before anything but a query")
        query, outputs = self.query(item.this, scope, ctes)
        bound, source = self._derived(query, outputs, alias, columns, item)
        return exp.Lateral(this=exp.Subquery(this=query), alias=bound.args["alias"]), source

    def _lateral_view(self, scope: Scope, lateral: exp.Lateral, ctes: Ctes) -> exp.Join:
        if not lateral.args.get("view"):
            bound, source = self._lateral(lateral, scope, ctes)
            scope.add(source)
            return exp.Join(this=bound, on=exp.true())
        bound, source = self.unnest.lateral_view(lateral, Names(scope, ctes))
        scope.add(source)
        side = "LEFT" if lateral.args.get("outer") else None
        return exp.Join(this=bound, on=exp.true(), side=side)

    def _function(self, item: exp.Table, scope: Scope, ctes: Ctes) -> tuple[exp.Expr, Source]:
        alias, columns = _alias(item)
        function = item.this
        if (
            isinstance(function, exp.Anonymous)
            and function.name.lower() == "table"
            and len(function.expressions) == 1
        ):
            function = function.expressions[0]
        if isinstance(function, exp.Unnest):
            function.set("alias", item.args.get("alias"))
            return self.unnest.bind(function, Names(scope, ctes))
        call, kind, label = series(function, self.session.dialect)
        key = self.state.unique(alias or label)
        bound = exp.Table(
            this=call,
            alias=exp.TableAlias(
                this=exp.to_identifier(key, quoted=True),
                columns=[exp.to_identifier(label, quoted=True)],
            ),
        )
        fields = (Field(label, kind, _column(key, label)),)
        return bound, Source(alias or label, _renamed(fields, columns, item))

    # --- tables -------------------------------------------------------------------------------

    def _table(self, item: exp.Table, ctes: Ctes) -> tuple[exp.Expr, Source]:
        for part, value in item.args.items():
            if value and part not in _TABLE_PARTS:
                raise _not_supported(item, f"{part.rstrip('s').upper()} of a table")
        position = node_position(item.parts[0])
        parts = tuple(part.name for part in item.parts if isinstance(part, exp.Identifier))
        if not parts or len(parts) != len(item.parts) or parts[0].startswith(PARAMETER):
            raise error(ErrorCode.SYNTAX_ERROR, "expected the name of a table", position=position)
        alias, columns = _alias(item)
        at = snapshot_of(item, self.session)
        sample = _pop_sample(item)
        if len(parts) == 1 and (cte := ctes.get(parts[0].casefold())) is not None:
            return self._cte(cte, alias or parts[0], columns, item, at, sample)
        name = self._full_name(parts, position)
        try:
            relation = self.resolver.relation(name, at)
        except HeadwaterError as failure:
            if failure.code is ErrorCode.TABLE_NOT_FOUND and failure.hint is None and ctes:
                failure.hint = did_you_mean(parts[-1], ctes)
            raise
        qualifiers = name.parts[:-1] if alias is None else ()
        if isinstance(relation, relations.ViewRelation):
            query, outputs = self._view(relation)
            return self._derived(
                query, outputs, alias or parts[-1], columns, item, sample, qualifiers
            )
        return self._leaf(relation, alias or parts[-1], columns, item, qualifiers, sample)

    def _full_name(self, parts: tuple[str, ...], position: Position | None) -> Name:
        """The name as (catalog, schema, table); levels of a nested schema joined by dots."""
        if len(parts) == 1:
            if self.session.schema is None:
                raise error(
                    ErrorCode.SCHEMA_NOT_FOUND,
                    f"no schema is set, so the table {parts[0]!r} cannot be found",
                    hint="write schema.table, or USE a schema first",
                    position=position,
                )
            return Name((self.session.catalog, self.session.schema, parts[0]), position)
        if len(parts) == 2:
            return Name((self.session.catalog, *parts), position)
        if parts[0].casefold() == CATALOG_NAME or len(parts) == 3:
            return Name((parts[0], ".".join(parts[1:-1]), parts[-1]), position)
        return Name((self.session.catalog, ".".join(parts[:-1]), parts[-1]), position)

    def _cte(
        self,
        cte: Cte,
        alias: str,
        columns: Sequence[str],
        item: exp.Table,
        at: SnapshotRef,
        sample: exp.Expr | None,
    ) -> tuple[exp.Expr, Source]:
        if not at.is_current:
            raise _not_supported(item, "time travel of a WITH query")
        key = self.state.unique(alias)
        fields = tuple(
            Field(output.name, output.type, _column(key, output.label)) for output in cte.outputs
        )
        bound = exp.Table(
            this=exp.to_identifier(cte.key, quoted=True), alias=_table_alias(key), sample=sample
        )
        return bound, Source(alias, _renamed(fields, columns, item))

    def _leaf(
        self,
        relation: relations.ScanRelation | relations.InputRelation,
        alias: str,
        columns: Sequence[str],
        item: exp.Table,
        qualifiers: tuple[str, ...],
        sample: exp.Expr | None,
    ) -> tuple[exp.Expr, Source]:
        leaf = self.state.leaf(relation)
        key = self.state.unique(alias)
        if isinstance(relation, relations.ScanRelation):
            kinds = [(column.name, data_type(column.type)) for column in relation.scan.columns]
        else:
            kinds = [(each.name, arrow_data_type(each.type)) for each in relation.schema]
        fields = tuple(Field(name, kind, _column(key, name)) for name, kind in kinds)
        bound = exp.Table(
            this=exp.to_identifier(leaf.key, quoted=True), alias=_table_alias(key), sample=sample
        )
        return bound, Source(alias, _renamed(fields, columns, item), qualifiers)

    def _view(self, view: relations.ViewRelation) -> tuple[exp.Expr, list[Output]]:
        name = str(view.identifier)
        if name in self.state.views or len(self.state.views) >= MAX_VIEW_DEPTH:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"the view {name} reads itself"
                if name in self.state.views
                else f"views are nested more than {MAX_VIEW_DEPTH} deep",
                hint=" → ".join([*self.state.views, name]),
            )
        self.state.views.append(name)
        if view.dialect is not self.session.dialect:
            self.state.constructs.add(f"View({view.dialect})")
        try:
            session = replace(self.session, dialect=view.dialect, schema=view.schema)
            inner = self.view_binder(view.resolver, session)
            tree = parse_query(view.sql, view.dialect)
            self.state.constructs |= query_constructs(tree)
            query, outputs = inner(tree, None, {})
        except HeadwaterError as failure:
            # Places in the view's text would be read as places in the statement's.
            raise error(
                failure.code, f"in view {name}: {failure.message}", hint=failure.hint
            ) from failure
        finally:
            self.state.views.pop()
        if view.columns is not None and len(view.columns) == len(outputs):
            outputs = [
                Output(column, output.type, output.label)
                for column, output in zip(view.columns, outputs, strict=True)
            ]
        return query, outputs

    def row_fields(self, row: exp.Expr, position: Position | None) -> tuple[Field, ...]:
        """The columns that `row.*` stands for."""
        kind = row.type
        if kind is None or not kind.is_type(exp.DType.STRUCT):
            raise error(
                ErrorCode.TYPE_MISMATCH, "only a table or a row has columns", position=position
            )
        return tuple(
            Field(part.name, part.args["kind"], row_field(row.copy(), part.name, position))
            for part in kind.expressions
        )


def _detach_joins(item: exp.Expr) -> tuple[exp.Expr, list[exp.Join]]:
    joins = list(item.args.get("joins") or ())
    item.set("joins", None)
    return item, joins


def _alias(item: exp.Expr) -> tuple[str | None, tuple[str, ...]]:
    alias = item.args.get("alias")
    if alias is None:
        return None, ()
    columns = tuple(column.name for column in alias.args.get("columns") or ())
    return (alias.name or None), columns


def _pop_sample(item: exp.Expr) -> exp.Expr | None:
    sample: exp.Expr | None = item.args.get("sample")
    item.set("sample", None)
    return sample


def _table_alias(key: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(key, quoted=True))


def _column(table: str, name: str) -> exp.Column:
    return exp.column(
        exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True)
    )


def _labelled(tree: exp.Expr, label: str) -> exp.Alias:
    return exp.Alias(this=tree, alias=exp.to_identifier(label, quoted=True))


def _renamed(
    fields: tuple[Field, ...], columns: Sequence[str], item: exp.Expr
) -> tuple[Field, ...]:
    if not columns:
        return fields
    if len(columns) != len(fields):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"the column list has {len(columns)} names, but there are {len(fields)} columns",
            position=node_position(item),
        )
    return tuple(
        Field(name, each.type, each.node) for name, each in zip(columns, fields, strict=True)
    )


def _row_type(kinds: Sequence[exp.DataType | None]) -> exp.DataType:
    merged: exp.DataType | None = None
    for kind in kinds:
        if kind is None:
            return exp.DType.UNKNOWN.into_expr()
        merged = kind if merged is None else common_type(merged, kind)
    return merged.copy() if merged is not None else exp.DType.UNKNOWN.into_expr()


def _not_supported(node: exp.Expr, what: str) -> HeadwaterError:
    return error(ErrorCode.NOT_SUPPORTED, f"{what} is not supported", position=node_position(node))
