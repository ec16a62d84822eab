"""What reaches a user process of a governed table: what its plan needs, and the same answers.

`headwater.staging` = `whole` brings everything, as a comparison.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from integration.clients.lake import Lake
from integration.spark.conftest import Door

pytestmark = [pytest.mark.usefixtures("sail"), pytest.mark.filterwarnings("ignore::UserWarning")]

FILL = ", ".join(f"'fill-{number}-' || CAST(i AS varchar) AS w{number}" for number in range(30))
PREPARE = f"""
CREATE SCHEMA lake.wide;
CREATE TABLE wide.t AS SELECT
  CAST(i AS bigint) AS id, CAST(date_add('day', i % 7, DATE '2026-01-01') AS date) AS day,
  CAST(i % 5 AS integer) AS k, CASE WHEN i % 3 = 0 THEN 'EU' ELSE 'HIDDEN' END AS region,
  '4000-SECRET-' || CAST(1000 + i AS varchar) AS card, CAST(i / 4.0 AS decimal(9, 2)) AS price,
  i % 2 = 0 AS flag, CASE WHEN i % 11 = 0 THEN NULL ELSE CAST(i AS double) / 2 END AS ratio,
  CAST(ROW(i, 'n' || CAST(i AS varchar)) AS ROW(num integer, txt varchar)) AS s, {FILL}
  FROM UNNEST(sequence(1, 600)) AS x(i);
CREATE TABLE wide.u AS SELECT CAST(i AS bigint) AS id, 'c' || CAST(i AS varchar) AS c,
  'SECRET-' || CAST(i AS varchar) AS note FROM UNNEST(sequence(1, 40)) AS x(i);
GRANT SELECT ON wide.t TO ellen;
GRANT SELECT ON wide.u TO ellen;
CREATE ROW FILTER eu_only ON wide.t USING (region = 'EU') TO ellen;
CREATE COLUMN MASK card ON wide.t (card) USING show-last-4 TO ellen;
CREATE COLUMN MASK note ON wide.u (note) USING replace-with-null TO ellen
"""
HIDDEN = ("SECRET", "HIDDEN")
"""What ellen may not see, in no file of hers."""


@dataclass
class Inbox:
    """What was put in front of the users' processes since the last look."""

    home: Path
    known: set[Path] = field(default_factory=set)

    def files(self) -> list[pa.Table]:
        found = set(self.home.rglob("inbox/*/part-*.parquet"))
        new, self.known = found - self.known, found
        return [pq.read_table(file) for file in sorted(new)]


@pytest.fixture(scope="module")
def wide(spark_lake: Lake) -> Iterator[Lake]:
    """A governed table of forty columns, and a small one."""
    for statement in PREPARE.strip().split(";\n"):
        spark_lake.rows(statement)
    yield spark_lake
    for statement in ("DROP TABLE wide.t", "DROP TABLE wide.u", "DROP SCHEMA lake.wide"):
        spark_lake.rows(statement)


@pytest.fixture
def reader(door: Door, wide: Lake) -> Any:
    """The analyst's session, on Sail."""
    session = door.connect("ellen")
    session.conf.set("headwater.engine", "sail")
    return session


@pytest.fixture
def inbox(wide: Lake) -> Inbox:
    found = Inbox(wide.home)
    found.files()
    return found


def test_only_what_a_plan_needs_is_staged(reader: Any, inbox: Inbox) -> None:
    def parts(batches: Any) -> Any:
        yield from batches

    day = date(2026, 1, 3)
    narrow = reader.table("wide.t").where(F.col("day") == F.lit(day)).select("id", "card")
    rows = narrow.mapInPandas(parts, "id BIGINT, card STRING").collect()
    assert rows
    staged = inbox.files()
    assert [table.column_names for table in staged if table.num_rows] == [["id", "day", "card"]]
    (table,) = (table for table in staged if table.num_rows)
    assert set(table["day"].to_pylist()) == {day}
    assert table.num_rows == len(rows)
    assert sum(file.num_rows for file in staged) == len(rows), "an analysis stages no row"
    reader.table("wide.t").where("day = DATE '2026-01-03' AND id > 9").select("card").collect()
    assert all(not file.num_rows for file in inbox.files()), "it is there, with rows to spare"
    assert reader.table("wide.t").where("k >= 0").select("k").distinct().count() == 5
    assert all(file.num_columns == 1 for file in inbox.files() if file.num_rows)


