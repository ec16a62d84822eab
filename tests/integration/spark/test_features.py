# ruff: noqa: E501
"""Spark's features, one by one, in a session as it comes: each is answered, whichever engine can.

What Sail lacks must move to Apache Spark by itself. A value of None says that an answer is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("sail", "real_spark"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

ORDERS = "SELECT id, region, amount FROM shop.orders"

SQL: dict[str, tuple[str, Any]] = {
    "a table function in capitals": ("SELECT v, w FROM EXPLODE(ARRAY(1, 2)) t(v), LATERAL (SELECT v + 1 AS w) ORDER BY v", [(1, 2), (2, 3)]),
    "GROUP BY ALL": ("SELECT region, count(*) AS n FROM shop.orders GROUP BY ALL ORDER BY 1", [("EU", 2), ("US", 2)]),
    "ORDER BY ALL": ("SELECT region, id FROM shop.orders ORDER BY ALL LIMIT 1", [("EU", 1)]),
    "TABLESAMPLE rows": ("SELECT count(*) FROM shop.orders TABLESAMPLE (2 ROWS)", [(2,)]),
    "TABLESAMPLE percent": ("SELECT count(*) FROM shop.orders TABLESAMPLE (100 PERCENT)", [(4,)]),
    "TABLESAMPLE bucket": ("SELECT count(*) >= 0 FROM shop.orders TABLESAMPLE (BUCKET 1 OUT OF 2)", [(True,)]),
    "TABLESAMPLE of a query": (f"SELECT count(*) FROM ({ORDERS}) TABLESAMPLE (100 PERCENT)", [(4,)]),
    "CLUSTER BY": ("SELECT sum(id) FROM (SELECT id FROM shop.orders CLUSTER BY id)", [(10,)]),
    "DISTRIBUTE BY": ("SELECT sum(id) FROM (SELECT id FROM shop.orders DISTRIBUTE BY id SORT BY id)", [(10,)]),
    "PIVOT": (f"SELECT EU, US FROM ({ORDERS.replace('id, ', '')}) PIVOT (sum(amount) FOR region IN ('EU' AS EU, 'US' AS US))", [(Decimal("40.75"), Decimal("60.00"))]),
    "UNPIVOT": ("SELECT k, v FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR k IN (a, b)) ORDER BY k", [("a", 1), ("b", 2)]),
    "LATERAL VIEW": ("SELECT id, tag FROM shop.orders LATERAL VIEW explode(tags) AS tag ORDER BY 2, 1", [(1, "a"), (1, "b"), (4, "c")]),
    "LATERAL VIEW OUTER": ("SELECT count(*) FROM shop.orders LATERAL VIEW OUTER explode(tags) t AS tag", [(5,)]),
    "LATERAL subquery": ("SELECT o.id, x.twice FROM shop.orders AS o, LATERAL (SELECT o.id * 2 AS twice) AS x ORDER BY 1 LIMIT 1", [(1, 2)]),
    "lateral column alias": ("SELECT id + 1 AS a, a * 2 AS b FROM shop.orders ORDER BY id LIMIT 1", [(2, 4)]),
    "recursive CTE": ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t", [(15,)]),
    "GROUPING SETS": ("SELECT region, count(*) FROM shop.orders GROUP BY GROUPING SETS ((region), ()) ORDER BY 2, 1", [("EU", 2), ("US", 2), (None, 4)]),
    "ROLLUP": ("SELECT grouping_id(), count(*) FROM shop.orders GROUP BY region WITH ROLLUP ORDER BY 1, 2", [(0, 2), (0, 2), (1, 4)]),
    "CUBE": ("SELECT count(*) FROM (SELECT region, id FROM shop.orders GROUP BY CUBE (region, id))", [(11,)]),
    "FILTER": ("SELECT count(*) FILTER (WHERE region = 'EU') FROM shop.orders", [(2,)]),
    "window": ("SELECT id, lag(id) OVER (ORDER BY id), sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM shop.orders ORDER BY id LIMIT 2", [(1, None, 1), (2, 1, 3)]),
    "named window": ("SELECT max(r) FROM (SELECT rank() OVER w AS r FROM shop.orders WINDOW w AS (PARTITION BY region ORDER BY id))", [(2,)]),
    "range frame": ("SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS n FROM shop.orders)", [(3,)]),
    "IGNORE NULLS": ("SELECT last_value(placed) IGNORE NULLS OVER (ORDER BY id) IS NOT NULL FROM shop.orders WHERE id = 1", [(True,)]),
    "SEMI JOIN": ("SELECT count(*) FROM shop.orders LEFT SEMI JOIN VALUES ('EU') AS r(region) USING (region)", [(2,)]),
    "ANTI JOIN": ("SELECT count(*) FROM shop.orders AS o LEFT ANTI JOIN VALUES ('EU') AS r(region) ON o.region = r.region", [(2,)]),
    "NATURAL JOIN": ("SELECT count(*) FROM shop.orders NATURAL JOIN (SELECT 'EU' AS region)", [(2,)]),
    "FULL JOIN": ("SELECT count(*) FROM shop.orders AS o FULL OUTER JOIN range(10) AS r ON o.id = r.id", [(10,)]),
    "EXCEPT ALL": ("SELECT count(*) FROM (SELECT region FROM shop.orders EXCEPT ALL SELECT 'EU')", [(3,)]),
    "INTERSECT ALL": ("SELECT count(*) FROM (SELECT region FROM shop.orders INTERSECT ALL SELECT 'EU')", [(1,)]),
    "MINUS": ("SELECT region FROM shop.orders MINUS SELECT 'EU'", [("US",)]),
    "correlated scalar": ("SELECT id FROM shop.orders AS o WHERE amount = (SELECT max(amount) FROM shop.orders AS i WHERE i.region = o.region) ORDER BY id", [(3,), (4,)]),
    "EXISTS": ("SELECT count(*) FROM shop.orders AS o WHERE EXISTS (SELECT 1 FROM range(3) AS r WHERE r.id = o.id)", [(2,)]),
    "NOT IN": ("SELECT count(*) FROM shop.orders WHERE id NOT IN (SELECT id FROM range(3))", [(2,)]),
    "lambdas": ("SELECT transform(array(1, 2), x -> x + 1), filter(array(1, 2), x -> x > 1), aggregate(array(1, 2), 0, (a, x) -> a + x)", [([2, 3], [2], 3)]),
    "map functions": ("SELECT map_filter(map('a', 1, 'b', 2), (k, v) -> v > 1), map_zip_with(map('a', 1), map('a', 2), (k, x, y) -> x + y)", [({"b": 2}, {"a": 3})]),
    "JSON": ("SELECT from_json('{\"a\": 1}', 'a INT').a, to_json(named_struct('a', 1)), get_json_object('{\"a\": 1}', '$.a'), schema_of_json('{\"a\": 1}')", [(1, '{"a":1}', "1", "STRUCT<a: BIGINT>")]),
    "CSV": ("SELECT from_csv('1,b', 'a INT, b STRING').b, to_csv(named_struct('a', 1))", [("b", "1")]),
    "XML": ("SELECT xpath_int('<a><b>3</b></a>', 'a/b')", [(3,)]),
    "variant": ("SELECT variant_get(parse_json('{\"a\": 7}'), '$.a', 'int')", [(7,)]),
    "URL": ("SELECT parse_url('http://a.b/c?d=e', 'QUERY', 'd')", [("e",)]),
    "table functions": ("SELECT a FROM stack(2, 1, 2) AS t(a) ORDER BY 1", [(1,), (2,)]),
    "json_tuple": ("SELECT a FROM (SELECT '{\"a\": 1}' AS j) LATERAL VIEW json_tuple(j, 'a') AS a", [("1",)]),
    "inline": ("SELECT * FROM inline(array(struct(1, 'a'), struct(2, 'b'))) AS t(x, y) ORDER BY x", [(1, "a"), (2, "b")]),
    "posexplode": ("SELECT pos, col FROM posexplode(array('x')) ", [(0, "x")]),
    "hints": ("SELECT /*+ BROADCAST(o), REPARTITION(3) */ count(*) FROM shop.orders AS o", [(4,)]),
    "intervals": ("SELECT DATE'2026-01-31' + INTERVAL 1 MONTH, timestampdiff(DAY, TIMESTAMP'2026-01-01', TIMESTAMP'2026-01-05')", None),
    "LIKE ANY": ("SELECT count(*) FROM shop.orders WHERE region LIKE ANY ('E%', 'X%')", [(2,)]),
    "RLIKE": ("SELECT 'abc' RLIKE '^a', 'ABC' ILIKE 'a%', 5 DIV 2, 1 <=> NULL, '1' :: INT", [(True, True, 2, False, 1)]),
    "try": ("SELECT try_cast('x' AS INT), try_divide(1, 0), try_add(2147483647, 1), try_element_at(array(1), 2)", [(None, None, None, None)]),
    "aggregates": ("SELECT percentile(id, 0.5), max_by(region, id), mode(region) IN ('EU', 'US'), any_value(region) IS NOT NULL, bool_and(id > 0) FROM shop.orders", [(2.5, "US", True, True, True)]),
    "percentile_cont": ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM shop.orders", [(2.5,)]),
    "percentile_approx": ("SELECT percentile_approx(id, array(0.5, 1.0)) FROM shop.orders", [([2, 4],)]),
    "listagg": ("SELECT listagg(region, ',') WITHIN GROUP (ORDER BY region) FROM shop.orders", [("EU,EU,US,US",)]),
    "histogram": ("SELECT size(histogram_numeric(id, 2)) FROM shop.orders", [(2,)]),
    "sketches": ("SELECT hll_sketch_estimate(hll_sketch_agg(id)) FROM shop.orders", [(4,)]),
    "bitmaps": ("SELECT bitmap_count(bitmap_construct_agg(bitmap_bit_position(id))) FROM shop.orders", [(4,)]),
    "session_window": ("SELECT count(*) FROM (SELECT session_window(placed, '1 hour') AS w, count(*) AS n FROM shop.orders WHERE placed IS NOT NULL GROUP BY session_window(placed, '1 hour'))", [(3,)]),
    "window()": ("SELECT count(*) FROM (SELECT window(placed, '1 day') AS w, count(*) AS n FROM shop.orders WHERE placed IS NOT NULL GROUP BY 1)", [(3,)]),
    "collation": ("SELECT 'a' COLLATE UTF8_LCASE = 'A'", [(True,)]),
    "star except": ("SELECT * EXCEPT (card, amount, placed, tags) FROM shop.orders WHERE id = 1", [(1, "EU")]),
    "OFFSET": ("SELECT id FROM shop.orders ORDER BY id LIMIT 1 OFFSET 2", [(3,)]),
    "VALUES": ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    "FROM first": ("FROM shop.orders SELECT count(*)", [(4,)]),
    "bits": ("SELECT 5 & 3, 5 | 3, 5 ^ 3, ~5, shiftleft(1, 3), bit_count(7)", [(1, 7, 6, -6, 8, 3)]),
    "sequence of dates": ("SELECT size(sequence(DATE'2026-01-01', DATE'2026-03-01', INTERVAL 1 MONTH))", [(3,)]),
    "crypto": ("SELECT md5('a'), sha2('a', 256), crc32('a'), xxhash64('a'), hash('a')", None),
    "formats": ("SELECT format_number(1234.5, 2), to_char(12, '999'), printf('%05d', 7), to_number('1,2', '9,9')", None),
    "VALUES join": ("SELECT count(*) FROM shop.orders AS o JOIN (VALUES (1), (2)) AS v(id) ON o.id = v.id", [(2,)]),
    "pipes": ("FROM shop.orders |> WHERE id = 1 |> SELECT id", [(1,)]),
    "INTERSECT ALL twice": ("SELECT count(*) FROM (SELECT region FROM shop.orders INTERSECT ALL SELECT * FROM VALUES ('EU'), ('EU'), ('EU'))", [(2,)]),
    "EXCEPT ALL of values": ("SELECT count(*) FROM (SELECT * FROM VALUES (1), (1), (2) EXCEPT ALL SELECT 1)", [(2,)]),
    "QUALIFY by subquery": ("SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY region ORDER BY id DESC) AS n FROM shop.orders) WHERE n = 1 ORDER BY id", [(3,), (4,)]),
}  # fmt: skip


def table(session: Any) -> Any:
    return session.table("shop.orders")


def grouped_in_pandas(session: Any) -> Any:
    def grow(frame):
        return frame.assign(id=frame.id + 1)

    return table(session).select("region", "id").groupBy("region").applyInPandas(
        grow, "region string, id long"
    ).agg(F.sum("id")).collect()  # fmt: skip


def in_arrow(session: Any) -> Any:
    return table(session).select("region", "id").groupBy("region").applyInArrow(
        lambda rows: rows, "region string, id long"
    ).agg(F.sum("id")).collect()  # fmt: skip


def cogrouped(session: Any) -> Any:
    import pandas as pd

    def both(left, right):
        return pd.DataFrame({"n": [len(left) + len(right)]})

    frame = table(session).select("region", "id").groupBy("region")
    return frame.cogroup(frame).applyInPandas(both, "n long").agg(F.sum("n")).collect()


def table_function(session: Any) -> Any:
    @F.udtf(returnType="n int")
    class Upto:
        def eval(self, n: int):
            for i in range(n):
                yield (i,)

    session.udtf.register("upto", Upto)
    return session.sql("SELECT count(*) FROM upto(3)").collect()


def _counting(session: Any) -> Any:
    @F.udtf(returnType="region string, n int, last int")
    class Counting:
        def __init__(self):
            self.region, self.n, self.last = None, 0, None

        def eval(self, row):
            self.region, self.n, self.last = row["region"], self.n + 1, row["id"]

        def terminate(self):
            yield self.region, self.n, self.last

    session.udtf.register("counting", Counting)
    return Counting


def table_argument(session: Any) -> Any:
    _counting(session)
    return session.sql(
        "SELECT * FROM counting(TABLE(shop.orders) PARTITION BY region ORDER BY id DESC) ORDER BY 1"
    ).collect()


def query_as_argument(session: Any) -> Any:
    _counting(session)
    return session.sql(
        "WITH few AS (SELECT region, id FROM shop.orders WHERE id < 4)"
        " SELECT n, last FROM counting(TABLE(SELECT * FROM few ORDER BY id) WITH SINGLE PARTITION)"
    ).collect()


def frame_as_argument(session: Any) -> Any:
    rows = table(session).select("region", "id").asTable().partitionBy("region").orderBy("id")
    return sorted(_counting(session)(rows).collect())


def analyzed(session: Any) -> Any:
    from pyspark.sql.types import IntegerType, StructType
    from pyspark.sql.udtf import AnalyzeArgument, AnalyzeResult

    @F.udtf
    class Wide:
        @staticmethod
        def analyze(width: AnalyzeArgument) -> AnalyzeResult:
            schema = StructType()
            for place in range(width.value):
                schema = schema.add(f"c{place}", IntegerType())
            return AnalyzeResult(schema=schema)

        def eval(self, width):
            yield tuple(range(width))

    return Wide(F.lit(3)).collect()


def observed(session: Any) -> Any:
    from pyspark.sql import Observation

    seen = Observation("seen")
    table(session).observe(seen, F.count(F.lit(1)).alias("n")).collect()
    return seen.get["n"]


def one_by_one(session: Any) -> Any:
    frame = session.range(1)
    for number in range(400):
        frame = frame.withColumn(f"c{number}", F.lit(number))
    return len(frame.schema), len(frame.collect()[0])


def in_a_view(session: Any) -> Any:
    frame = session.createDataFrame([(1,), (1,), (2,)], "a int")
    frame.exceptAll(session.createDataFrame([(1,)], "a int")).createOrReplaceTempView("rest_of_it")
    return session.table("rest_of_it").count()


def global_view(session: Any) -> Any:
    table(session).createOrReplaceGlobalTempView("everywhere")
    rows = session.sql("SELECT count(*) FROM global_temp.everywhere").collect()
    session.catalog.dropGlobalTempView("everywhere")
    return rows


FRAMES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "approxQuantile": (lambda s: table(s).approxQuantile("id", [0.5], 0.0), [2.0]),
    "freqItems": (lambda s: sorted(table(s).freqItems(["region"]).collect()[0][0]), ["EU", "US"]),
    "crosstab": (lambda s: table(s).crosstab("region", "id").count(), 2),
    "sampleBy": (lambda s: table(s).sampleBy("region", {"EU": 1.0}).count(), 2),
    "cov": (lambda s: round(table(s).cov("id", "id"), 3), 1.667),
    "corr": (lambda s: table(s).corr("id", "id"), 1.0),
    "describe": (lambda s: table(s).describe("id").collect()[0][1], "4"),
    "describe in order": (
        lambda s: [row[0] for row in table(s).describe("id", "region").collect()],
        ["count", "mean", "stddev", "min", "max"],
    ),
    "summary": (lambda s: table(s).select("id").summary("count", "50%").count(), 2),
    "summary in order": (
        lambda s: [row[0] for row in table(s).select("id").summary().collect()],
        ["count", "mean", "stddev", "min", "25%", "50%", "75%", "max"],
    ),
    "summary as asked": (
        lambda s: [row[0] for row in table(s).select("id").summary("max", "33%", "count").collect()],
        ["max", "33%", "count"],
    ),
    "pivot": (lambda s: table(s).groupBy().pivot("region").sum("id").collect(), [(4, 6)]),
    "pivot of values": (lambda s: table(s).groupBy().pivot("region", ["EU"]).sum("id").collect(), [(4,)]),
    "unpivot": (lambda s: table(s).select("id", F.col("id").alias("b")).unpivot("id", ["b"], "k", "v").count(), 4),
    "rollup": (lambda s: table(s).rollup("region").count().count(), 3),
    "cube": (lambda s: table(s).cube("region", "id").count().count(), 11),
    "groupingSets": (lambda s: table(s).groupingSets([["region"], []], "region").count().count(), 3),
    "transpose": (lambda s: table(s).select("region", "id").limit(2).transpose().count(), 1),
    "observe": (observed, 4),
    "applyInPandas": (grouped_in_pandas, [(14,)]),
    "applyInArrow": (in_arrow, [(10,)]),
    "cogroup": (cogrouped, [(8,)]),
    "mapInPandas": (lambda s: table(s).select("id").mapInPandas(lambda it: it, "id long").count(), 4),
    "mapInArrow": (lambda s: table(s).select("id").mapInArrow(lambda it: it, "id long").count(), 4),
    "udtf": (table_function, [(3,)]),
    "udtf over a table": (table_argument, [("EU", 2, 1), ("US", 2, 2)]),
    "udtf over a query": (query_as_argument, [(3, 3)]),
    "udtf over a frame": (frame_as_argument, [("EU", 2, 3), ("US", 2, 4)]),
    "udtf that names its columns": (analyzed, [(0, 1, 2)]),
    "400 columns one by one": (one_by_one, (401, 401)),
    "checkpoint": (lambda s: table(s).localCheckpoint().count(), 4),
    "cache": (lambda s: table(s).cache().count(), 4),
    "randomSplit": (lambda s: sum(part.count() for part in table(s).randomSplit([0.5, 0.5], 1)), 4),
    "sample": (lambda s: table(s).sample(1.0, 3).count(), 4),
    "repartitionByRange": (lambda s: table(s).repartitionByRange(2, "id").count(), 4),
    "coalesce": (lambda s: table(s).coalesce(1).count(), 4),
    "hint": (lambda s: table(s).hint("broadcast").join(s.range(3), "id").count(), 2),
    "colRegex": (lambda s: table(s).select(table(s).colRegex("`i.*`")).count(), 4),
    "to": (lambda s: table(s).select("id").to(table(s).select("id").schema).count(), 4),
    "withMetadata": (lambda s: table(s).withMetadata("id", {"a": 1}).schema["id"].metadata, {"a": 1}),
    "tail": (lambda s: [row.id for row in s.range(5).tail(2)], [3, 4]),
    "isEmpty": (lambda s: table(s).where("id > 9").isEmpty(), True),
    "toLocalIterator": (lambda s: len(list(table(s).toLocalIterator())), 4),
    "foreach": (lambda s: table(s).select("id").foreach(lambda row: None), None),
    "foreachPartition": (lambda s: table(s).select("id").foreachPartition(lambda rows: None), None),
    "explain": (lambda s: "Plan" in table(s)._explain_string(mode="formatted"), True),
    "explain of a frame": (lambda s: bool(table(s).where("id > 1").groupBy("region").count()._explain_string(extended=True)), True),
    "na": (lambda s: s.createDataFrame([(None,)], "a int").na.fill(3).collect(), [(3,)]),
    "na.drop": (lambda s: table(s).na.drop(subset=["placed"]).count(), 3),
    "replace": (lambda s: table(s).replace("EU", "EMEA", "region").where("region = 'EMEA'").count(), 2),
    "dropDuplicates": (lambda s: table(s).dropDuplicates(["region"]).count(), 2),
    "exceptAll": (lambda s: table(s).select("region").exceptAll(table(s).select("region").limit(0)).count(), 4),
    "intersectAll": (lambda s: table(s).select("id").intersectAll(s.range(3)).count(), 2),
    "multisets": (lambda s: (s.createDataFrame([(1,), (1,), (2,)], "a int").exceptAll(s.createDataFrame([(1,)], "a int")).count(), s.createDataFrame([(1,), (1,)], "a int").intersectAll(s.createDataFrame([(1,)], "a int")).count()), (2, 1)),
    "multisets in a view": (in_a_view, 2),
    "unionByName": (lambda s: table(s).select("id").unionByName(s.range(1).withColumn("x", F.lit(1)), True).count(), 5),
    "crossJoin": (lambda s: table(s).crossJoin(s.range(2)).count(), 8),
    "lateralJoin": (lambda s: table(s).lateralJoin(s.range(2)).count(), 8),
    "scalar subquery": (lambda s: table(s).where(F.col("id") == s.range(1, 4).agg(F.max("id")).scalar()).count(), 1),
    "exists subquery": (lambda s: table(s).alias("o").where(s.range(3).where(F.col("id") == F.col("o.id").outer()).exists()).count(), 2),
    "tvf": (lambda s: s.tvf.explode(F.array(F.lit(1), F.lit(2))).count(), 2),
    "global view": (global_view, [(4,)]),
    "window functions": (lambda s: table(s).select(F.ntile(2).over(Window.orderBy("id")).alias("n")).agg(F.sum("n")).collect(), [(6,)]),
    "time windows": (lambda s: table(s).dropna(subset=["placed"]).groupBy(F.window("placed", "1 day")).count().count(), 3),
    "struct updates": (lambda s: s.range(1).select(F.struct("id").alias("s")).select(F.col("s").withField("b", F.lit(2)).dropFields("id").alias("s")).collect(), [((2,),)]),
    "higher-order": (lambda s: s.range(1).select(F.transform(F.array(F.lit(1)), lambda x, i: x + i)).collect(), [([1],)]),
    "toDF": (lambda s: s.createDataFrame([(1, "a")], "a int, b string").toDF("x", "y").columns, ["x", "y"]),
    "nested rows": (lambda s: s.createDataFrame([({"a": [1]},)], "m map<string,array<int>>").collect(), [({"a": [1]},)]),
    "isLocal": (lambda s: table(s).isLocal(), False),
    "random": (lambda s: s.range(3).select(F.rand(1), F.randn(1), F.uuid()).count(), 3),
    "metadata of storage": (lambda s: s.range(77).storageLevel.useMemory, False),
    "input schema": (lambda s: s.range(1).schema.simpleString(), "struct<id:bigint>"),
    "semantics": (lambda s: table(s).sameSemantics(table(s)), True),
}  # fmt: skip


def plain(found: Any) -> Any:
    """Rows as tuples, nested ones too."""
    if isinstance(found, tuple):
        return tuple(plain(each) for each in found)
    if isinstance(found, list):
        return [plain(each) for each in found]
    return found


@pytest.fixture(scope="module")
def session(spark_lake: Any) -> Any:
    """One session for all, so that Spark starts once."""
    from integration.spark.conftest import Door

    door = Door(spark_lake)
    made = door.connect()
    made.conf.set("spark.sql.shuffle.partitions", "2")
    yield made
    door.close()


@pytest.mark.parametrize("feature", SQL)
def test_sql(session: Any, feature: str) -> None:
    text, wanted = SQL[feature]
    found = plain(session.sql(text).collect())
    assert found, "rows"
    if wanted is not None:
        assert found == wanted


@pytest.mark.parametrize("feature", FRAMES)
def test_frames(session: Any, feature: str) -> None:
    work, wanted = FRAMES[feature]
    assert plain(work(session)) == wanted


REFUSED = {
    "scripts": "BEGIN DECLARE x INT; END",
    "functions in SQL": "CREATE TEMPORARY FUNCTION f(x INT) RETURNS INT RETURN x + 1",
    "variables": "DECLARE VARIABLE x INT DEFAULT 1",
    "EXECUTE IMMEDIATE": "EXECUTE IMMEDIATE 'SELECT 1'",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_refused_says_so(session: Any, statement: str) -> None:
    with pytest.raises(Exception) as failure:
        session.sql(REFUSED[statement]).collect()
    told = str(failure.value)
    assert re.search(r"UNSUPPORTED_FEATURE|PARSE_SYNTAX_ERROR", told), told
    assert "INTERNAL" not in told
