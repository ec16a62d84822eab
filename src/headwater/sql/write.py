"""Binds INSERT, UPDATE, DELETE, MERGE and CREATE TABLE AS against the attached catalog `lake`.

A writer meets only what it may read: its expressions see NULL instead of hidden values and masks
instead of masked ones, rows that its filter hides are neither changed nor counted, and a new row
that the filter would hide fails the statement (WITH CHECK).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.scan import GovernedWrite, ScanColumn
from headwater.model.statement import Session
from headwater.sql.binder import Binder
from headwater.sql.expressions import BinderState, Names, Output
from headwater.sql.merge import Action, checks_nothing, needs_staging, staged_merge
from headwater.sql.overwrite import overwrite_partitions, removal
from headwater.sql.relations import Bound, Resolver
from headwater.sql.scope import Scope
from headwater.sql.script import Script
from headwater.sql.statements import Delete, Insert, Merge, Update
from headwater.sql.targets import Target
from headwater.sql.trees import guarded, node_position

Change = Insert | Update | Delete | Merge


def bind_write(
    statement: Change,
    write: GovernedWrite,
    resolver: Resolver,
    *,
    session: Session,
    parameters: Sequence[exp.Expr] = (),
    query_key: str | None = None,
    delete: GovernedWrite | None = None,
    partitioning: Sequence[tuple[str, str]] | None = None,
) -> tuple[Bound, Script | None]:
    """The statement bound to its governed write; `govern` and `emit` finish it.

    With a script, the bound tree is only its query or its last statement. `delete` is for an INSERT
    that replaces rows, `partitioning` (columns and transforms) for one that replaces partitions.

    Raises PERMISSION_DENIED for columns that may not be written, TYPE_MISMATCH for values that do
    not fit, and whatever `bind` raises for the queries inside.
    """
    key = query_key or secrets.token_hex(32)

    def run() -> tuple[Bound, Script | None]:
        state = BinderState(parameters=[parameter.copy() for parameter in parameters])
        binder = _WriteBinder(state, resolver, session, write, key)
        binder.replaced, binder.partitioning = delete, partitioning
        match statement:
            case Insert():
                tree = binder.insert(statement)
            case Update():
                tree = binder.update(statement.tree.copy())
            case Delete():
                tree = binder.delete(statement.tree.copy())
            case Merge():
                tree = binder.merge(statement.tree.copy())
        state.check_parameters()
        return Bound(tree, tuple(state.leaves), ()), binder.script

    return guarded(run)


class _WriteBinder:
    def __init__(
        self,
        state: BinderState,
        resolver: Resolver,
        session: Session,
        write: GovernedWrite,
        query_key: str,
    ) -> None:
        self.state = state
        self.session = session
        self.write = write
        self.binder = Binder(state, resolver, session)
        self.script: Script | None = None
        self.replaced: GovernedWrite | None = None
        self.partitioning: Sequence[tuple[str, str]] | None = None
        self.target = Target(write, state.unique(write.identifier.name), query_key)

    # --- INSERT -------------------------------------------------------------------------------

    def insert(self, statement: Insert) -> exp.Expr:
        target, position = self.target, statement.target.position
        fixed = self._partition_values(statement)
        query, outputs = self.binder.query(statement.query.copy(), None, {})
        columns = self._inserted(statement, outputs, {column.name for column, _ in fixed})
        _refuse_twice([*columns, *(column for column, _ in fixed)])
        if len(outputs) != len(columns):
            raise error(
                ErrorCode.TYPE_MISMATCH,
                f"the query has {len(outputs)} columns, but {len(columns)} are inserted: "
                + ", ".join(column.name for column in columns),
                hint="name the columns: INSERT INTO name (a, b) …",
                position=position,
            )
        key = self.state.unique("new")
        values: dict[str, exp.Expr] = {}
        for column, output in zip(columns, outputs, strict=True):
            read: exp.Expr = _column(key, output.label)
            read.type = output.type.copy()
            value = target.value(column, read, self.session.dialect, position)
            values[column.name.casefold()] = value
        for column, value in fixed:
            values[column.name.casefold()] = value
        columns = [*columns, *(column for column, _ in fixed)]
        select = exp.Select(
            expressions=[
                exp.Alias(this=values[column.name.casefold()], alias=_identifier(column.name))
                for column in columns
            ],
            from_=exp.From(
                this=exp.Subquery(this=query, alias=exp.TableAlias(this=_identifier(key)))
            ),
        )
        # A column that is not inserted becomes NULL; so it is checked.
        check = target.check({**dict.fromkeys(target.filter_columns(), exp.Null()), **values})
        if check is not None:
            select.set("where", exp.Where(this=check))
        if self.partitioning is not None and self.replaced is not None:
            self.script = overwrite_partitions(self._victim(), target, columns, self.partitioning)
            return select
        if self.replaced is not None:
            self.script = Script((self._removal(statement, fixed),))
        table = target.table()
        table.set("alias", None)
        schema = exp.Schema(
            this=table, expressions=[_identifier(column.name) for column in columns]
        )
        return exp.Insert(this=schema, expression=select)

    def _partition_values(self, statement: Insert) -> list[tuple[ScanColumn, exp.Expr]]:
        """The columns that PARTITION (…) gives a constant, cast to their types."""
        found: list[tuple[ScanColumn, exp.Expr]] = []
        for name, constant in statement.partition:
            column = self.target.assignable(name, statement.target.position)
            if constant is not None:
                bound = self.binder.expressions.bind(constant.copy(), Names(Scope(), {}))
                value = self.target.value(column, bound, self.session.dialect, None)
                found.append((column, value))
        return found

    def _inserted(
        self, statement: Insert, outputs: Sequence[Output], fixed: set[str]
    ) -> list[ScanColumn]:
        """The columns that the query's own columns go to, in their order."""
        position = statement.target.position
        if statement.by_name:
            return [self.target.assignable(output.name, position) for output in outputs]
        if statement.columns is not None:
            return [self.target.assignable(name, position) for name in statement.columns]
        return [column for column in self.write.columns if column.name not in fixed]

    def _victim(self) -> Target:
        """The table as the statement may delete from it."""
        assert self.replaced is not None, "the caller has checked"
        return Target(
            self.replaced, self.state.unique(self.replaced.identifier.name), self.target.query_key
        )

    def _removal(self, statement: Insert, fixed: Sequence[tuple[ScanColumn, exp.Expr]]) -> exp.Expr:
        """The DELETE of the visible rows that an overwrite replaces."""
        victim = self._victim()
        parts: list[exp.Expr] = [
            exp.NullSafeEQ(this=_column(victim.key, column.name), expression=value.copy())
            for column, value in fixed
        ]
        if statement.where is not None:
            scope = Scope()
            name = statement.target.parts[-1]
            scope.add(victim.source(name, ()))
            bound = self.binder.expressions.bind(statement.where.copy(), Names(scope, {}))
            if bound.find(exp.Query):
                raise _not_supported("a subquery in REPLACE WHERE", "DELETE and INSERT")
            parts.append(victim.shield(bound))
        return removal(victim, exp.and_(*parts) if parts else None)

    # --- UPDATE and DELETE --------------------------------------------------------------------

    def update(self, tree: exp.Update) -> exp.Expr:
        _check_parts(tree, {"this", "expressions", "where", "from_"})
        scope = self._scope(tree)
        source = tree.args.get("from_")
        if source is not None:
            self._from(source, scope)
        names = Names(scope, {})
        assignments = self._assignments(tree.expressions, names)
        predicate = self._predicate(tree, names)
        return exp.Update(
            this=self.target.table(), expressions=assignments, where=predicate, from_=source
        )

    def delete(self, tree: exp.Delete) -> exp.Expr:
        _check_parts(tree, {"this", "where", "using"})
        scope = self._scope(tree)
        using = tree.args.get("using") or []
        bound = []
        for item in using:
            holder = exp.From(this=item)
            self._from(holder, scope)
            bound.append(holder.this)
        predicate = self._predicate(tree, Names(scope, {}))
        return exp.Delete(this=self.target.table(), using=bound or None, where=predicate)

    def _scope(self, tree: exp.Expr) -> Scope:
        """A scope with the target in it, under the alias that the user gave or its own name."""
        table = tree.this
        alias = table.args.get("alias") if isinstance(table, exp.Table) else None
        if alias is not None and alias.args.get("columns"):
            raise _not_supported("a column list behind the target", "plain column names")
        for part in ("joins", "pivots", "sample", "version", "when", "laterals"):
            if table.args.get(part):
                raise _not_supported(f"{part} behind the target", "a plain table")
        identifier = self.write.identifier
        name = alias.name if alias is not None and alias.name else identifier.name
        qualifiers = (
            () if alias is not None else (self.session.catalog, ".".join(identifier.namespace))
        )
        scope = Scope()
        scope.add(self.target.source(name, qualifiers))
        return scope

    def _from(self, holder: exp.Expr, scope: Scope) -> None:
        self.binder.sources.bind_into(scope, holder, {})
        holder.set("this", self.target.shield(holder.this))

    def _bind(self, tree: exp.Expr, names: Names) -> exp.Expr:
        """A user's expression, bound and shielded from what the user may not see."""
        return self.target.shield(self.binder.expressions.bind(tree, names))

    def _predicate(self, tree: exp.Expr, names: Names) -> exp.Where | None:
        where = tree.args.get("where")
        wanted = None if where is None else self._bind(where.this, names)
        visible = self.target.visible()
        if visible is None:
            return None if wanted is None else exp.Where(this=wanted)
        if wanted is None:
            return exp.Where(this=visible)
        # CASE keeps the user's predicate away from hidden rows; their values read as NULL anyway.
        guarded_ = exp.Case(ifs=[exp.If(this=visible, true=wanted)], default=exp.false())
        return exp.Where(this=guarded_)

    def _assignments(self, items: Sequence[exp.Expr], names: Names) -> list[exp.Expr]:
        """`column = value` for each item, the row filter checked on the row as it will be."""
        values: dict[str, exp.Expr] = {}
        columns: list[ScanColumn] = []
        for item in items:
            if not isinstance(item, exp.EQ) or not isinstance(item.this, exp.Column):
                raise _not_supported("this form of SET", "SET column = value")
            parts = [part.name for part in item.this.parts]
            if len(parts) > 1 and not any(
                source.matches(parts[:-1]) for source in names.scope.sources[:1]
            ):
                raise _not_supported("assigning a field of a row", "assign the whole row")
            column = self.target.assignable(parts[-1], node_position(item.this))
            columns.append(column)
            value = item.expression
            if _is_default(value):
                bound: exp.Expr = exp.Null()
                if column.required:
                    raise _not_supported("SET … = DEFAULT here", "a value")
            else:
                bound = self._bind(value, names)
            values[column.name.casefold()] = self.target.value(
                column, bound, self.session.dialect, node_position(item)
            )
        _refuse_twice(columns)
        return self._checked(columns, values)

    def _checked(
        self, columns: Sequence[ScanColumn], values: Mapping[str, exp.Expr]
    ) -> list[exp.Expr]:
        check = None
        if self.target.filter_columns() & set(values):
            check = self.target.check(values)
        assignments: list[exp.Expr] = []
        for place, column in enumerate(columns):
            value = values[column.name.casefold()]
            if check is not None and place == 0:
                value = exp.Case(ifs=[exp.If(this=check, true=value)])
            assignments.append(exp.EQ(this=exp.column(_identifier(column.name)), expression=value))
        return assignments

    # --- MERGE --------------------------------------------------------------------------------

    def merge(self, tree: exp.Merge) -> exp.Expr:
        _check_parts(tree, {"this", "using", "on", "whens"})
        both = self._scope(tree)
        of_target = Scope([*both.sources], [*both.visible])
        holder = exp.From(this=tree.args["using"])
        of_source = Scope()
        self._from(holder, of_source)
        both.sources += of_source.sources
        both.visible += of_source.visible
        condition = self._bind(tree.args["on"], Names(both, {}))
        visible = self.target.visible()
        if visible is not None:
            condition = exp.and_(exp.Paren(this=condition), visible, copy=False)
        listed = tree.args["whens"].expressions
        if needs_staging(listed, self.session.dialect):
            actions = [self._action(when, both, of_source, of_target) for when in listed]
            query, self.script = staged_merge(
                self.target,
                holder.this,
                condition,
                actions,
                check=not checks_nothing(listed),
                unique=self.state.unique,
            )
            return query
        whens = self._whens(tree.args["whens"].expressions, both, of_source, of_target)
        return exp.Merge(
            this=self.target.table(),
            using=holder.this,
            on=condition,
            whens=exp.Whens(expressions=whens),
        )

    def _whens(
        self, whens: Sequence[exp.When], both: Scope, of_source: Scope, of_target: Scope
    ) -> list[exp.Expr]:
        bound: list[exp.Expr] = []
        updates: list[tuple[exp.Expr | None, dict[str, exp.Expr]]] = []
        columns: dict[str, ScanColumn] = {}
        for when in whens:
            matched = bool(when.args.get("matched"))
            names = Names(both if matched else of_source, {})
            condition = when.args.get("condition")
            condition = None if condition is None else self._bind(
                condition, names
            )  # fmt: skip
            then = when.args["then"]
            if not matched:
                action = self._merge_insert(then, names, of_source)
                bound.append(
                    exp.When(matched=False, source=False, condition=condition, then=action)
                )
            elif isinstance(then, exp.Update):
                values = self._merge_values(then, names, of_source, of_target, columns)
                updates.append((condition, values))
            elif then.name.upper() == "DELETE":
                bound.insert(
                    0,
                    exp.When(
                        matched=True, source=False, condition=condition, then=exp.Var(this="DELETE")
                    ),
                )
            else:
                raise _not_supported("this action of MERGE", "UPDATE, DELETE or INSERT")
        if updates:
            bound.insert(0, self._one_update(updates, columns))
        return bound

    def _action(self, when: exp.When, both: Scope, of_source: Scope, of_target: Scope) -> Action:
        """One WHEN of a MERGE that runs in stages."""
        of = "target" if when.args.get("source") else "source"
        of = "matched" if when.args.get("matched") else of
        scope = {"matched": both, "source": of_source, "target": of_target}[of]
        names = Names(scope, {})
        condition = when.args.get("condition")
        condition = None if condition is None else self._bind(condition, names)
        then = when.args["then"]
        if of == "source":
            action = self._merge_insert(then, names, of_source)
            columns = tuple(
                self.target.assignable(each.name, None) for each in action.this.expressions
            )
            values = {
                column.name.casefold(): value
                for column, value in zip(columns, action.expression.expressions, strict=True)
            }
            return Action(of, "insert", condition, columns, values)
        if isinstance(then, exp.Update):
            found: dict[str, ScanColumn] = {}
            values = self._merge_values(then, names, of_source, of_target, found)
            assignments = self._checked(list(found.values()), values)
            checked = {
                folded: assignment.expression
                for folded, assignment in zip(found, assignments, strict=True)
            }
            return Action(of, "update", condition, tuple(found.values()), checked)
        if then.name.upper() == "DELETE":
            return Action(of, "delete", condition)
        raise _not_supported("this action of MERGE", "UPDATE, DELETE or INSERT")

    def _merge_values(
        self,
        then: exp.Update,
        names: Names,
        of_source: Scope,
        of_target: Scope,
        columns: dict[str, ScanColumn],
    ) -> dict[str, exp.Expr]:
        values: dict[str, exp.Expr] = {}
        items = list(then.expressions)
        if len(items) == 1 and isinstance(items[0], exp.Star):
            items = [
                exp.EQ(this=exp.column(column.name), expression=_named(of_source, column.name))
                for column in self.write.columns
            ]
            for item, column in zip(items, self.write.columns, strict=True):
                self.target.assignable(column.name, None)
                values[column.name.casefold()] = self.target.value(
                    column, item.expression, self.session.dialect, None
                )
                columns[column.name.casefold()] = column
            return values
        for item in items:
            if not isinstance(item, exp.EQ) or not isinstance(item.this, exp.Column):
                raise _not_supported("this form of SET", "SET column = value")
            column = self.target.assignable(item.this.name, node_position(item.this))
            folded = column.name.casefold()
            if folded in values:
                _refuse_twice([column, column])
            bound = self._bind(item.expression, names)
            values[folded] = self.target.value(
                column, bound, self.session.dialect, node_position(item)
            )
            columns[folded] = column
        return values

    def _one_update(
        self,
        updates: Sequence[tuple[exp.Expr | None, dict[str, exp.Expr]]],
        columns: Mapping[str, ScanColumn],
    ) -> exp.When:
        """All UPDATE actions as one, since the engine takes a single action on matched rows.

        The first condition that holds decides, as SQL says; a row that none holds for stays.
        """
        combined: dict[str, exp.Expr] = {}
        for folded, column in columns.items():
            stored = _column(self.target.key, column.name)
            branches = [
                exp.If(
                    this=(condition or exp.true()).copy(),
                    true=values.get(folded, stored).copy(),
                )
                for condition, values in updates
            ]
            if len(branches) == 1:
                combined[folded] = updates[0][1][folded]
            else:
                combined[folded] = exp.Case(ifs=branches, default=stored.copy())
        conditions = [condition for condition, _ in updates]
        whole = (
            None
            if any(condition is None for condition in conditions)
            else exp.or_(*[exp.Paren(this=each) for each in conditions if each is not None])
        )
        assignments = self._checked(list(columns.values()), combined)
        return exp.When(
            matched=True,
            source=False,
            condition=whole,
            then=exp.Update(expressions=assignments),
        )

    def _merge_insert(self, then: exp.Expr, names: Names, of_source: Scope) -> exp.Insert:
        if not isinstance(then, exp.Insert):
            raise _not_supported("this action for rows that do not match", "INSERT")
        if isinstance(then.this, exp.Star):
            columns = list(self.write.columns)
            bound = [_named(of_source, column.name) for column in columns]
        else:
            named = then.this.expressions if then.this is not None else []
            columns = (
                [self.target.assignable(each.name, node_position(each)) for each in named]
                if named
                else list(self.write.columns)
            )
            _refuse_twice(columns)
            row = then.expression
            items = row.expressions if isinstance(row, exp.Tuple) else [row]
            if len(items) != len(columns):
                raise error(
                    ErrorCode.TYPE_MISMATCH,
                    f"INSERT names {len(columns)} columns, but has {len(items)} values",
                )
            bound = [self._bind(item, names) for item in items]
        values: dict[str, exp.Expr] = {}
        for column, value in zip(columns, bound, strict=True):
            values[column.name.casefold()] = self.target.value(
                column, value, self.session.dialect, None
            )
        check = self.target.check(
            {**dict.fromkeys(self.target.filter_columns(), exp.Null()), **values}
        )
        trees = [values[column.name.casefold()] for column in columns]
        if check is not None:
            trees[0] = exp.Case(ifs=[exp.If(this=check, true=trees[0])])
        return exp.Insert(
            this=exp.Tuple(expressions=[exp.column(_identifier(each.name)) for each in columns]),
            expression=exp.Tuple(expressions=trees),
        )


def _named(scope: Scope, name: str) -> exp.Expr:
    tree, _ = scope.resolve([name], None)
    return tree


def _is_default(value: exp.Expr) -> bool:
    return (
        isinstance(value, exp.Column)
        and len(value.parts) == 1
        and value.name.upper() == "DEFAULT"
        and not value.this.quoted
    )


def _refuse_twice(columns: Sequence[ScanColumn]) -> None:
    names = [column.name.casefold() for column in columns]
    for column in columns:
        if names.count(column.name.casefold()) > 1:
            raise error(
                ErrorCode.DUPLICATE_COLUMN_NAME, f"column {column.name!r} is assigned twice"
            )


def _check_parts(tree: exp.Expr, allowed: set[str]) -> None:
    for part, value in tree.args.items():
        if value and part not in allowed:
            raise _not_supported(f"{part.strip('_').upper()} in this statement", "a plain form")


def _not_supported(what: str, instead: str) -> HeadwaterError:
    return error(ErrorCode.NOT_SUPPORTED, f"{what} is not supported", hint=f"use {instead}")


def _identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(_identifier(name), table=_identifier(table))
