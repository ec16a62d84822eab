"""What names mean at one place of a query: the columns of its FROM part, and those outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from headwater.errors import ErrorCode, Position, error
from headwater.sql.hints import did_you_mean, known_names


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a query may name: its name, type, and the tree that reads it."""

    name: str
    type: exp.DataType
    node: exp.Expr

    def read(self) -> exp.Expr:
        """A fresh tree that reads the column, its type set."""
        node = self.node.copy()
        node.type = self.type
        return node


@dataclass(frozen=True, slots=True)
class Source:
    """One item of FROM: its alias (or table name), the qualifiers before it, and its columns.

    `inner` holds the tables of a join in brackets without an alias: they keep their own names.
    """

    name: str | None
    fields: tuple[Field, ...]
    qualifiers: tuple[str, ...] = ()
    inner: tuple[Source, ...] = ()

    def matches(self, parts: Sequence[str]) -> bool:
        """True when the parts name this source: `t`, or `schema.t` where it has no alias."""
        if self.name is None or parts[-1].casefold() != self.name.casefold():
            return False
        prefix = [part.casefold() for part in parts[:-1]]
        return not prefix or prefix == [q.casefold() for q in self.qualifiers][-len(prefix) :]


@dataclass(slots=True)
class Scope:
    """The sources of one SELECT in order, the columns that `*` and plain names see, the outside.

    `visible` holds merged columns once (JOIN … USING); `outer` is the scope of the query around
    this one, None at the top.
    """

    sources: list[Source] = field(default_factory=list)
    visible: list[Field] = field(default_factory=list)
    outer: Scope | None = None

    def add(self, source: Source) -> None:
        """Adds a source, all its columns visible."""
        self.sources.extend(source.inner or (source,))
        self.visible.extend(source.fields)

    def outward(self) -> Iterator[Scope]:
        """This scope and those around it, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def source(self, parts: Sequence[str], position: Position | None) -> Source | None:
        """The one source that the parts name in this scope alone."""
        found = [source for source in self.sources if source.matches(parts)]
        if len(found) > 1:
            raise error(
                ErrorCode.AMBIGUOUS_NAME,
                f"the name {'.'.join(parts)!r} stands for more than one table of FROM",
                hint="give each an alias of its own",
                position=position,
            )
        return found[0] if found else None

    def resolve(self, parts: Sequence[str], position: Position | None) -> tuple[exp.Expr, int]:
        """The tree that reads a dotted name, and how many of its parts that used.

        The parts left are fields of a row. Raises COLUMN_NOT_FOUND or AMBIGUOUS_NAME.
        """
        for scope in self.outward():
            for size in range(min(3, len(parts) - 1), 0, -1):
                source = scope.source(parts[:size], position)
                if source is None:
                    continue
                if (read := _only(source.fields, parts[size], position)) is not None:
                    return read, size + 1
                if size == len(parts) - 1 and not _has(scope.visible, parts[0]):
                    raise self._unknown(parts, source.fields, position)
            if (read := _only(scope.visible, parts[0], position)) is not None:
                return read, 1
        if len(parts) > 1 and not any(
            scope.source(parts[:1], position) for scope in self.outward()
        ):
            names = [source.name for source in self.all_sources() if source.name]
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"column {'.'.join(parts)!r} cannot be resolved: "
                f"there is no {'.'.join(parts[:-1])!r} in FROM",
                hint=did_you_mean(parts[-2], names),
                position=position,
            )
        raise self._unknown(parts, [f for s in self.outward() for f in s.visible], position)

    def all_sources(self) -> Iterator[Source]:
        """The sources of this scope and of those around it."""
        for scope in self.outward():
            yield from scope.sources

    def _unknown(
        self, parts: Sequence[str], fields: Sequence[Field], position: Position | None
    ) -> Exception:
        names = [each.name for each in fields]
        known = known_names(names)
        return error(
            ErrorCode.COLUMN_NOT_FOUND,
            f"column {'.'.join(parts)!r} cannot be resolved",
            hint=did_you_mean(parts[-1], names) or (f"columns: {known}" if known else None),
            position=position,
        )


def _has(fields: Sequence[Field], name: str) -> bool:
    return any(each.name.casefold() == name.casefold() for each in fields)


def _only(fields: Sequence[Field], name: str, position: Position | None) -> exp.Expr | None:
    folded = name.casefold()
    found = [each for each in fields if each.name.casefold() == folded]
    if len(found) > 1:
        exact = [each for each in found if each.name == name]
        if len(exact) != 1:
            raise error(
                ErrorCode.AMBIGUOUS_NAME,
                f"column {name!r} is ambiguous",
                hint="write table.column",
                position=position,
            )
        found = exact
    return found[0].read() if found else None


def merge(
    left: Scope, right: Source, names: Sequence[str], side: str, position: Position | None
) -> exp.Expr:
    """Joins a source to a scope USING columns: merges them in the scope, gives the ON condition."""
    conditions: list[exp.Expr] = []
    merged: list[Field] = []
    dropped: list[Field] = []
    for name in names:
        mine = [each for each in left.visible if each.name.casefold() == name.casefold()]
        theirs = [each for each in right.fields if each.name.casefold() == name.casefold()]
        for found, where in ((mine, "left"), (theirs, "right")):
            if len(found) != 1:
                code = ErrorCode.AMBIGUOUS_NAME if found else ErrorCode.COLUMN_NOT_FOUND
                problem = "is ambiguous" if found else "is missing"
                raise error(
                    code,
                    f"column {name!r} of USING {problem} on the {where} side of the join",
                    position=position,
                )
        a, b = mine[0], theirs[0]
        conditions.append(exp.EQ(this=a.read(), expression=b.read()))
        if side == "FULL":
            node: exp.Expr = exp.Coalesce(this=a.read(), expressions=[b.read()])
        else:
            node = b.read() if side == "RIGHT" else a.read()
        merged.append(Field(a.name, a.type, node))
        dropped += [a, b]
    gone = {id(each) for each in dropped}
    kept = [each for each in (*left.visible, *right.fields) if id(each) not in gone]
    left.sources.extend(right.inner or (right,))
    left.visible = [*merged, *kept]
    return exp.and_(*conditions, copy=False)
