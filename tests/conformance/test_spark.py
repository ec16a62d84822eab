"""What `headwater.sql.spark` calls proven is: our engine answers as Spark answered on the grid.

`answers_of_spark.py` asked real Spark (4.1, ANSI mode, UTC); its answers are a file here, so that
no JVM is needed. `python -m pytest tests/conformance` proves; run this file itself to write anew
the list of what is proven.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conformance.canonical import canonical
from conformance.grid import Case, Rows, cases
from headwater.errors import HeadwaterError
from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.scan import Decision, EnforcementLevel, GovernedScan, ScanColumn
from headwater.model.statement import Dialect, Session
from headwater.sql.bind import Relation, ScanRelation, bind
from headwater.sql.parse import parse
from headwater.sql.rewrite import govern
from headwater.sql.spark import PROVEN
from headwater.sql.statements import Name, Query
from headwater.sql.transpile import emit
from headwater.sql.types import duckdb_type, parse_type

HERE = Path(__file__).parent
SESSION = Session(Identity(Principal("p", "tester", PrincipalKind.USER)), Dialect.SPARK, schema="x")
OVERFLOW = re.compile(r"Overflow in (multiplication|addition|subtract)\w* of DECIMAL|INT128")
"""A decimal that is too wide for the engine is an error: then whoever asked asks Spark."""

ALWAYS = frozenset({"Select()", "Table()"})
"""What every case has, and so no failing case tells about."""


def answers() -> dict[str, Any]:
    """Spark's answers, by the keys of cases."""
    found: dict[str, Any] = json.loads(
        gzip.decompress((HERE / "spark_answers.json.gz").read_bytes())
    )
    return found


@dataclass
class Engine:
    """Our engine's side: a table `g` of a case behind a governed scan."""

    db: duckdb.DuckDBPyConnection
    case: Case

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        columns = [ScanColumn("nr", 1, "int")]
        columns += [
            ScanColumn(label, number, parse_type(kind, Dialect.SPARK))
            for number, (label, kind) in enumerate(zip("abc", self.case.types, strict=False), 2)
        ]
        return ScanRelation(
            GovernedScan(
                TableIdentifier(("x",), "g"), "g", "g", 1, tuple(columns), None,
                EnforcementLevel.COARSE, Decision("d", True),
            )
        )  # fmt: skip

    def bound(self, sql: str) -> tuple[str, frozenset[str]]:
        statement = parse(sql, Dialect.SPARK)
        assert isinstance(statement, Query)
        bound = bind(statement.tree, self, session=SESSION)
        return emit(govern(bound)), bound.constructs

    def fill(self, rows: Rows) -> None:
        kinds = [duckdb_type(parse_type(kind, Dialect.SPARK)) for kind in self.case.types]
        listed = ", ".join(f'"{label}" {kind}' for label, kind in zip("abc", kinds, strict=False))
        self.db.execute(f"CREATE OR REPLACE TABLE g (nr INTEGER, {listed})")
        marks = ", ".join(f"CAST(? AS {kind})" for kind in kinds)
        values = ", ".join(f"({number}, {marks})" for number in range(len(rows)))
        if rows:
            self.db.execute(f"INSERT INTO g VALUES {values}", [v for row in rows for v in row])

    def rows(self, sql: str, types: list[str]) -> list[list[object]]:
        """The answer, cast to Spark's types as the gateway casts it."""
        names = [f"c{place}" for place in range(len(types))]
        items = ", ".join(map(_cast, names, types))
        given = f"{names[0]}, {', '.join(names[1:])}" if len(names) > 1 else names[0]
        text = f"SELECT {items} FROM ({sql}) AS q({given})"
        return [[canonical(v) for v in row] for row in self.db.execute(text).fetchall()]


def _cast(name: str, kind: str) -> str:
    try:
        return f"CAST({name} AS {duckdb_type(parse_type(kind, Dialect.SPARK))})"
    except HeadwaterError:
        return name


@dataclass
class Verdict:
    """What a case is made of, and where it differs from Spark."""

    case: Case
    constructs: frozenset[str] = frozenset()
    differences: list[str] = field(default_factory=list)


def verdicts(part: int = 0, parts: int = 1) -> Iterator[Verdict]:
    """Each case (of one part of them) that our engine can bind, run and compared."""
    known = answers()
    db = duckdb.connect(config={"threads": 1})
    db.execute("LOAD icu; SET TimeZone = 'UTC'") if _has_icu(db) else None
    db.execute("CREATE MACRO iceberg_scan(location) AS TABLE SELECT * FROM query_table(location)")
    for case in cases()[part::parts]:
        expected = known.get(case.key)
        if expected is not None:
            verdict = _verdict(Engine(db, case), expected)
            if verdict is not None:
                yield verdict


