"""Puts a governed scan where a query names a table: the barrier that filters and masks.

A scan without restrictions becomes a plain read of the visible columns in use. A restricted scan
becomes one `WITH … AS MATERIALIZED` query at the top of the statement: stored values are filtered
and masked there, and everything of the user's stands outside it.

DuckDB's optimizer may still push a user's predicate into a materialised query, above the scan
(`cte_filter_pusher`), so the engine must disable that optimizer for governed plans; the start-up
canary probes that no throwing predicate reaches hidden rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sqlglot import exp

from headwater.model.scan import GovernedScan, ScanColumn
from headwater.sql.masks import mask
from headwater.sql.prune import prune
from headwater.sql.relations import Bound, InputRelation, Leaf, ScanRelation
from headwater.sql.trees import engine_expression, guarded
from headwater.sql.types import data_type


def govern(bound: Bound, *, query_key: str | None = None) -> exp.Expr:
    """The query over governed scans alone, with nothing of a table but what each scan allows.

    `query_key` (hex) keys the hashes of `sha-256-query-local`; by default a fresh secret.
    """
    key = query_key or secrets.token_hex(32)
    return guarded(lambda: _govern(bound, key))


def _govern(bound: Bound, query_key: str) -> exp.Expr:
    tree = bound.tree.copy()
    prune(tree)
    leaves = {leaf.key: leaf for leaf in bound.leaves}
    used = columns_in_use(tree, leaves)
    barriers: list[exp.CTE] = []
    for key, leaf in leaves.items():
        if isinstance(leaf.relation, ScanRelation) and leaf.relation.scan.is_restricted:
            query = scan_query(leaf.relation.scan, used[key], query_key)
            barriers.append(
                exp.CTE(
                    this=query,
                    alias=exp.TableAlias(this=exp.to_identifier(key, quoted=True)),
                    materialized=True,
                )
            )
    for table in list(tree.find_all(exp.Table)):
        leaf_of = leaves.get(table.name) if isinstance(table.this, exp.Identifier) else None
        if leaf_of is None:
            continue
        relation = leaf_of.relation
        if not isinstance(relation, ScanRelation):
            table.set("this", _input(relation))
        elif not relation.scan.is_restricted:
            query = scan_query(relation.scan, used[leaf_of.key], query_key)
            replacement = exp.Subquery(this=query)
            for part in ("alias", "sample", "joins"):
                if (value := table.args.get(part)) is not None:
                    replacement.set(part, value)
            table.replace(replacement)
    if barriers:
        with_ = tree.args.get("with_")
        if with_ is None:
            tree.set("with_", exp.With(expressions=barriers))
        else:
            with_.set("expressions", [*barriers, *with_.expressions])
    return tree


def _input(relation: InputRelation) -> exp.Expr:
    if not relation.files:
        return exp.to_identifier(relation.name, quoted=True)
    files = [exp.Literal.string(file) for file in relation.files]
    return exp.Anonymous(this="read_parquet", expressions=[exp.Array(expressions=files)])


def columns_in_use(tree: exp.Expr, leaves: dict[str, Leaf]) -> dict[str, list[str]]:
    """For each leaf, the columns that the tree reads of it, in table order."""
    alias_of: dict[str, str] = {}
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and table.name in leaves:
            alias_of[table.alias] = table.name
    seen: dict[str, set[str]] = {key: set() for key in leaves}
    for column in tree.find_all(exp.Column):
        if (key := alias_of.get(column.table)) is not None:
            seen[key].add(column.name)
    used: dict[str, list[str]] = {}
    for key, leaf in leaves.items():
        names = (
            [column.name for column in leaf.relation.scan.columns]
            if isinstance(leaf.relation, ScanRelation)
            else list(leaf.relation.schema.names)
        )
        used[key] = [name for name in names if name in seen[key]]
        leaf.used = set(used[key])
    return used


def scan_query(scan: GovernedScan, names: Iterable[str], query_key: str) -> exp.Select:
    """SELECT of the named columns of a governed scan: filtered, then masked, in that order.

    A table without data is an empty result of the right types. With no column named, rows are
    still counted.
    """
    wanted = set(names)
    columns = [column for column in scan.columns if column.name in wanted]
    if scan.snapshot_id is None:
        return _empty(columns)
    select = exp.Select(
        expressions=[_shown(column, query_key) for column in columns]
        or [exp.Alias(this=exp.Literal.number(1), alias=exp.to_identifier("hw$row", quoted=True))],
        from_=exp.From(this=_read(scan)),
    )
    if scan.row_filter is not None:
        predicate = engine_expression(scan.row_filter)
        select.set("where", exp.Where(this=predicate))
    return select


def _shown(column: ScanColumn, query_key: str) -> exp.Expr:
    stored = exp.column(exp.to_identifier(column.name, quoted=True))
    value = mask(column, stored, query_key)
    if value is stored:
        return stored
    return exp.Alias(this=value, alias=exp.to_identifier(column.name, quoted=True))


def _read(scan: GovernedScan) -> exp.Table:
    arguments: list[exp.Expr] = [exp.Literal.string(scan.metadata_location)]
    if not scan.is_current:
        arguments.append(
            exp.PropertyEQ(
                this=exp.to_identifier("snapshot_from_id"),
                expression=exp.Literal.number(scan.snapshot_id),
            )
        )
    return exp.Table(this=exp.Anonymous(this="iceberg_scan", expressions=arguments))


def _empty(columns: Iterable[ScanColumn]) -> exp.Select:
    nothing = [
        exp.Alias(
            this=exp.Cast(this=exp.Null(), to=data_type(column.type).copy()),
            alias=exp.to_identifier(column.name, quoted=True),
        )
        for column in columns
    ]
    return exp.Select(
        expressions=nothing
        or [exp.Alias(this=exp.Literal.number(1), alias=exp.to_identifier("hw$row", quoted=True))],
        where=exp.Where(this=exp.false()),
    )
