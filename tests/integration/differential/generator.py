"""Makes queries at random, from a seed: each reads governed tables in some way that SQL knows.

Most expressions cannot fail on the rows that a restricted user sees, yet fail on hidden ones
(ids overflow, divide by zero, texts are no numbers). A query has at most one expression that may
fail on visible rows too, and then nothing beside it whose order of evaluation is the engine's own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

HIDDEN = ("salary", "level")


@dataclass(frozen=True)
class Source:
    """A table of the generator's: its key, and its columns by type."""

    name: str
    key: str
    ints: tuple[str, ...]
    texts: tuple[str, ...]
    dates: tuple[str, ...]


PEOPLE = Source(
    "people", "id", ("id", "team", "bonus"), ("name", "ssn", "code", "email", "digits"), ("born",)
)
ORDERS = Source(
    "orders", "order_id", ("order_id", "person", "amount"), ("status", "note"), ("placed",)
)
PLAIN = Source("plain", "k", ("k",), ("v",), ())
_TEXTS = ("a", "e", "north", "open", "*", "x", "n-n", "XXXX", "7", "2021")


@dataclass(frozen=True)
class Alias:
    """A source under its alias in a query."""

    name: str
    source: Source

    def all(self, kinds: Sequence[str]) -> list[str]:
        return [f"{self.name}.{column}" for column in kinds]


