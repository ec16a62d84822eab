"""Binds the expressions of a query: columns, fields of rows, subqueries, parameters, functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp
from sqlglot.optimizer.annotate_types import TypeAnnotator
from sqlglot.schema import MappingSchema

from headwater.errors import ErrorCode, Position, error
from headwater.model.statement import Dialect, Session
from headwater.sql.functions import check_node, session_value
from headwater.sql.hints import did_you_mean
from headwater.sql.relations import InputRelation, Leaf, ScanRelation
from headwater.sql.scope import Scope
from headwater.sql.spark import expression_constructs
from headwater.sql.spark_types import set_spark_types
from headwater.sql.translate import translate
from headwater.sql.trees import PARAMETER, node_position

MAX_VIEW_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Output:
    """A column that a query yields: the name users see, its type, the alias that reads it."""

    name: str
    type: exp.DataType
    label: str


@dataclass(frozen=True, slots=True)
class Cte:
    """A query of WITH: its unique name in the bound tree and its columns."""

    key: str
    outputs: tuple[Output, ...]


Ctes = Mapping[str, Cte]

_NOT_CONSTANT = (
    exp.Column, exp.Star, exp.Query, exp.Table, exp.AggFunc, exp.Window, exp.Lambda,
)  # fmt: skip


class QueryBinder(Protocol):
    """Binds a subquery of an expression."""

    def __call__(
        self, node: exp.Expr, outer: Scope | None, ctes: Ctes, *, top: bool = False
    ) -> tuple[exp.Expr, list[Output]]:
        """The bound query and its columns."""
        ...


@dataclass(slots=True)
class BinderState:
    """What the whole statement shares: relations found, unique names, parameters, open views."""

    parameters: list[exp.Expr] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    names: int = 0
    highest_parameter: int = 0
    constructs: set[str] = field(default_factory=set)

    def unique(self, name: str) -> str:
        """A name that nothing else in the statement has: no user's name has this ending twice."""
        self.names += 1
        return f"{name}${self.names}"

    def leaf(self, relation: ScanRelation | InputRelation) -> Leaf:
        """The leaf of a relation; equal relations share one."""
        for leaf in self.leaves:
            if leaf.relation == relation:
                return leaf
        leaf = Leaf(f"hw$relation${len(self.leaves)}", relation)
        self.leaves.append(leaf)
        return leaf

    def parameter(self, number: int, position: Position | None) -> exp.Expr:
        """The constant of a `?`, counted from 1."""
        self.highest_parameter = max(self.highest_parameter, number)
        if number > len(self.parameters):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the statement has a parameter {number}, but {len(self.parameters)} "
                "values were given",
                hint="EXECUTE … USING takes one value for each ?",
                position=position,
            )
        return exp.Paren(this=self.parameters[number - 1].copy())

    def check_parameters(self) -> None:
        """Fails when values were given that no `?` takes."""
        if len(self.parameters) > self.highest_parameter:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{len(self.parameters)} values were given for {self.highest_parameter} parameters",
                hint="EXECUTE … USING takes one value for each ?",
            )


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may name: columns of a scope, queries of WITH, outputs of its SELECT."""

    scope: Scope
    ctes: Ctes
    aliases: Mapping[str, exp.Expr] = field(default_factory=dict)
    aliases_first: bool = False


class ExpressionBinder:
    """Binds expressions of one dialect and session."""

    def __init__(self, state: BinderState, session: Session, query: QueryBinder) -> None:
        self.state = state
        self.session = session
        self.dialect = session.dialect
        self.query = query
        self._annotator = TypeAnnotator(
            MappingSchema(dialect=str(session.dialect)), overwrite_types=False
        )

    def bind(self, node: exp.Expr, names: Names) -> exp.Expr:
        """The expression with its names resolved and its types set, detached from its parent."""
        holder = exp.Paren(this=node)
        stack = [node]
        while stack:
            current = stack.pop()
            if isinstance(current, exp.Column):
                self._column(current, names)
            elif isinstance(current, exp.Select | exp.SetOperation | exp.Subquery | exp.Values):
                self._subquery(current, names)
            elif isinstance(current, exp.Placeholder | exp.Parameter):
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    "named parameters are not supported",
                    hint="use ? and EXECUTE … USING",
                )
            else:
                current = _quantifier(current)
                check_node(current, self.dialect)
                constant = session_value(current, self.session)
                if constant is not None:
                    current.replace(constant)
                elif isinstance(current, exp.Star) and not isinstance(current.parent, exp.Count):
                    raise error(
                        ErrorCode.SYNTAX_ERROR,
                        "* stands for columns only in SELECT and in count(*)",
                        position=node_position(current.parent or current),
                    )
                else:
                    stack.extend(current.iter_expressions(reverse=True))
        bound: exp.Expr = holder.this
        bound.pop()
        self._set_lambda_types(bound)
        self._annotator.annotate(bound, annotate_scope=False)
        self._annotator.clear()
        if self.dialect is Dialect.SPARK:
            set_spark_types(bound)
            self.state.constructs |= expression_constructs(bound)
        return translate(bound, self.dialect)

    def _column(self, column: exp.Column, names: Names) -> None:
        position = node_position(column)
        if isinstance(column.this, exp.Star):
            raise error(
                ErrorCode.SYNTAX_ERROR,
                "* stands for columns only in SELECT and in count(*)",
                position=position,
            )
        parts = [part.name for part in column.parts]
        if parts[0].startswith(PARAMETER):
            value = self.state.parameter(int(parts[0].removeprefix(PARAMETER)), position)
            column.replace(self._constant(value, position))
            return
        top: exp.Expr = column
        while (
            isinstance(top.parent, exp.Dot)
            and top.arg_key == "this"
            and isinstance(top.parent.expression, exp.Identifier)
        ):
            top = top.parent
            parts.append(top.expression.name)
        constant = None
        if len(parts) == 1 and not column.this.quoted:
            constant = session_value(column, self.session)
        read, used = self._resolve(parts, names, position, constant)
        for name in parts[used:]:
            read = row_field(read, name, position)
        top.replace(read)

    def _constant(self, value: exp.Expr, position: Position | None) -> exp.Expr:
        """A parameter's tree, checked: it is put in after names are resolved, so it has none."""
        for node in list(value.walk()):
            if isinstance(node, _NOT_CONSTANT):
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    "a value for a parameter must be a constant",
                    hint="it names no column and holds no query, aggregate or lambda",
                    position=position,
                )
            check_node(node, self.dialect)
            constant = session_value(node, self.session)
            if constant is not None:
                node.replace(constant)
        return value

    def _resolve(
        self,
        parts: Sequence[str],
        names: Names,
        position: Position | None,
        constant: exp.Expr | None,
    ) -> tuple[exp.Expr, int]:
        alias = names.aliases.get(parts[0].casefold()) if len(parts) == 1 else None
        if alias is not None and names.aliases_first:
            return exp.Paren(this=alias.copy()), 1
        try:
            return names.scope.resolve(parts, position)
        except Exception:
            if alias is not None:
                return exp.Paren(this=alias.copy()), 1
            if constant is not None:
                return constant, 1
            row = self._row(parts, names.scope, position)
            if row is not None:
                return row, 1
            raise

    def _row(
        self, parts: Sequence[str], scope: Scope, position: Position | None
    ) -> exp.Expr | None:
        """`SELECT t FROM t` in DuckDB's dialect: the governed columns of t as one row."""
        if self.dialect is not Dialect.DUCKDB or len(parts) != 1:
            return None
        for level in scope.outward():
            source = level.source(parts, position)
            if source is not None:
                items = [
                    exp.PropertyEQ(this=exp.to_identifier(each.name, quoted=True),
                                   expression=each.read())
                    for each in source.fields
                ]  # fmt: skip
                return exp.Struct(expressions=items)
        return None

    def _subquery(self, node: exp.Expr, names: Names) -> None:
        parent = node.parent
        bound, outputs = self.query(node.copy(), names.scope, names.ctes)
        if isinstance(parent, exp.Exists):
            node.replace(bound)
            return
        wrapped = bound if isinstance(bound, exp.Subquery) else exp.Subquery(this=bound)
        width = 1
        if isinstance(parent, exp.In) and isinstance(parent.this, exp.Tuple):
            width = len(parent.this.expressions)
        if len(outputs) != width:
            raise error(
                ErrorCode.TYPE_MISMATCH,
                f"a subquery here must yield {width} column{'s' if width > 1 else ''}, "
                f"not {len(outputs)}",
                position=node_position(node),
            )
        wrapped.type = outputs[0].type.copy()
        if isinstance(node, exp.Values) and isinstance(parent, exp.In):
            if len(parent.expressions) != 1:
                raise error(
                    ErrorCode.SYNTAX_ERROR, "VALUES stands alone in IN (…)", hint="IN (VALUES 1, 2)"
                )
            parent.set("expressions", None)
            parent.set("query", wrapped)
            return
        node.replace(wrapped)

    def _set_lambda_types(self, bound: exp.Expr) -> None:
        """Gives lambda parameters the element type of the array that the function takes."""
        for lambda_ in list(bound.find_all(exp.Lambda)):
            function = lambda_.parent
            array = function.this if isinstance(function, exp.Func) else None
            if not isinstance(array, exp.Expr):
                continue
            self._annotator.annotate(array, annotate_scope=False)
            kind = array.type
            if kind is None or not kind.is_type(exp.DType.ARRAY, exp.DType.LIST):
                continue
            element = kind.expressions[0] if kind.expressions else None
            if isinstance(function, exp.Reduce) or element is None or not lambda_.expressions:
                continue
            name = lambda_.expressions[0].name
            for node in list(lambda_.this.find_all(exp.Identifier)):
                if node.name == name and (
                    not isinstance(node.parent, exp.Dot | exp.Column | exp.PropertyEQ)
                    or (isinstance(node.parent, exp.Dot) and node.arg_key == "this")
                ):
                    node.type = element.copy()


