"""Plans of queries that ran before, used again when everything that they rest on is the same.

A bound and governed query depends on its text, dialect, parameters and session, and on what each of
its names stands for to its caller. A `Recorder` notes the names; when the same query comes again
they are all resolved, decided and audited anew, and only equal answers bring the old plan back. So
a changed grant, filter, mask, view or table makes a new plan by itself: nothing is invalidated.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.model.identifiers import SnapshotRef
from headwater.model.scan import Decision, MaskAction
from headwater.model.statement import Dialect, Session
from headwater.query.shapes import Shape, Template, free_numbers, shape_of
from headwater.sql.parse import parse
from headwater.sql.relations import Bound, Leaf, Relation, Resolver, ScanRelation, ViewRelation
from headwater.sql.statements import Name, ParsedStatement, Query

K = TypeVar("K")
V = TypeVar("V")

_LONGEST_TEXT = 64 * 1024
_PLANS_KEPT = 256
_TREES_KEPT = 64
_UNDECIDED = Decision("", True)

KEPT_AS_SQL = exp.Null()
"""Stands for the tree of a plan of which only the SQL was kept."""

UNPARSED = exp.Null()
"""Stands for the tree of a query whose plan is likely known by its shape."""

PlanKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A name that a query resolved: inside which earlier call's view (-1: none), and the answer."""

    inside: int
    name: Name
    at: SnapshotRef
    relation: Relation


@dataclass(frozen=True, slots=True)
class Recorder:
    """A resolver that notes every name it resolved, those inside views included."""

    resolver: Resolver
    calls: list[Call] = field(default_factory=list)
    inside: int = -1

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        """What the resolver says; see `headwater.sql.relations.Resolver`."""
        relation = self.resolver.relation(name, at)
        self.calls.append(Call(self.inside, name, at, relation))
        if isinstance(relation, ViewRelation):
            inner = Recorder(relation.resolver, self.calls, len(self.calls) - 1)
            return replace(relation, resolver=inner)
        return relation


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """A query's plan: the engine's SQL, what was bound, and the names it rests on; no tree."""

    calls: tuple[Call, ...]
    bound: Bound
    sql: str

    @classmethod
    def of(cls, recorder: Recorder, bound: Bound, sql: str) -> KnownPlan:
        """The plan as it is kept: trees take a hundred times the memory of their text."""
        return cls(tuple(recorder.calls), replace(bound, tree=KEPT_AS_SQL), sql)

    def bound_again(self, resolver: Resolver) -> Bound | None:
        """The bound query with today's decisions; None when it must be bound anew.

        That is when a name stands for something else now, or is refused inside a view. Every name
        is resolved by the resolver, so whatever it refuses is refused.
        """
        answers: list[Relation] = []
        for call in self.calls:
            inner = resolver
            if call.inside >= 0:
                view = answers[call.inside]
                assert isinstance(view, ViewRelation), "a name inside a view"
                inner = view.resolver
            try:
                answer = inner.relation(call.name, call.at)
            except HeadwaterError:
                if call.inside < 0:
                    raise
                return None  # binding says what of it the caller of a view may know
            if _essence(answer) != _essence(call.relation):
                return None
            answers.append(answer)
        leaves = tuple(self._leaf_again(leaf, answers) for leaf in self.bound.leaves)
        return replace(self.bound, leaves=leaves)

    def is_like(self, other: KnownPlan) -> bool:
        """True when both rest on the same names and give the same columns."""
        return (
            self.bound.output == other.bound.output
            and [leaf.key for leaf in self.bound.leaves]
            == [leaf.key for leaf in other.bound.leaves]
            and [(call.inside, call.name.parts, _essence(call.relation)) for call in self.calls]
            == [(call.inside, call.name.parts, _essence(call.relation)) for call in other.calls]
        )

    def _leaf_again(self, leaf: Leaf, answers: Sequence[Relation]) -> Leaf:
        place = next(i for i, call in enumerate(self.calls) if call.relation is leaf.relation)
        answer = answers[place]
        assert isinstance(answer, ScanRelation), "plans with tables of our own are not kept"
        return Leaf(leaf.key, answer, leaf.used)


@dataclass(frozen=True, slots=True)
class _Example:
    """The last plan of a shape, and the template that it and the one before it gave."""

    numbers: tuple[str, ...]
    plan: KnownPlan
    template: Template | None