class Generator:
    """An endless row of queries; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def query(self) -> str:
        """One query in Trino's dialect with a result that does not depend on row order."""
        form = self.random.choice(
            (
                self._plain,
                self._plain,
                self._join,
                self._join,
                self._grouped,
                self._grouped,
                self._window,
                self._cte,
                self._set_operation,
                self._subquery,
                self._subquery,
                self._sorted,
                self._throwing,
                self._throwing,
                self._throwing,
                self._hidden,
                self._nested,
            )
        )
        return form()

    # --- forms ----------------------------------------------------------------------------

    def _plain(self) -> str:
        at = self._alias("t")
        distinct = "DISTINCT " if self._chance(0.2) else ""
        items = "*" if self._chance(0.2) else self._items([at])
        return f"SELECT {distinct}{items} FROM {self._from(at)}{self._where([at])}"

    def _join(self) -> str:
        left, right = self._alias("a"), self._alias("b")
        kind = self.random.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        on = self._equality(left, right)
        if kind == "JOIN" and self._chance(0.4):
            on += f" AND {self.boolean([left, right])}"
        where = self._where([left, right], 0.4)
        count = self._chance(0.3)
        items = "count(*)" if count else self._items([left, right])
        return f"SELECT {items} FROM {self._from(left)} {kind} {self._from(right)} ON {on}{where}"

    def _grouped(self) -> str:
        at = self._alias("t")
        keys = [self.random.choice((self.text, self.integer))([at]) for _ in range(2)]
        keys = keys[: self.random.randint(0, 2)]
        sums = [self._aggregate([at]) for _ in range(self.random.randint(1, 3))]
        sql = f"SELECT {', '.join([*keys, *sums])} FROM {self._from(at)}{self._where([at])}"
        if keys:
            places = ", ".join(str(place) for place in range(1, len(keys) + 1))
            how = self.random.choice(("{}", "{}", "ROLLUP ({})", "CUBE ({})"))
            sql += " GROUP BY " + how.format(", ".join(keys) if how != "{}" else places)
            if self._chance(0.4):
                sql += f" HAVING {self._aggregate([at], whole=True)} > {self._number()}"
        return sql

    def _window(self) -> str:
        at = self._alias("t")
        key = f"t.{at.source.key}"
        part = f"PARTITION BY {self.text([at])} " if self._chance(0.6) else ""
        frame = self.random.choice(
            ("", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING")
        )
        call = self.random.choice(
            (
                f"sum({self.integer([at])}) OVER ({part}ORDER BY {key}{frame})",
                f"row_number() OVER ({part}ORDER BY {key})",
                f"rank() OVER ({part}ORDER BY {self.integer([at])})",
                f"lag({self.text([at])}) OVER ({part}ORDER BY {key})",
                f"max({self.text([at])}) OVER ({part}ORDER BY {key}{frame})",
                f"count(*) OVER ({part.strip()})",
                f"first_value({self.date([at])}) OVER ({part}ORDER BY {key}{frame})",
            )
        )
        return f"SELECT {key}, {call} FROM {self._from(at)}{self._where([at], 0.4)}"

    def _cte(self) -> str:
        at = self._alias("t")
        inner = f"SELECT {at.name}.{at.source.key} AS k, {self.text([at])} AS s FROM "
        inner += f"{self._from(at)}{self._where([at])}"
        name = self.random.choice(("x", at.source.name, "plain"))
        other = self.random.choice(
            (
                f"SELECT count(*), min(s), max(k) FROM {name}",
                f"SELECT p.k, q.s FROM {name} p JOIN {name} q ON p.k = q.k",
                f"SELECT s, count(DISTINCT k) FROM {name} GROUP BY s",
                f"SELECT k FROM {name} WHERE k IN (SELECT max(k) FROM {name})",
            )
        )
        return f"WITH {name} AS ({inner}) {other}"

    def _set_operation(self) -> str:
        left, right = self._alias("a"), self._alias("b")
        kind = self.random.choice((self.integer, self.text))
        how = self.random.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT"))
        return (
            f"SELECT {kind([left])} FROM {self._from(left)}{self._where([left])} {how} "
            f"SELECT {kind([right])} FROM {self._from(right)}{self._where([right])}"
        )

    def _subquery(self) -> str:
        out, inside = self._alias("o"), self._alias("i")
        column = self.random.choice(out.all(out.source.ints))
        where = self._where([inside])
        source = self._from(inside)
        condition = self.random.choice(
            (
                f"{column} IN (SELECT {self.integer([inside])} FROM {source}{where})",
                f"{column} NOT IN (SELECT {self._nonnull(inside)} FROM {source}{where})",
                f"EXISTS (SELECT 1 FROM {source} WHERE {self._equality(out, inside)})",
                (
                    f"NOT EXISTS (SELECT 1 FROM {source} WHERE {self._equality(out, inside)}"
                    f" AND {self.boolean([inside])})"
                ),
                f"{column} > (SELECT min({self.integer([inside])}) FROM {source}{where})",
                f"{column} <= (SELECT count(*) FROM {source} WHERE {self._equality(out, inside)})",
            )
        )
        return f"SELECT {self._items([out])} FROM {self._from(out)} WHERE {condition}"

    def _sorted(self) -> str:
        at = self._alias("t")
        count = self.random.randint(1, 3)
        items = [self._any([at]) for _ in range(count)]
        order = ", ".join(
            f"{place}{self.random.choice(('', ' DESC', ' NULLS FIRST'))}"
            for place in range(1, count + 1)
        )
        rest = self.random.choice(("LIMIT 3", "OFFSET 2", "OFFSET 1 LIMIT 4", "LIMIT 0"))
        if rest.startswith("OFFSET 1"):
            rest = "OFFSET 1 ROWS FETCH FIRST 4 ROWS ONLY"
        where = self._where([at])
        return f"SELECT {', '.join(items)} FROM {self._from(at)}{where} ORDER BY {order} {rest}"

    def _throwing(self) -> str:
        at = self._alias("t")
        thrown = self._may_throw(at)
        source = self._from(at)
        return self.random.choice(
            (
                f"SELECT {thrown} FROM {source}",
                f"SELECT count(*) FROM {source} WHERE {thrown} > {self._number()}",
                f"SELECT {thrown}, count(*) FROM {source} GROUP BY 1",
                f"SELECT max({thrown}) FROM {source}",
                f"SELECT t.{at.source.key} FROM {source} ORDER BY {thrown}, 1 LIMIT 2",
                f"SELECT sum({thrown}) FILTER (WHERE true) FROM {source}",
                f"SELECT max({thrown}) OVER (ORDER BY t.{at.source.key}) FROM {source}",
                f"SELECT CASE WHEN {thrown} > 3 THEN 'more' ELSE 'less' END FROM {source}",
                f"SELECT try({thrown}) FROM {source}",
                f"SELECT (SELECT {thrown} FROM {source})",
            )
        )

    def _hidden(self) -> str:
        at = Alias("t", PEOPLE)
        column = self.random.choice(HIDDEN)
        source = self._from(at)
        return self.random.choice(
            (
                f"SELECT {column} FROM {source}",
                f"SELECT t.{column} + 1 FROM {source}",
                f"SELECT count(*) FROM {source} WHERE {column} > {self._number()}",
                f"SELECT max(id) FROM {source} GROUP BY {column}",
                f"SELECT id FROM {source} ORDER BY {column}",
                f"SELECT a.id FROM people a JOIN people b USING ({column})",
                f"SELECT count(*) FILTER (WHERE {column} > 1) FROM {source}",
                f"SELECT id FROM {source} WHERE EXISTS (SELECT 1 FROM plain WHERE k = {column})",
            )
        )

    def _nested(self) -> str:
        at = self._alias("t")
        inner = f"SELECT {self.integer([at])} AS n, {self.text([at])} AS s FROM {self._from(at)}"
        inner += self._where([at])
        return self.random.choice(
            (
                f"SELECT s, n, u FROM ({inner}) CROSS JOIN UNNEST(sequence(1, 2)) AS x(u)",
                f"SELECT count(*), sum(n) FROM ({inner}) WHERE s IS NOT NULL",
                f"SELECT x.n, y.s FROM ({inner}) x LEFT JOIN ({inner}) y ON x.n = y.n",
                f"SELECT transform(ARRAY[n, 1], e -> e + n), ROW(n, s) FROM ({inner})",
                f"SELECT array_sort(array_agg(s)) FROM ({inner})",
            )
        )

    # --- expressions ----------------------------------------------------------------------

    def integer(self, of: Sequence[Alias], depth: int = 2) -> str:
        """A bigint; on visible rows it neither fails nor overflows."""
        columns = [name for at in of for name in at.all(at.source.ints)]
        if depth == 0 or self._chance(0.4):
            return self.random.choice(columns)
        first = self.integer(of, depth - 1)
        return self.random.choice(
            (
                f"({first} + {self.integer(of, depth - 1)})",
                f"({first} - {self._number()})",
                f"({first} * {self.random.randint(2, 9)})",
                f"({first} % 7)",
                f"abs({first})",
                f"length({self.text(of, depth - 1)})",
                f"coalesce({first}, -1)",
                f"CASE WHEN {self.boolean(of, depth - 1)} THEN {first} ELSE {self._number()} END",
                f"CAST({first} AS bigint)",
                f"year({self.date(of)})",
                f"greatest({first}, {self._number()})",
            )
        )

    def text(self, of: Sequence[Alias], depth: int = 2) -> str:
        """A varchar that fails on no row."""
        columns = [name for at in of for name in at.all(at.source.texts)]
        if depth == 0 or self._chance(0.5):
            return self.random.choice(columns)
        first = self.text(of, depth - 1)
        return self.random.choice(
            (
                f"upper({first})",
                f"substr({first}, 1, {self.random.randint(1, 6)})",
                f"concat({first}, {self.text(of, depth - 1)})",
                f"({first} || '-')",
                f"replace({first}, 'a', 'b')",
                f"coalesce({first}, 'none')",
                f"nullif({first}, {self._word()})",
                f"CAST({self.integer(of, depth - 1)} AS varchar)",
                f"if({self.boolean(of, depth - 1)}, {first}, {self._word()})",
            )
        )

    def _dated(self, of: Sequence[Alias], _depth: int) -> str:
        return self.date(of)

    def date(self, of: Sequence[Alias]) -> str:
        """A date or timestamp, as a date."""
        columns = [name for at in of for name in at.all(at.source.dates)]
        return f"CAST({self.random.choice(columns)} AS date)" if columns else "DATE '2020-02-29'"

    def boolean(self, of: Sequence[Alias], depth: int = 2) -> str:
        """A condition that fails on no visible row."""
        if depth > 0 and self._chance(0.3):
            joined = self.random.choice((" AND ", " OR "))
            both = self.boolean(of, depth - 1) + joined + self.boolean(of, depth - 1)
            return self.random.choice((f"({both})", f"NOT ({both})"))
        less = max(0, depth - 1)
        sign = self.random.choice(("=", "<>", "<", ">=", "IS DISTINCT FROM"))
        return self.random.choice(
            (
                f"{self.integer(of, less)} {sign} {self._number()}",
                f"{self.integer(of, less)} {sign} {self.integer(of, less)}",
                f"{self.text(of, less)} {sign} {self._word()}",
                f"{self.text(of, less)} LIKE '%{self.random.choice('aenx15*')}%'",
                f"{self._any(of, less)} IS NULL",
                f"{self._any(of, less)} IS NOT NULL",
                f"{self.integer(of, less)} IN (1, 2, 3, 5, 8, 13)",
                f"{self.text(of, less)} IN ({self._word()}, {self._word()})",
                f"{self.integer(of, less)} BETWEEN 1 AND {self._number()}",
                f"{self.date(of)} >= DATE '{self.random.randint(1960, 2024)}-03-01'",
                f"regexp_like({self.text(of, less)}, '[a-f]+')",
            )
        )

    def _may_throw(self, at: Alias) -> str:
        of = [at]
        return self.random.choice(
            (
                f"CAST({self.text(of, 0)} AS bigint)",
                f"CAST(substr({self.text(of, 0)}, 1, 2) AS integer)",
                f"(100 / {self.integer(of, 0)})",
                f"(100 / ({self.integer(of, 0)} - {self._number()}))",
                f"(100 % ({self.integer(of, 0)} - {self._number()}))",
                f"({self.integer(of, 0)} + 9223372036854775{self.random.randint(700, 800)})",
                f"CAST({self.integer(of, 0)} * 9 AS tinyint)",
                f"CAST({self.integer(of, 0)} AS smallint)",
                f"year(CAST({self.text(of, 0)} AS date))",
                f"length(json_format(json_parse({self.text(of, 0)})))",
                f"length(regexp_extract('a', {self.text(of, 0)}))",
            )
        )

    def _aggregate(self, of: Sequence[Alias], *, whole: bool = False) -> str:
        n = self.integer(of)
        counted = self.random.choice(
            (
                f"sum({n})",
                f"count({n})",
                f"count(DISTINCT {self._any(of)})",
                "count(*)",
                f"max({n})",
            )
        )
        if whole:
            return counted
        return self.random.choice(
            (
                counted,
                counted,
                f"count(*) FILTER (WHERE {self.boolean(of)})",
                f"min({self.text(of)})",
                f"max({self.date(of)})",
                f"avg({n})",
                f"bool_or({self.boolean(of)})",
                f"min_by({self.text(of)}, {of[0].name}.{of[0].source.key})",
            )
        )

    # --- parts ----------------------------------------------------------------------------

    def _alias(self, name: str) -> Alias:
        return Alias(name, self.random.choice((PEOPLE, PEOPLE, ORDERS, ORDERS, PLAIN)))

    def _from(self, at: Alias) -> str:
        return f"{at.source.name} {at.name}"

    def _items(self, of: Sequence[Alias]) -> str:
        return ", ".join(self._any(of) for _ in range(self.random.randint(1, 4)))

    def _any(self, of: Sequence[Alias], depth: int = 2) -> str:
        kind = self.random.choice((self.integer, self.text, self._dated))
        return kind(of, depth)

    def _where(self, of: Sequence[Alias], chance: float = 0.7) -> str:
        return f" WHERE {self.boolean(of)}" if self._chance(chance) else ""

    def _equality(self, left: Alias, right: Alias) -> str:
        if self._chance(0.2):
            return (
                f"{self.random.choice(left.all(left.source.texts))} = "
                f"{self.random.choice(right.all(right.source.texts))}"
            )
        return (
            f"{self.random.choice(left.all(left.source.ints))} = "
            f"{self.random.choice(right.all(right.source.ints))}"
        )

    def _nonnull(self, at: Alias) -> str:
        return f"coalesce({self.integer([at])}, 0)"

    def _word(self) -> str:
        return f"'{self.random.choice(_TEXTS)}'"

    def _number(self) -> int:
        return self.random.choice((0, 1, 2, 3, 5, 7, 12, 40, 100))

    def _chance(self, of: float) -> bool:
        return self.random.random() < of
