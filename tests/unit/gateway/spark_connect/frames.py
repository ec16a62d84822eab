"""Data frames of a real PySpark client over two made-up tables, and what their plans need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headwater.query.needs import Columns, Need

STRUCT = {"type": "struct", "fields": [{"id": 9, "name": "f", "required": False, "type": "int"}]}
T: Columns = (
    ("id", "long"),
    ("day", "date"),
    ("a", "int"),
    ("b", "string"),
    ("s", STRUCT),
    ("price", "decimal(9, 2)"),
    ("flag", "boolean"),
    ("ratio", "double"),
    ("at", "timestamptz"),
    ("Upper", "string"),
)
U: Columns = (("id", "long"), ("c", "string"), ("d", "string"))
ALL = frozenset(name for name, _ in T)


def F() -> Any:
    """The functions of the client, once there is one."""
    from pyspark.sql.connect import functions

    return functions


def need(client: Any, work: Callable[[Any], Any], table: str = "ns.t") -> Need:
    """What the plan of a data frame needs of a table."""
    client.staged(lambda: work(client.spark).collect())
    return client.stager.needs[table]


def columns(client: Any, work: Callable[[Any], Any], table: str = "ns.t") -> frozenset[str]:
    """The columns that are needed of a table."""
    found = need(client, work, table).columns
    return (
        frozenset(name for name, _ in client.stager.known[table])
        if found is None
        else frozenset(found)
    )


def t(spark: Any) -> Any:
    return spark.table("ns.t")


def u(spark: Any) -> Any:
    return spark.table("ns.u")


def two(frame: Any) -> Any:
    return frame.select("a", "b")


def typed(frame: Any) -> Any:
    """The frame, whose columns the client knows already; else it asks for them."""
    from pyspark.sql.types import IntegerType, StringType, StructType

    frame._cached_schema = StructType().add("a", IntegerType()).add("b", StringType())
    return frame


def sql(spark: Any, text: str, arguments: dict[str, Any] | None = None, **frames: Any) -> Any:
    """What `spark.sql` answers, without asking the server."""
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.plan import SQL, SubqueryAlias

    named = {name: F().lit(value) for name, value in (arguments or {}).items()}
    views = [SubqueryAlias(frame._plan, name) for name, frame in frames.items()]
    return DataFrame(SQL(text, None, named, views), spark)


class Shown:
    """A frame whose rows are drawn, not collected."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def collect(self) -> None:
        self._frame.show()


def two_schema() -> Any:
    from pyspark.sql.types import IntegerType, StructType

    return StructType().add("a", IntegerType())


def flag() -> Any:
    from pyspark.sql.types import BooleanType

    return BooleanType()


def window() -> Any:
    from pyspark.sql.connect.window import Window

    return Window