class PlanCache:
    """The plans and trees used last, by what tells queries apart; thread-safe.

    The key of a plan holds its caller, so no plan is ever tried for another principal.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: OrderedDict[PlanKey, KnownPlan] = OrderedDict()
        self._parsed: OrderedDict[tuple[str, Dialect], Query] = OrderedDict()
        self._shapes: OrderedDict[tuple[str, Dialect], Shape] = OrderedDict()
        self._examples: OrderedDict[PlanKey, _Example] = OrderedDict()
        self._known: OrderedDict[PlanKey, None] = OrderedDict()

    def parse(self, text: str, dialect: Dialect) -> ParsedStatement:
        """As `sql.parse`; a query's tree is shared and must not be changed."""
        found = self.parse_or_recall(text, dialect)
        if isinstance(found, Query) and found.tree is UNPARSED:
            return Query(self.tree(text, dialect, found.tree))
        return found

    def parse_or_recall(self, text: str, dialect: Dialect) -> ParsedStatement:
        """As `parse`, but a query whose shape has a plan may have `UNPARSED` for its tree.

        For who looks for that plan next; `tree` makes good for it when there is none after all.
        """
        with self._lock:
            known = self._parsed.get((text, dialect))
            if known is not None:
                self._parsed.move_to_end((text, dialect))
                return known
        shape = shape_of(text, dialect)
        if shape is not None:
            with self._lock:
                if shape.key in self._known:
                    _keep(self._shapes, (text, dialect), shape, _TREES_KEPT)
                    return Query(UNPARSED)
        parsed = parse(text, dialect)
        if isinstance(parsed, Query) and len(text) <= _LONGEST_TEXT:
            with self._lock:
                _keep(self._parsed, (text, dialect), parsed, _TREES_KEPT)
                if shape is not None:
                    _keep(self._shapes, (text, dialect), shape, _TREES_KEPT)
        return parsed

    def tree(self, text: str, dialect: Dialect, tree: exp.Expr) -> exp.Expr:
        """The tree of a query's text, given the one that `parse_or_recall` gave for it."""
        if tree is not UNPARSED:
            return tree
        parsed = parse(text, dialect)
        assert isinstance(parsed, Query), "queries alone are known by their shape"
        return parsed.tree

    def find(self, key: PlanKey) -> KnownPlan | None:
        """The plan that was kept under a key, or under that of a query of the same shape."""
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
                return found
            shape = self._shapes.get((key[0], key[1]))  # type: ignore[arg-type]
            example = None if shape is None else self._examples.get((shape.key, *key[1:]))
        if shape is None or example is None or example.template is None:
            return None
        sql = example.template.fill(shape.numbers)
        return None if sql is None else replace(example.plan, sql=sql)

    def keep(self, key: PlanKey, plan: KnownPlan, tree: exp.Expr | None = None) -> None:
        """Remembers a plan, unless another run of it could differ although its names are equal.

        `tree` is the whole statement's, when that is the query itself.
        """
        if plan.bound.inputs or len(plan.sql) > _LONGEST_TEXT:
            return
        for call in plan.calls:
            if not call.at.is_current or (
                isinstance(call.relation, ScanRelation) and _has_secret(call.relation)
            ):
                return
        with self._lock:
            _keep(self._plans, key, plan, _PLANS_KEPT)
            shape = self._shapes.get((key[0], key[1]))  # type: ignore[arg-type]
        if shape is not None and tree is not None:
            self._learn((shape.key, *key[1:]), shape, plan, tree)

    def _learn(self, key: PlanKey, shape: Shape, plan: KnownPlan, tree: exp.Expr) -> None:
        """Keeps the plan as its shape's example; with the one before it, perhaps as a template."""
        # Names may stand elsewhere in another text of the shape.
        calls = tuple(replace(call, name=Name(call.name.parts)) for call in plan.calls)
        plan = replace(plan, calls=calls)
        with self._lock:
            before = self._examples.get(key)
        template = None
        if before is not None and before.plan.is_like(plan):
            free = free_numbers(tree, shape.numbers)
            if free:
                template = Template.between(
                    (before.plan.sql, before.numbers), (plan.sql, shape.numbers), free
                )
        with self._lock:
            _keep(self._examples, key, _Example(shape.numbers, plan, template), _PLANS_KEPT)
            if template is not None:
                _keep(self._known, shape.key, None, _PLANS_KEPT)


def plan_key(text: str, session: Session, parameters: Sequence[exp.Expr]) -> PlanKey:
    """What tells one query from another before its names are resolved."""
    identity = session.identity
    return (
        text,
        session.dialect,
        session.catalog,
        session.schema,
        session.time_zone,
        identity.principal,
        identity.role,
        identity.purpose,
        tuple(repr(parameter) for parameter in parameters),
    )


def _essence(relation: Relation) -> Relation | tuple[object, ...]:
    """What a plan takes from a relation: all but the decision's own id and the way into a view."""
    if isinstance(relation, ScanRelation):
        return ScanRelation(replace(relation.scan, decision=_UNDECIDED))
    if isinstance(relation, ViewRelation):
        return (
            relation.identifier,
            relation.sql,
            relation.dialect,
            relation.schema,
            relation.columns,
        )
    return relation


def _keep(memory: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Puts a value last, and drops those that were put first; the lock is held."""
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > most:
        memory.popitem(last=False)


def _has_secret(relation: ScanRelation) -> bool:
    """True for masks that are keyed anew for each statement."""
    return any(
        column.mask is not None and column.mask.action is MaskAction.SHA_256_QUERY_LOCAL
        for column in relation.scan.columns
    )
