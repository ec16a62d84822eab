"""What SQL text needs of the tables that it names; see `needs`.

Every name of a text counts for each of its tables, wherever it stands. A star means all columns,
except that of count(*), and the one of a `SELECT *` from one table, which is as wide as what reads
it wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from headwater.gateway.spark_connect.plans.reads import TextRead

_PLAIN = frozenset({"expressions", "from_", "where", "limit", "offset", "hint"})
"""Parts of a `SELECT *` that do not depend on how many columns it has, as `ORDER BY 1` does."""

_AFTER = _PLAIN | {
    *("cluster", "distinct", "distribute", "group", "having", "kind", "order", "qualify"),
    *("sort", "windows", "with_"),
}
"""Parts of a SELECT that come after its WHERE, and those that change nothing for it."""

_TABLE = frozenset({"this", "db", "catalog", "alias", "version"})


@dataclass(frozen=True, slots=True)
class TextNeeds:
    """Of a text: its names, whether it uses whole rows, or passes them on.

    `where` are the conditions right above the table that the node `source` names.
    """

    names: frozenset[str]
    whole: bool = False
    through: bool = False
    source: exp.Expr | None = None
    where: tuple[exp.Expr, ...] = ()

    def resolves(self, read: TextRead, scopes: Sequence[frozenset[str] | None]) -> bool:
        """True unless a column is named that is nowhere; `scopes` are those of the tables."""
        if any(scope is None for scope in scopes) or read.tree.find(
            exp.Lateral, exp.Values, exp.Unnest
        ):
            return True
        known: set[str] = set()
        for scope in scopes:
            known |= scope or frozenset()
        by_name: dict[str, set[str]] = {}
        for (table, _), scope in zip(read.places, scopes, strict=True):
            by_name.setdefault(table.node.alias_or_name.casefold(), set()).update(scope or ())
        aliases = [each.name.casefold() for each in read.tree.find_all(exp.TableAlias)]
        defined = set(aliases)
        for each in read.tree.find_all(exp.Identifier):
            if not isinstance(each.parent, exp.Column | exp.Dot):
                defined.add(each.name.casefold())
        for column in read.tree.find_all(exp.Column):
            if isinstance(column.this, exp.Star):
                continue
            parts = [part.name.casefold() for part in column.parts]
            if not (known | defined).intersection(parts):
                return False
            table_columns = by_name.get(parts[0])
            if (
                table_columns is not None
                and len(parts) > 1
                and parts[0] not in known
                and aliases.count(parts[0]) <= 1
                and not table_columns.intersection(parts[1:])
            ):
                return False
        return True


def names_in(tree: exp.Expr) -> frozenset[str]:
    """Every name in a tree, casefolded."""
    return frozenset(each.name.casefold() for each in tree.find_all(exp.Identifier))


def text_needs(read: TextRead) -> TextNeeds:
    """What a text needs of its tables."""
    tree, names = read.tree, names_in(read.tree)
    source, where = _source(read)
    if _uses_rows(read):
        return TextNeeds(names, whole=True, source=source, where=where)
    stars = [star for star in tree.find_all(exp.Star) if not counted(star)]
    if not stars:
        return TextNeeds(names, source=source, where=where)
    through = len(stars) == 1 and _passes_on(read, stars[0], source)
    return TextNeeds(names, not through, through, source, where)


def counted(star: exp.Star) -> bool:
    """True for the star of count(*)."""
    call = star.parent
    return (
        isinstance(call, exp.Anonymous)
        and call.name.lower() == "count"
        and len(call.expressions) == 1
        and not any(star.args.values())
    )


def _uses_rows(read: TextRead) -> bool:
    """True where a text uses all columns of a table without a star."""
    if read.tree.find(exp.Pivot) is not None:
        return True
    if any(
        str(join.args.get("method") or "").upper() == "NATURAL"
        for join in read.tree.find_all(exp.Join)
    ):
        return True
    return any(
        not isinstance(table.node.parent, exp.From | exp.Join) or _renames(table.node)
        for table, _ in read.places
    )


def _renames(node: exp.Table) -> bool:
    """True for `t AS x(a, b)`, which names all columns of a table anew."""
    alias = node.args.get("alias")
    return alias is not None and bool(alias.columns)


def _source(read: TextRead) -> tuple[exp.Expr | None, tuple[exp.Expr, ...]]:
    """The one table that the text's outermost SELECT reads, and the SELECT's conditions."""
    tree = read.tree
    if not isinstance(tree, exp.Select) or any(
        value and key not in _AFTER for key, value in tree.args.items()
    ):
        return None, ()
    from_ = tree.args.get("from_")
    node = None if from_ is None else from_.this
    if node is None or not any(table.node is node for table, _ in read.places):
        return None, ()
    if any(value for key, value in node.args.items() if key not in _TABLE):
        return None, ()
    if _renames(node):
        return None, ()
    where = tree.args.get("where")
    return node, () if where is None else (where.this,)


def _passes_on(read: TextRead, star: exp.Star, source: exp.Expr | None) -> bool:
    """True for `SELECT *` from one table, perhaps with more columns that have names."""
    tree = read.tree
    return (
        source is not None
        and star.parent is tree
        and not any(star.args.values())
        and len(read.places) == 1
        and all(key in _PLAIN for key, value in tree.args.items() if value)
        and len(list(tree.find_all(exp.Query))) == 1
        and all(isinstance(each, exp.Alias | exp.Column | exp.Star) for each in tree.expressions)
    )