def _has_icu(db: duckdb.DuckDBPyConnection) -> bool:
    found = db.execute("FROM duckdb_extensions() WHERE extension_name = 'icu' AND loaded")
    return found.fetchone() is not None


def _verdict(engine: Engine, expected: dict[str, Any]) -> Verdict | None:
    case = engine.case
    try:
        sql, constructs = engine.bound(case.sql)
    except HeadwaterError:
        return None
    verdict = Verdict(case, constructs)
    if case.each:
        sql, _ = engine.bound(case.sql.replace(" FROM g", ", nr FROM g ORDER BY nr"))
        wanted = expected["rows"]
        got = list(_each(engine, sql, expected["types"] or ["string"], case.rows))
        for row, one, two in zip(case.rows, wanted, got, strict=True):
            _compare(verdict, str(row), one, two)
        return verdict
    engine.fill(case.rows)
    try:
        found: Any = (
            engine.rows(sql, expected["types"])
            if expected.get("types")
            else engine.db.execute(sql).fetchall()
        )
    except duckdb.Error as failure:
        found = {"error": str(failure)}
    wanted = expected if "error" in expected else expected["rows"]
    if isinstance(wanted, list) and isinstance(found, list) and not _is_ordered(case.sql):
        wanted, found = sorted(wanted, key=repr), sorted(found, key=repr)
    _compare(verdict, str(case.rows), wanted, found)
    return verdict


def _each(engine: Engine, sql: str, types: list[str], rows: Rows) -> Iterator[Any]:
    waiting = [rows]
    while waiting:
        part = waiting.pop(0)
        engine.fill(part)
        try:
            names = ", nr"
            text = f"SELECT {_cast('c0', types[0])} FROM ({sql}) AS q(c0{names}) ORDER BY nr"
            got = engine.db.execute(text).fetchall()
        except duckdb.Error as failure:
            if len(part) == 1:
                yield {"error": str(failure)}
                continue
            half = len(part) // 2
            waiting = [part[:half], part[half:], *waiting]
            continue
        yield from ([canonical(value) for value in row] for row in got)


def _is_ordered(sql: str) -> bool:
    return re.search(r" ORDER BY [^()]*$", sql) is not None


def _compare(verdict: Verdict, what: str, wanted: Any, found: Any) -> None:
    if isinstance(found, dict) and (
        isinstance(wanted, dict) or OVERFLOW.search(str(found["error"]))
    ):
        return  # both fail, or we decline
    if isinstance(wanted, dict) and wanted["error"] == "ARITHMETIC_OVERFLOW":
        return  # DuckDB never wraps around; its optimizer may add up where Spark's type overflows
    if isinstance(wanted, dict) and wanted["error"] == "ValueError":
        return  # Spark has an answer, a date before year 1, which PySpark cannot give to Python
    if wanted != found:
        verdict.differences.append(f"{what}: Spark {wanted}, here {found}")


def proven(found: list[Verdict]) -> frozenset[str]:
    """The constructs of cases that agree, without those that some disagreement may come from.

    A construct that agrees where it stands alone is no suspect beside others that do not.
    """
    agreeing = [v.constructs - ALWAYS for v in found if not v.differences]
    alone = {next(iter(each)) for each in agreeing if len(each) == 1}
    bad: set[str] = set()
    for verdict in found:
        if verdict.differences and len(verdict.constructs - ALWAYS) == 1:
            bad |= verdict.constructs - ALWAYS
    alone -= bad
    failing = sorted((v for v in found if v.differences), key=lambda each: len(each.constructs))
    for verdict in failing:
        if not verdict.constructs & bad:
            suspects = verdict.constructs - ALWAYS
            bad |= (suspects - alone) or suspects
    good = {construct for constructs in agreeing for construct in constructs} | ALWAYS
    return frozenset(
        each for each in good - bad if "unknown" not in each and "by content" not in each
    )


PARTS = 6


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_proven_construct_agrees_with_spark(part: int) -> None:
    wrong = [
        f"{v.case.sql} {v.case.types}: {v.differences[0]}"
        for v in verdicts(part, PARTS)
        if v.differences and v.constructs <= PROVEN
    ]
    assert wrong == []


def write() -> None:
    found = list(verdicts())
    listed = sorted(proven(found))
    target = HERE.parents[1] / "src/headwater/sql/spark_proven.txt"
    target.write_text("".join(f"{each}\n" for each in listed))
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    lines = [
        f"{v.case.sql} {v.case.types} {sorted(v.constructs)}\n    "
        + "\n    ".join(v.differences[:3])
        for v in found
        if v.differences
    ]
    if out is not None:
        out.write_text("\n".join(lines))
    told = f"{len(found)} cases, {len(lines)} differ, {len(listed)} constructs proven\n"
    sys.stderr.write(told)


if __name__ == "__main__":
    write()
