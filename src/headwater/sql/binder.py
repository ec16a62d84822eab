"""Binds queries: WITH, SELECT, set operations, VALUES, their order, limit and output columns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect, Session
from headwater.sql.expressions import BinderState, Cte, Ctes, ExpressionBinder, Names, Output
from headwater.sql.relations import Resolver
from headwater.sql.scope import Field, Scope
from headwater.sql.sources import SourceBinder
from headwater.sql.spark import family, keyed
from headwater.sql.trees import PARAMETER, node_position
from headwater.sql.types import common_type

_SELECT_PARTS = frozenset(
    {"with_", "expressions", "from_", "joins", "laterals", "where", "group", "having", "qualify",
     "windows", "distinct", "order", "limit", "offset", "hint"}
)  # fmt: skip
_SET_PARTS = frozenset(
    {"with_", "this", "expression", "distinct", "order", "limit", "offset", "kind", "side"}
)


class Binder:
    """Binds the queries of one resolver and session; views get a binder of their own."""

    def __init__(self, state: BinderState, resolver: Resolver, session: Session) -> None:
        self.state = state
        self.session = session
        self.expressions = ExpressionBinder(state, session, self.query)
        self.sources = SourceBinder(
            state,
            resolver,
            session,
            self.query,
            self.expressions,
            lambda inner, of_view: Binder(state, inner, of_view).query,
        )

    def query(
        self, node: exp.Expr, outer: Scope | None, ctes: Ctes, *, top: bool = False
    ) -> tuple[exp.Expr, list[Output]]:
        """The bound query and its columns; only at the top may labels repeat."""
        if isinstance(node, exp.Subquery):
            node = self._unwrap(node)
        if isinstance(node, exp.Values):
            node = exp.Select(expressions=[exp.Star()], from_=exp.From(this=node))
        if isinstance(node, exp.Select):
            return self._select(node, outer, ctes, top)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, outer, ctes, top)
        raise error(ErrorCode.NOT_SUPPORTED, "this kind of query is not supported")

    def _unwrap(self, node: exp.Subquery) -> exp.Expr:
        """A query in brackets as a plain one; its own ORDER BY and the like stay outside it."""
        inner: exp.Expr = node.this
        outside = {key: value for key, value in node.args.items() if value and key != "this"}
        outside.pop("alias", None)
        if isinstance(inner, exp.Table):
            return exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner))
        if not outside:
            return self._unwrap(inner) if isinstance(inner, exp.Subquery) else inner
        refused = set(outside) - {"with_", "order", "limit", "offset"}
        if refused:
            raise _not_supported(node, f"{refused.pop()} after a query in brackets")
        return exp.Select(
            expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=inner)), **outside
        )

    # --- WITH ---------------------------------------------------------------------------------

    def _with(self, node: exp.Expr, outer: Scope | None, ctes: Ctes) -> Ctes:
        with_ = node.args.get("with_")
        if with_ is None:
            return ctes
        known = dict(ctes)
        seen: set[str] = set()
        for cte in with_.expressions:
            name = cte.alias
            if name.casefold() in seen:
                raise error(
                    ErrorCode.DUPLICATE_COLUMN_NAME,
                    f"WITH defines {name!r} twice",
                    position=node_position(cte.args["alias"]),
                )
            seen.add(name.casefold())
            key = self.state.unique(name)
            columns = [column.name for column in cte.args["alias"].columns]
            if cte.args.get("scalar") or cte.args.get("key_expressions"):
                raise _not_supported(cte, "this form of WITH")
            if with_.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                query, outputs = self._recursive(cte.this, name, key, columns, outer, known)
            else:
                query, outputs = self.query(cte.this, outer, known)
                outputs = rename(outputs, columns, cte)
            known[name.casefold()] = Cte(key, tuple(outputs))
            cte.set("this", query)
            cte.set("alias", exp.TableAlias(this=exp.to_identifier(key, quoted=True)))
            cte.set("materialized", None)
        return known

    def _recursive(
        self,
        node: exp.SetOperation,
        name: str,
        key: str,
        columns: Sequence[str],
        outer: Scope | None,
        ctes: Ctes,
    ) -> tuple[exp.Expr, list[Output]]:
        """A recursive query: its first part gives the columns that the second part reads."""
        if any(node.args.get(part) for part in ("order", "limit", "offset", "with_")):
            raise _not_supported(node, "ORDER BY, LIMIT or WITH around a recursive query")
        left, outputs = self.query(node.this, outer, ctes)
        outputs = rename(outputs, columns, node)
        inside = {**ctes, name.casefold(): Cte(key, tuple(outputs))}
        right, others = self.query(node.expression, outer, inside)
        _same_width(node, outputs, others)
        bound = type(node)(
            this=bracketed(left), expression=bracketed(right), distinct=node.args.get("distinct")
        )
        return bound, outputs

    # --- set operations -----------------------------------------------------------------------

    def _set_operation(
        self, node: exp.SetOperation, outer: Scope | None, ctes: Ctes, top: bool
    ) -> tuple[exp.Expr, list[Output]]:
        _check_parts(node, _SET_PARTS)
        if node.args.get("side") or node.args.get("kind"):
            raise _not_supported(node, "this kind of set operation")
        if self._sorts_by_expression(node):
            wrapped = exp.Select(expressions=[exp.Star()])
            for part in ("order", "limit", "offset", "with_"):
                if (value := node.args.get(part)) is not None:
                    node.set(part, None)
                    wrapped.set(part, value)
            wrapped.set("from_", exp.From(this=exp.Subquery(this=node)))
            return self._select(wrapped, outer, ctes, top)
        known = self._with(node, outer, ctes)
        left, outputs = self.query(node.this, outer, known, top=top)
        right, others = self.query(node.expression, outer, known)
        _same_width(node, outputs, others)
        merged = [
            Output(a.name, common_type(a.type, b.type), a.label)
            for a, b in zip(outputs, others, strict=True)
        ]
        if self.session.dialect is Dialect.SPARK:
            self._note_types(node, outputs, others)
        node.set("this", bracketed(left))
        node.set("expression", bracketed(right))
        names = Names(Scope(outer=outer), known)
        if (order := node.args.get("order")) is not None:
            for item in order.expressions:
                item.set("this", _ordinal(item.this, merged))
        self._limits(node, names)
        return node, merged

    def _note_types(
        self, node: exp.SetOperation, left: Sequence[Output], right: Sequence[Output]
    ) -> None:
        """Notes which types the columns of a set operation bring together."""
        name = type(node).__name__
        distinct = "" if node.args.get("distinct") else " all"
        for a, b in zip(left, right, strict=True):
            pair = ",".join(sorted({family(a.type), family(b.type)}))
            self.state.constructs.add(f"{name}{distinct} of ({pair})")

    def _sorts_by_expression(self, node: exp.SetOperation) -> bool:
        order = node.args.get("order")
        return order is not None and any(
            not isinstance(item.this, exp.Column | exp.Literal)
            or (isinstance(item.this, exp.Column) and len(item.this.parts) > 1)
            for item in order.expressions
        )

    # --- SELECT -------------------------------------------------------------------------------

    def _select(
        self, node: exp.Select, outer: Scope | None, ctes: Ctes, top: bool
    ) -> tuple[exp.Expr, list[Output]]:
        _check_parts(node, _SELECT_PARTS)
        node.set("hint", None)
        known = self._with(node, outer, ctes)
        scope = self.sources.bind(node, outer, known)
        if not node.expressions:
            raise error(ErrorCode.SYNTAX_ERROR, "SELECT needs at least one column")
        items = self._projections(node, scope, known)
        aliases = {name.casefold(): tree for name, tree, explicit in reversed(items) if explicit}
        plain = Names(scope, known)
        loose = Names(scope, known, {} if self.session.dialect is Dialect.TRINO else aliases)
        for part, names in (("where", loose), ("having", loose), ("qualify", loose)):
            if (clause := node.args.get(part)) is not None:
                clause.set("this", self.expressions.bind(clause.this, names))
        windows = node.args.get("windows")
        if windows:
            node.set("windows", [self.expressions.bind(window, plain) for window in windows])
        self._group(node, items, loose)
        outputs, labels = self._outputs(items, top)
        node.set("expressions", labels)
        self._distinct(node, Names(scope, known, aliases))
        self._order(node, outputs, items, Names(scope, known, aliases, aliases_first=True))
        self._limits(node, plain)
        if self.session.dialect is Dialect.SPARK:
            self._note(node, items)
        return node, outputs

    def _note(self, node: exp.Select, items: Sequence[tuple[str, exp.Expr, bool]]) -> None:
        """Notes what rows are grouped, told apart and sorted by: its type matters."""
        chosen = [tree for _, tree, _ in items]
        found = self.state.constructs
        group, order = node.args.get("group"), node.args.get("order")
        if group is not None:
            found |= {f"Group of {type(each).__name__}" for each in group.expressions
                      if isinstance(each, exp.Rollup | exp.Cube | exp.GroupingSets)}  # fmt: skip
            found |= keyed("GroupBy", _values(group.expressions, chosen))
            for part in ("rollup", "cube", "grouping_sets"):
                for sets in group.args.get(part) or ():
                    found |= keyed("GroupBy", _values(sets.expressions, chosen))
        if node.args.get("distinct") is not None:
            found |= keyed("Distinct", chosen)
        for item in order.expressions if order is not None else ():
            found |= keyed("OrderBy", _values([item.this], chosen))

    def _projections(
        self, node: exp.Select, scope: Scope, ctes: Ctes
    ) -> list[tuple[str, exp.Expr, bool]]:
        """Each projection after stars are expanded: name, bound tree, whether it has a name."""
        items: list[tuple[str, exp.Expr, bool]] = []
        aliases: dict[str, exp.Expr] = {}
        for item in list(node.expressions):
            star = self._star(item, scope, ctes)
            if star is not None:
                items.extend(star)
                continue
            names = Names(scope, ctes, {} if self.session.dialect is Dialect.TRINO else aliases)
            if isinstance(item, exp.Aliases):
                raise _not_supported(item, "several names for one column")
            name, explicit = self._name(item, len(items))
            value = item.this if isinstance(item, exp.Alias) else item
            bound = self.expressions.bind(value, names)
            items.append((name, bound, explicit))
            if isinstance(item, exp.Alias):
                aliases.setdefault(name.casefold(), bound)
        return items

    def _name(self, item: exp.Expr, index: int) -> tuple[str, bool]:
        if isinstance(item, exp.Alias):
            return item.alias, True
        if isinstance(item, exp.Column | exp.Dot) and item.name and PARAMETER not in item.name:
            return item.name, True
        if self.session.dialect is not Dialect.TRINO:
            text = item.sql(dialect=str(self.session.dialect))
            if PARAMETER not in text:
                return text[:200], False
        return f"_col{index}", False

    def _star(
        self, item: exp.Expr, scope: Scope, ctes: Ctes
    ) -> list[tuple[str, exp.Expr, bool]] | None:
        """The columns that `*`, `t.*` or `row.*` stand for; None for anything else."""
        star: exp.Expr | None = None
        fields: Sequence[Field] = ()
        if isinstance(item, exp.Star):
            star, fields = item, scope.visible
            if not scope.sources:
                raise error(
                    ErrorCode.SYNTAX_ERROR,
                    "SELECT * needs a FROM part",
                    position=node_position(item),
                )
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            star = item.this
            parts = [part.name for part in item.parts[:-1]]
            position = node_position(item)
            for level in scope.outward():
                source = level.source(parts, position)
                if source is not None:
                    fields = source.fields
                    break
            else:
                row = self.expressions.bind(
                    exp.Dot.build([exp.to_identifier(part) for part in parts])
                    if len(parts) > 4
                    else exp.column(*reversed(parts)),
                    Names(scope, ctes),
                )
                fields = self.sources.row_fields(row, position)
        if star is None:
            return None
        if star.args.get("rename"):
            raise _not_supported(item, "* RENAME")
        left_out = {
            part.name.casefold()
            for part in star.args.get("except_") or star.args.get("except") or ()
        }
        replaced = {
            part.alias.casefold(): self.expressions.bind(part.this, Names(scope, ctes))
            for part in star.args.get("replace") or ()
        }
        unknown = (left_out | replaced.keys()) - {each.name.casefold() for each in fields}
        if unknown:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"column {sorted(unknown)[0]!r} is not among those of *",
                position=node_position(item),
            )
        return [
            (each.name, replaced.get(each.name.casefold()) or each.read(), True)
            for each in fields
            if each.name.casefold() not in left_out
        ]

    def _outputs(
        self, items: Sequence[tuple[str, exp.Expr, bool]], top: bool
    ) -> tuple[list[Output], list[exp.Expr]]:
        outputs: list[Output] = []
        trees: list[exp.Expr] = []
        taken: set[str] = set()
        for name, tree, _ in items:
            label = name
            if not top and name.casefold() in taken:
                label = self.state.unique(name)
            taken.add(label.casefold())
            kind = tree.type if isinstance(tree.type, exp.DataType) else None
            outputs.append(Output(name, kind or exp.DType.UNKNOWN.into_expr(), label))
            alias = exp.Alias(this=tree, alias=exp.to_identifier(label, quoted=True))
            alias.type = outputs[-1].type.copy()
            trees.append(alias)
        return outputs, trees

    def _group(
        self, node: exp.Select, items: Sequence[tuple[str, exp.Expr, bool]], names: Names
    ) -> None:
        group = node.args.get("group")
        if group is None:
            return
        if any(group.args.get(part) for part in ("totals",)):
            raise _not_supported(node, "GROUP BY … WITH TOTALS")

        def resolve(item: exp.Expr, inside: bool) -> exp.Expr:
            if isinstance(item, exp.GroupingSets | exp.Rollup | exp.Cube):
                item.set("expressions", [resolve(each, True) for each in item.expressions])
                return item
            if isinstance(item, exp.Tuple):
                return exp.Tuple(expressions=[resolve(each, True) for each in item.expressions])
            if isinstance(item, exp.Paren):
                return exp.Paren(this=resolve(item.this, True))
            if isinstance(item, exp.Literal) and not item.is_string:
                place = _place(item, len(items))
                chosen = items[place - 1][1]
                if inside or isinstance(chosen, exp.Literal):
                    return chosen.copy()
                return exp.Literal.number(place)
            return self.expressions.bind(item, names)

        for part in ("rollup", "cube"):
            for behind in group.args.get(part) or ():
                if isinstance(behind, exp.Expr) and not behind.expressions:
                    # GROUP BY a, b WITH ROLLUP
                    behind.set("expressions", group.expressions)
                    group.set("expressions", [])
        for part in ("expressions", "grouping_sets", "cube", "rollup"):
            values = group.args.get(part)
            if isinstance(values, list):
                group.set(part, [resolve(each, False) for each in values])

    def _distinct(self, node: exp.Select, names: Names) -> None:
        distinct = node.args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        if distinct is not None and on is not None:
            distinct.set("on", self.expressions.bind(on, names))

    def _order(
        self,
        node: exp.Select,
        outputs: Sequence[Output],
        items: Sequence[tuple[str, exp.Expr, bool]],
        names: Names,
    ) -> None:
        order = node.args.get("order")
        if order is None:
            return
        for item in order.expressions:
            value = item.this
            if isinstance(value, exp.Literal) and not value.is_string:
                item.set("this", exp.Literal.number(_place(value, len(outputs))))
            elif isinstance(value, exp.Var) and value.name.upper() == "ALL":
                everything = [
                    exp.Ordered(this=exp.Literal.number(place), **_direction(item))
                    for place in range(1, len(outputs) + 1)
                ]
                order.set("expressions", everything)
                return
            else:
                place = _named_place(value, items)
                item.set(
                    "this",
                    exp.Literal.number(place)
                    if place is not None
                    else self.expressions.bind(value, names),
                )

    def _limits(self, node: exp.Expr, names: Names) -> None:
        limit = node.args.get("limit")
        if isinstance(limit, exp.Fetch):
            options = limit.args.get("limit_options")
            if options is not None and (
                options.args.get("with_ties") or options.args.get("percent")
            ):
                raise _not_supported(limit, "FETCH … WITH TIES")
            node.set(
                "limit", exp.Limit(expression=limit.args.get("count") or exp.Literal.number(1))
            )
        for part in ("limit", "offset"):
            clause = node.args.get(part)
            if clause is None:
                continue
            refused = set(clause.args) - {"this", "expression", "offset"}
            if any(clause.args[key] for key in refused) or clause.args.get("offset"):
                raise _not_supported(clause, f"this form of {part.upper()}")
            value = clause.expression
            if isinstance(value, exp.Var | exp.Column) and value.name.upper() == "ALL":
                node.set(part, None)
                continue
            bound = self.expressions.bind(value, Names(Scope(), names.ctes))
            if bound.find(exp.Query):
                raise _not_supported(clause, f"a subquery in {part.upper()}")
            clause.set("expression", bound)


def _values(nodes: Sequence[exp.Expr], items: Sequence[exp.Expr]) -> list[exp.Expr]:
    """The expressions that stand for themselves or, as a number, for a select item."""
    found: list[exp.Expr] = []
    for node in nodes:
        if isinstance(node, exp.Tuple | exp.Rollup | exp.Cube | exp.GroupingSets):
            found += _values(node.expressions, items)
        elif isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
            found.append(items[int(node.this) - 1])
        else:
            found.append(node)
    return found


def _direction(item: exp.Ordered) -> dict[str, object]:
    return {key: value for key, value in item.args.items() if key in ("desc", "nulls_first")}


def _named_place(value: exp.Expr, items: Sequence[tuple[str, exp.Expr, bool]]) -> int | None:
    """The place of the one output column that a plain name in ORDER BY stands for."""
    if not isinstance(value, exp.Column) or len(value.parts) != 1:
        return None
    folded = value.name.casefold()
    places = [
        place
        for place, (name, _, explicit) in enumerate(items, 1)
        if explicit and name.casefold() == folded
    ]
    if len({items[place - 1][1] for place in places}) > 1:
        raise error(
            ErrorCode.AMBIGUOUS_NAME,
            f"ORDER BY {value.name!r} could be any of {len(places)} columns",
            hint="write table.column, or a number",
            position=node_position(value),
        )
    return places[0] if places else None


def _place(item: exp.Literal, width: int) -> int:
    place = int(item.this) if item.this.isdigit() else 0
    if not 1 <= place <= width:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"position {item.this} is not in the select list, which has {width} columns",
            position=node_position(item),
        )
    return place


def _ordinal(value: exp.Expr, outputs: Sequence[Output]) -> exp.Expr:
    if isinstance(value, exp.Literal):
        return exp.Literal.number(_place(value, len(outputs)))
    found = [
        place
        for place, output in enumerate(outputs, 1)
        if output.name.casefold() == value.name.casefold()
    ]
    if len(found) == 1:
        return exp.Literal.number(found[0])
    raise error(
        ErrorCode.AMBIGUOUS_NAME if found else ErrorCode.COLUMN_NOT_FOUND,
        f"column {value.name!r} of ORDER BY {'is ambiguous' if found else 'cannot be resolved'}",
        position=node_position(value),
    )


def rename(outputs: list[Output], names: Sequence[str], node: exp.Expr) -> list[Output]:
    """The outputs under the names of a column list; the list must be as long as they are."""
    if not names:
        return outputs
    if len(names) != len(outputs):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"the column list has {len(names)} names, but the query has {len(outputs)} columns",
            position=node_position(node),
        )
    return [
        Output(name, output.type, output.label) for name, output in zip(names, outputs, strict=True)
    ]


def bracketed(query: exp.Expr) -> exp.Expr:
    """A side of a set operation: in brackets when it has parts that would bind to the whole."""
    if any(query.args.get(part) for part in ("with_", "order", "limit", "offset")) or isinstance(
        query, exp.SetOperation
    ):
        return exp.Subquery(this=query)
    return query


def _same_width(node: exp.Expr, left: Sequence[Output], right: Sequence[Output]) -> None:
    if len(left) != len(right):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"the queries of {type(node).__name__.upper()} have {len(left)} and "
            f"{len(right)} columns",
            position=node_position(node),
        )


def _check_parts(node: exp.Expr, allowed: frozenset[str]) -> None:
    for part, value in node.args.items():
        if value and part not in allowed:
            raise _not_supported(node, f"{part.strip('_').replace('_', ' ').upper()} in a query")


def _not_supported(node: exp.Expr, what: str) -> Exception:
    return error(ErrorCode.NOT_SUPPORTED, f"{what} is not supported", position=node_position(node))
