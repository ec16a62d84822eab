"""Leaves out the columns of subqueries that nothing reads, so that scans read less."""

from __future__ import annotations

from sqlglot import exp


def prune(tree: exp.Expr) -> None:
    """Removes, in place, projections of subqueries and WITH queries that nothing reads.

    Works on bound trees: every alias is unique in the statement.
    """
    while _pass(tree):
        continue


def _pass(tree: exp.Expr) -> bool:
    read: dict[str, set[str]] = {}
    for column in tree.find_all(exp.Column):
        read.setdefault(column.table, set()).add(column.name)
    recursive = {
        with_cte.alias
        for with_ in tree.find_all(exp.With)
        if with_.args.get("recursive")
        for with_cte in with_.expressions
    }
    of_cte: dict[str, set[str]] = {}
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier):
            of_cte.setdefault(table.name, set()).update(read.get(table.alias, set()))
    changed = False
    for node in tree.find_all(exp.Subquery, exp.CTE):
        if isinstance(node, exp.CTE):
            if node.alias in recursive:
                continue
            wanted = of_cte.get(node.alias, set())
        elif node.alias and isinstance(node.parent, exp.From | exp.Join):
            wanted = read.get(node.alias, set())
        else:
            continue
        changed |= _keep(node.this, wanted)
    return changed


def _keep(query: exp.Expr, wanted: set[str]) -> bool:
    """Removes the projections of a SELECT that are not wanted; what they are is never observed."""
    if (
        not isinstance(query, exp.Select)
        or query.args.get("distinct")
        or query.args.get("order")
        or (query.args.get("group") is not None and _groups_by_place(query))
        or any(isinstance(item.unalias(), exp.Explode) for item in query.expressions)
    ):
        return False
    kept = [item for item in query.expressions if item.alias_or_name in wanted]
    if len(kept) == len(query.expressions):
        return False
    if not kept:
        if len(query.expressions) == 1:
            return False
        aggregated = query.args.get("group") is None and any(
            item.find(exp.AggFunc) for item in query.expressions
        )
        # One column must stay; an aggregate must, where it alone makes the query one row.
        kept = [
            next(
                (item for item in query.expressions if item.find(exp.AggFunc)), query.expressions[0]
            )
            if aggregated
            else query.expressions[0]
        ]
    elif query.args.get("group") is None and not any(item.find(exp.AggFunc) for item in kept):
        aggregate = next((item for item in query.expressions if item.find(exp.AggFunc)), None)
        if aggregate is not None:
            kept.append(aggregate)
            if len(kept) == len(query.expressions):
                return False
    query.set("expressions", kept)
    return True


def _groups_by_place(query: exp.Select) -> bool:
    group = query.args["group"]
    return bool(group.args.get("all")) or any(
        isinstance(item, exp.Literal) for item in group.expressions
    )
