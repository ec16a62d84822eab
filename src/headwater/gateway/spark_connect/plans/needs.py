"""What a plan needs of the tables that it reads: the columns that it can mention, the rows that its
own filters leave.

Names flow from the top of a plan down to its tables. A relation that lists its columns cuts what is
above it; all others add the names that they mention. Names are never taken away again, so it does
not matter which of several things a name means. Where rows are used as a whole or by position, and
for everything that is not known here, all columns are needed. A name that is nowhere to be found
makes that of the whole plan: the engine's own error then says what it always said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.gateway.spark_connect.plans.filters import FUNCTIONS, Condition, pushed
from headwater.gateway.spark_connect.plans.inside import inside_of
from headwater.gateway.spark_connect.plans.kinds import PACKAGE
from headwater.gateway.spark_connect.plans.model import Message, PlanContext
from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.gateway.spark_connect.plans.reads import Key, Reads
from headwater.gateway.spark_connect.plans.sql_text import parse_expression
from headwater.gateway.spark_connect.plans.text_needs import counted, names_in, text_needs
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.needs import Columns, Comparison, Need, narrowed

_DEEPEST = 200
_SETTING = "headwater.staging"

Scope = frozenset[str] | None
"""Casefolded names that can be found in a relation, or more; None when nobody knows."""


class _InDoubtError(Exception):
    """Everything is needed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a relation: the columns of these names, or `all` but those `without`."""

    names: frozenset[str] = frozenset()
    all: bool = False
    without: frozenset[str] = frozenset()

    def of(self, columns: Columns) -> frozenset[str] | None:
        """The names of a table's columns that are wanted; None for all."""
        if self.all and not self.without:
            return None
        folded = frozenset(name.casefold() for name, _ in columns)
        rest = folded - self.without if self.all else frozenset()
        return (folded & self.names) | rest


_ALL = Wanted(all=True)

_PASS = frozenset(
    [
        "collect_metrics",
        "deduplicate",
        "drop",
        "drop_na",
        "fill_na",
        "filter",
        "hint",
        "html_string",
        "limit",
        "offset",
        "repartition",
        "repartition_by_expression",
        "replace",
        "sample",
        "sample_by",
        "show_string",
        "sort",
        "subquery_alias",
        "tail",
        "with_columns",
        "with_columns_renamed",
    ]
)
"""Relations of one input whose columns go through, changed one by one at most."""

_CUT = frozenset(
    ["aggregate", "approx_quantile", "corr", "cov", "crosstab", "describe", "freq_items", "project"]
)
"""Relations of one input that say which columns they use."""

_NAMED = {
    "approx_quantile": ("cols",),
    "corr": ("col1", "col2"),
    "cov": ("col1", "col2"),
    "crosstab": ("col1", "col2"),
    "deduplicate": ("column_names",),
    "describe": ("cols",),
    "drop_na": ("cols",),
    "fill_na": ("cols",),
    "freq_items": ("cols",),
    "replace": ("cols",),
}
"""Fields that hold names of columns as text."""

_OF_ALL = frozenset({"approx_quantile", "describe", "drop_na", "freq_items", "replace"})
"""What means every column where it names none."""

_EAGER = frozenset({"StatCrosstab", "StatFreqItems", "Transpose"})
_PIVOT = "Aggregate.Pivot"


def needs_of(root: Message, reads: Reads, context: PlanContext) -> dict[Key, Need]:
    """What a plan needs of each of its tables, once a run of it; nothing is said of the others.

    The tables are looked at, and none is staged. Raises TABLE_NOT_FOUND, PERMISSION_DENIED.
    """
    if not reads.tables or FUNCTIONS & (context.functions | context.table_functions):
        return {}
    if context.settings.get(_SETTING, "needed").lower() == "whole":
        return {}
    if context.settings.get("spark.sql.caseSensitive", "false").lower() != "false":
        return {}
    if any("collation" in key.lower() for key in context.settings):
        return {}  # strings may be equal that are not the same
    seen: dict[Key, Columns] = {}
    for read in reads.tables:
        if read.key not in seen:
            seen[read.key] = context.stager.columns(read.name, read.at, read.session)
    return needs_among(root, reads, seen)


def needs_among(root: Message, reads: Reads, seen: Mapping[Key, Columns]) -> dict[Key, Need]:
    """As `needs_of`, for tables with these visible columns."""
    flow = _Flow(reads, seen)
    try:
        flow.into(root, _ALL)
    except (_InDoubtError, HeadwaterError, RecursionError):
        return {}
    return flow.needs()