PROBES: list[Callable[[Any], Any]] = [
    lambda s: s.table("wide.t").where(F.col("card") == "4000-SECRET-1003").select("id"),
    lambda s: s.table("wide.t").where(F.col("card").isin("4000-SECRET-1003", "x")).select("card"),
    lambda s: s.table("wide.t").where("region = 'HIDDEN'").select("id", "region"),
    lambda s: s.table("wide.t").where("region = 'HIDDEN' AND id = 1").select("region", "card"),
    lambda s: s.table("wide.t").where("1 / (id - 1) > 0").select("card"),
    lambda s: s.table("wide.u").where(F.col("note").isNotNull()).select("id", "note"),
    lambda s: s.table("wide.u").where(F.col("note") == "SECRET-7").select("c"),
    lambda s: s.table("wide.u").join(s.table("wide.t"), "id").select("card", "note", "region"),
]


@pytest.mark.parametrize("number", range(len(PROBES)))
def test_probes_find_what_policies_leave_and_stage_nothing_else(
    reader: Any, inbox: Inbox, number: int
) -> None:
    told = PROBES[number](reader).collect()
    assert not any(word in str(told) for word in HIDDEN)
    for table in inbox.files():
        for column in table.columns:
            text = str(column.to_pylist())
            assert not any(word in text for word in HIDDEN)
    if number in (0, 1, 2, 3, 5, 6):
        assert told == []


def test_errors_are_those_of_the_whole_table(reader: Any) -> None:
    for work in (
        lambda: reader.table("wide.t").select("id", "nothing").collect(),
        lambda: reader.table("wide.t").select("id").join(reader.table("wide.u"), "nope").collect(),
        lambda: reader.sql("SELECT wide.t.c FROM wide.t JOIN wide.u ON t.id = u.id").collect(),
        lambda: reader.table("wide.t").where("k = 3").select(F.raise_error("mine")).collect(),
    ):
        assert failure(reader, work, "needed") == failure(reader, work, "whole")


def failure(session: Any, work: Callable[[], Any], staging: str) -> str:
    """What a plan that cannot run ends with."""
    session.conf.set("headwater.staging", staging)
    with pytest.raises(Exception) as failed:
        work()
    return f"{type(failed.value).__name__}: {failed.value}".split("JVM stacktrace")[0]


# --- random plans, with and without ---------------------------------------------------------------

CONDITIONS = [
    "k = 3",
    "k > 1 AND region = 'EU'",
    "day BETWEEN DATE '2026-01-02' AND DATE '2026-01-04'",
    "price > 20.25",
    "flag = true AND id < 300",
    "ratio IS NULL",
    "ratio > 10.5 AND k IN (1, 2, 4)",
    "card = '************1003' OR id % 2 = 1",
    "s.num > 100 AND k <> 2",
    "w3 LIKE 'fill%' AND id >= 100",
    "card IN ('************1006', 'x')",
]
COLUMNS = ["id", "day", "k", "region", "card", "price", "flag", "ratio", "w1", "w2"]