def _quantifier(node: exp.Expr) -> exp.Expr:
    """`>= ALL (VALUES …)`, which sqlglot takes for a call of a function, as what it is."""
    if isinstance(node, exp.Anonymous) and node.name.lower() == "all" and node.parent is not None:
        values = node.expressions[0] if len(node.expressions) == 1 else None
        if isinstance(values, exp.Values):
            all_ = exp.All(this=exp.Subquery(this=values))
            node.replace(all_)
            return all_
    return node


def row_field(value: exp.Expr, name: str, position: Position | None) -> exp.Expr:
    """The tree that reads a field of a row; COLUMN_NOT_FOUND when the row's type lacks it."""
    kind = value.type
    if kind is not None and kind.is_type(exp.DType.STRUCT) and kind.expressions:
        for part in kind.expressions:
            if part.name.casefold() == name.casefold():
                read = exp.Dot(this=value, expression=exp.to_identifier(part.name, quoted=True))
                inner = part.args.get("kind")
                if isinstance(inner, exp.DataType):
                    read.type = inner.copy()
                return read
        raise error(
            ErrorCode.COLUMN_NOT_FOUND,
            f"the row has no field {name!r}",
            hint=did_you_mean(name, [part.name for part in kind.expressions]),
            position=position,
        )
    if kind is not None and not kind.is_type(exp.DType.UNKNOWN):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"a value of type {kind.sql(dialect='trino')} has no field {name!r}",
            position=position,
        )
    return exp.Dot(this=value, expression=exp.to_identifier(name, quoted=True))