def depends_on_rows(root: Message, reads: Reads) -> bool:
    """True when the columns of a plan's result depend on what its tables hold."""
    waiting = [root, *(relation for text in reads.texts for _, relation in text.places)]
    while waiting:
        found = waiting.pop()
        kind = found.DESCRIPTOR.full_name.removeprefix(PACKAGE)
        if kind in _EAGER or (kind == _PIVOT and not found.values):
            return True
        waiting += inside_of(found)
    return False


@dataclass(slots=True)
class _Mentions:
    """What expressions mention.

    `columns` are the names of columns by their parts, `made` the names that the expressions give,
    `shown` those of columns that stand for themselves.
    `star`: one of them is a star; `whole`: rows are used as a whole. `named` is False when a column
    is made whose name is the engine's to give.
    """

    columns: list[tuple[str, ...]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    star: bool = False
    whole: bool = False
    named: bool = True

    def name(self, text: str) -> None:
        """Adds the name of a column."""
        try:
            parts = split_identifier(text)
        except HeadwaterError:
            parts = (text, *text.replace("`", "").split("."))
        folded = tuple(part.casefold() for part in parts)
        self.columns.append(folded)
        self.names.update(folded)

    def top(self, expression: Message) -> None:
        """Adds an expression that stands for itself in a list of columns, perhaps a star."""
        kind = expression.WhichOneof("expr_type")
        if kind == "unresolved_star":
            self.star = True
            self._qualifier(expression.unresolved_star.unparsed_target)
            return
        if kind == "expression_string":
            tree = parse_expression(expression.expression_string.expression)
            star = tree.this if isinstance(tree, exp.Column) else tree
            if isinstance(star, exp.Star) and not any(star.args.values()):
                self.star = True
                self.names.update(names_in(tree))
                return
            if isinstance(tree, exp.Column):
                self.shown.add(tree.name.casefold())
            elif not isinstance(tree, exp.Alias):
                self.named = False
        elif kind == "unresolved_attribute":
            before = len(self.columns)
            self.add(expression)
            self.shown.update(parts[-1] for parts in self.columns[before:])
            return
        elif kind != "alias":
            self.named = False
        self.add(expression)

    def _qualifier(self, target: str) -> None:
        if target:
            self.name(target.removesuffix(".*"))
            self.columns.pop()  # a table's name, or a column's

    def add(self, message: Message) -> None:
        """Adds all that is mentioned in a message."""
        waiting = [message]
        while waiting:
            found = waiting.pop()
            kind = found.DESCRIPTOR.full_name.removeprefix(PACKAGE)
            match kind:
                case "Expression.UnresolvedAttribute":
                    self.name(found.unparsed_identifier)
                case "Expression.UnresolvedStar":
                    self.whole = True
                    self._qualifier(found.unparsed_target)
                case "Expression.UnresolvedRegex":
                    self.whole = True
                case "Expression.ExpressionString":
                    self._tree(parse_expression(found.expression))
                case "Relation" | "SubqueryExpression":
                    raise _InDoubtError
                case "Expression.Alias":
                    self.made.update(name.casefold() for name in found.name)
                    waiting.append(found.expr)
                case "Expression.UnresolvedNamedLambdaVariable":
                    self.made.update(part.casefold() for part in found.name_parts)
                case "Expression.Literal":
                    continue
                case "Expression.UnresolvedFunction" if _counts_rows(found):
                    continue
                case _:
                    waiting += inside_of(found)

    def _tree(self, tree: exp.Expr) -> None:
        if tree.find(exp.Query, exp.Table) is not None:
            raise _InDoubtError
        self.names |= names_in(tree)
        for star in tree.find_all(exp.Star):
            self.whole |= not counted(star)
        defined = tree.find_all(exp.Identifier)
        self.made.update(
            each.name.casefold()
            for each in defined
            if not isinstance(each.parent, exp.Column | exp.Dot)
        )
        for column in tree.find_all(exp.Column):
            if not isinstance(column.this, exp.Star):
                self.columns.append(tuple(part.name.casefold() for part in column.parts))


def _counts_rows(call: Message) -> bool:
    """True for count(*)."""
    return (
        call.function_name.lower() == "count"
        and not call.is_distinct
        and not call.is_user_defined_function
        and len(call.arguments) == 1
        and call.arguments[0].WhichOneof("expr_type") == "unresolved_star"
        and not call.arguments[0].unresolved_star.unparsed_target
    )


def _mentioned(found: Iterable[Message], *, top: bool = False) -> _Mentions:
    mentions = _Mentions()
    for each in found:
        if top:
            mentions.top(each)
        else:
            mentions.add(each)
    return mentions


@dataclass(slots=True)
class _Flow:
    """One way down through a plan; `reached` holds what came to each table."""

    reads: Reads
    seen: Mapping[Key, Columns]
    depth: int = 0
    reached: dict[Key, list[tuple[Wanted, tuple[Comparison, ...]]]] = field(default_factory=dict)

    def needs(self) -> dict[Key, Need]:
        """What is needed of each table: by all its places together, which share one copy."""
        places: dict[Key, int] = {}
        for read in self.reads.tables:
            places[read.key] = places.get(read.key, 0) + 1
        found: dict[Key, Need] = {}
        for key, reached in self.reached.items():
            if len(reached) != places[key]:
                continue  # one of them was not reached, nobody knows why
            columns = self.seen[key]
            parts = [wanted.of(columns) for wanted, _ in reached]
            known = [part for part in parts if part is not None]
            names = frozenset().union(*known) if len(known) == len(parts) else None
            filters = {where for _, where in reached}
            found[key] = narrowed(columns, names, filters.pop() if len(filters) == 1 else ())
        return found

    def into(self, relation: Message, wanted: Wanted, path: tuple[Condition, ...] = ()) -> Scope:
        """Follows what is wanted into a relation; `path` are conditions of filters right above it.

        Answers which names can be found in the relation.
        """
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _InDoubtError
        try:
            return self._into(relation, wanted, path)
        finally:
            self.depth -= 1

    def _into(self, relation: Message, wanted: Wanted, path: tuple[Condition, ...]) -> Scope:
        kind = relation.WhichOneof("rel_type")
        if kind is None:
            return None  # the place of files
        node = getattr(relation, kind)
        if kind == "read":
            return self._read(relation, wanted, path)
        if kind == "sql":
            return self._text(node, wanted)
        if kind == "join":
            return self._join(node, wanted)
        if kind == "with_relations":
            for each in node.references:
                self.into(each, _ALL)
            return self.into(node.root, wanted)
        if kind in _PASS:
            return self._pass(kind, node, wanted, path)
        if kind in _CUT:
            return self._cut(kind, node, wanted, path)
        for each in _relations(node):
            self.into(each, _ALL)
        return None

    def _read(self, relation: Message, wanted: Wanted, path: tuple[Condition, ...]) -> Scope:
        read = self.reads.table_at(relation)
        if read is None:
            return None
        columns = self.seen[read.key]
        self.reached.setdefault(read.key, []).append((wanted, pushed(columns, path)))
        return frozenset(name.casefold() for name, _ in columns)

    def _pass(self, kind: str, node: Message, wanted: Wanted, path: tuple[Condition, ...]) -> Scope:
        mentions = _mentioned(_expressions(node))
        self._add_named(kind, node, mentions)
        wanted = _with(wanted, mentions)
        if (kind == "deduplicate" and node.all_columns_as_keys) or (
            kind in _OF_ALL and not node.cols
        ):
            wanted = _ALL
        if kind == "with_columns_renamed":
            for old, new in node.rename_columns_map.items():
                mentions.made.add(new.casefold())
                wanted = Wanted(wanted.names | {old.casefold()}, wanted.all, wanted.without)
            for each in node.renames:
                mentions.made.add(each.new_col_name.casefold())
                names = wanted.names | {each.col_name.casefold()}
                wanted = Wanted(names, wanted.all, wanted.without)
        if kind == "sort" and any(_is_place(each.child) for each in node.order):
            wanted = _ALL
        if kind == "hint":
            told = {each.literal.string.casefold() for each in node.parameters}
            wanted = Wanted(wanted.names | told, wanted.all, wanted.without)
        if kind == "drop" and wanted.all:
            gone = wanted.without | {name.casefold() for name in node.column_names}
            wanted = Wanted(wanted.names, True, gone)
        if kind == "filter":
            path = (node.condition, *path)
        elif kind != "subquery_alias":
            path = ()
        scope = self.into(node.input, wanted, path)
        if kind not in ("drop", "hint"):
            # A column to drop need not be there.
            _check(mentions, scope)
        return None if scope is None else scope | mentions.made

    def _cut(self, kind: str, node: Message, wanted: Wanted, path: tuple[Condition, ...]) -> Scope:
        mentions = _mentioned(_expressions(node), top=kind == "project")
        self._add_named(kind, node, mentions)
        if kind != "project" or not _is_plain(node):
            path = ()
        if kind in _OF_ALL and not node.cols:
            mentions.whole = True
        if not mentions.named and mentions.star:
            # The engine may tell of all columns beside the one whose name it makes.
            mentions.whole = True
        # What is wanted from above goes on: a filter or an order may name what is not selected.
        below = Wanted(
            wanted.names | mentions.names,
            mentions.whole or (mentions.star and wanted.all),
            wanted.without if mentions.star and not mentions.whole else frozenset(),
        )
        scope = self.into(node.input, below, path)
        _check(mentions, scope)
        if scope is None or not mentions.named or kind != "project":
            return None
        return scope | mentions.made | mentions.shown

    def _add_named(self, kind: str, node: Message, mentions: _Mentions) -> None:
        for where in _NAMED.get(kind, ()):
            value = getattr(node, where)
            for name in [value] if isinstance(value, str) else value:
                mentions.name(name)

    def _join(self, node: Message, wanted: Wanted) -> Scope:
        condition = [node.join_condition] if node.HasField("join_condition") else []
        mentions = _mentioned(condition)
        for name in node.using_columns:
            mentions.name(name)
        wanted = _with(wanted, mentions)
        kinds = messages().Join.JoinType
        one_sided = kinds.Name(node.join_type) in ("JOIN_TYPE_LEFT_SEMI", "JOIN_TYPE_LEFT_ANTI")
        right = Wanted(wanted.names, mentions.whole) if one_sided else wanted
        scopes = [self.into(node.left, wanted), self.into(node.right, right)]
        known = [scope for scope in scopes if scope is not None]
        scope = frozenset().union(*known) if len(known) == 2 else None
        _check(mentions, scope)
        return scope

    def _text(self, node: Message, wanted: Wanted) -> Scope:
        read = self.reads.text_at(node.query)
        if read is None:
            return None  # it names no table
        arguments = _mentioned(inside_of(node))
        if arguments.whole:
            raise _InDoubtError
        needs = text_needs(read)
        names = wanted.names | needs.names | arguments.names
        inside = _ALL
        if needs.through:
            inside = Wanted(names, wanted.all, wanted.without)
        elif not needs.whole:
            inside = Wanted(names)
        scopes: list[Scope] = []
        for table, relation in read.places:
            path = needs.where if table.node is needs.source else ()
            scopes.append(self.into(relation, inside, path))
        if not needs.resolves(read, scopes):
            raise _InDoubtError
        if needs.through and scopes[0] is not None:
            return scopes[0] | needs.names
        return None


def _with(wanted: Wanted, mentions: _Mentions) -> Wanted:
    if mentions.whole:
        return _ALL
    return Wanted(wanted.names | mentions.names, wanted.all, wanted.without)


def _check(mentions: _Mentions, scope: Scope) -> None:
    """A name that means nothing is the engine's to complain of."""
    if scope is None:
        return
    known = scope | mentions.made
    for parts in mentions.columns:
        if not known.intersection(parts):
            raise _InDoubtError


def _is_place(expression: Message) -> bool:
    """True for what may mean a column by its place: a constant to sort by."""
    if expression.WhichOneof("expr_type") == "expression_string":
        tree = parse_expression(expression.expression_string.expression)
        return tree.find(exp.Column) is None
    return bool(expression.WhichOneof("expr_type") == "literal")


def _expressions(node: Message) -> Iterator[Message]:
    """What is inside a relation beside its inputs."""
    return (each for each in inside_of(node) if each.DESCRIPTOR.name != "Relation")


def _relations(node: Message) -> Iterator[Message]:
    """The relations right inside a message, or inside what is in it."""
    waiting = [node]
    while waiting:
        for each in inside_of(waiting.pop()):
            if each.DESCRIPTOR.name == "Relation":
                yield each
            else:
                waiting.append(each)


def _is_plain(project: Message) -> bool:
    """True for a list of a table's own columns, by plain names or as one star."""
    for each in project.expressions:
        kind = each.WhichOneof("expr_type")
        if kind == "unresolved_star" and not each.unresolved_star.unparsed_target:
            continue
        if kind != "unresolved_attribute":
            return False
        try:
            parts = split_identifier(each.unresolved_attribute.unparsed_identifier)
        except HeadwaterError:
            return False
        if len(parts) != 1:
            return False
    return True