class Plans:
    """Makes small plans at random; a seed makes the same plan each time."""

    def __init__(self, session: Any, seed: int) -> None:
        self._session = session
        self._random = random.Random(seed)

    def frame(self) -> Any:
        """A plan over one or two reads of governed tables."""
        pick = self._random
        frame = self._steps(self._read(), 3)
        shape = pick.randrange(6)
        if shape == 0:
            other = self._steps(self._read(), 2).select(F.col("id").alias("o_id"), "k")
            frame = frame.select("id", *pick.sample(COLUMNS[1:], 2))
            frame = frame.drop("k").join(other, F.col("id") == F.col("o_id"), pick.choice(_JOINS))
        elif shape == 1:
            frame = frame.join(self._session.table("wide.u"), "id").drop("w5", "w6")
        elif shape == 2:
            frame = frame.groupBy(*pick.sample(COLUMNS[1:4], 2)).agg(
                F.count("*").alias("n"), F.sum("price").alias("p"), F.max(F.struct("id", "w1"))
            )
        elif shape == 3:
            columns = pick.sample(COLUMNS, 3)
            frame = frame.select(*columns).union(self._steps(self._read(), 1).select(*columns))
        elif shape == 4:
            window = Window.partitionBy("k").orderBy("id")
            frame = frame.select("id", F.row_number().over(window).alias("r"), "s.txt")
        return self._last(frame)

    def sql(self) -> str:
        """A query, of the kinds that SQL has."""
        pick = self._random
        one, two = pick.sample(COLUMNS, 2)
        where = pick.choice(CONDITIONS)
        return pick.choice(
            [
                f"SELECT {one}, {two.upper()} FROM wide.t WHERE {where}",
                f"SELECT * FROM wide.t WHERE {where}",
                f"SELECT count(*), max({one}) FROM wide.t AS x WHERE {where}",
                f"SELECT x.{one}, u.c FROM wide.t AS x JOIN wide.u AS u USING (id) WHERE {where}",
                f"SELECT {one} FROM (SELECT * FROM wide.t WHERE {where}) WHERE k IS NOT NULL",
                f"WITH x AS (SELECT * FROM wide.t WHERE {where}) SELECT {one} FROM x",
                (
                    "SELECT c FROM wide.u "
                    f"WHERE EXISTS (SELECT 1 FROM wide.t WHERE {where} AND t.id = u.id)"
                ),
                f"SELECT a.{one} FROM wide.t a, wide.t b WHERE a.id = b.id AND b.{where}",
                (
                    f"SELECT k, sum(price) AS p FROM wide.t WHERE {where} "
                    "GROUP BY k HAVING sum(id) > 3"
                ),
                f"SELECT s.txt, id + 1 AS n, n * 2 AS m FROM wide.t WHERE {where}",
            ]
        )

    def _read(self) -> Any:
        return self._session.table("wide.t")

    def _steps(self, frame: Any, most: int) -> Any:
        pick = self._random
        for _ in range(pick.randrange(most + 1)):
            step = pick.randrange(8)
            if step < 3:
                frame = frame.where(pick.choice(CONDITIONS))
            elif step == 3:
                frame = frame.withColumn("k", F.col("k") + 1)
            elif step == 4:
                frame = frame.withColumn("made", F.concat("w1", F.col("s.txt")))
            elif step == 5:
                frame = frame.drop(*pick.sample(["w7", "w8", "w9", "made"], 2))
            elif step == 6:
                frame = frame.dropDuplicates(["id"])
            else:
                frame = frame.withColumnRenamed("w10", "renamed").fillna(0, ["ratio"])
        return frame

    def _last(self, frame: Any) -> Any:
        last = self._random.randrange(4)
        if last == 0:
            return frame.groupBy().count()
        if last == 1:
            return frame.distinct()
        return frame


_JOINS = ["inner", "left", "left_semi", "left_anti"]


def answer(session: Any, make: Callable[[], Any], staging: str) -> tuple[Any, list[str]]:
    """The schema and the rows of a plan, or its error."""
    session.conf.set("headwater.staging", staging)
    try:
        found = make().toArrow()
    except Exception as failed:
        return type(failed).__name__, [str(failed).split("JVM stacktrace")[0]]
    return found.schema, sorted(map(str, found.to_pylist()))


@pytest.mark.parametrize("seed", range(60))
def test_random_plans_answer_the_same(reader: Any, seed: int) -> None:
    def make() -> Any:
        plans = Plans(reader, seed)
        return plans.frame() if seed % 3 else reader.sql(plans.sql())

    assert answer(reader, make, "needed") == answer(reader, make, "whole")


def test_random_plans_do_answer(reader: Any) -> None:
    """Most of the plans above are no mere errors."""
    failed = 0
    for seed in range(0, 60, 5):
        plans = Plans(reader, seed)
        made = plans.frame() if seed % 3 else reader.sql(plans.sql())
        failed += isinstance(answer(reader, lambda made=made: made, "needed")[0], str)
    assert failed <= 2


def test_prices_and_days_in_answers(reader: Any) -> None:
    for staging in ("whole", "needed"):
        reader.conf.set("headwater.staging", staging)
        frame = reader.table("wide.t").where(F.col("price") == Decimal("1.50"))
        assert [tuple(row) for row in frame.select("id", "day").collect()] == [
            (6, date(2026, 1, 7))
        ]
