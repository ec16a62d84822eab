"""A real PySpark client whose plans are kept, and a stager that notes what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans import (
    PlanContext,
    RewrittenPlan,
    StagedPlan,
    rewrite,
)
from headwater.model.identifiers import SnapshotRef
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.statement import Dialect, Session
from headwater.query.needs import EVERYTHING, Columns, Need
from headwater.query.staging import StagedFiles, StagedTable
from headwater.sql.statements import Name
from unit.gateway.spark_connect.frames import T, U
from unit.gateway.spark_connect.recorder import Recorder

ALICE = Session(
    Identity(Principal("1", "alice", PrincipalKind.USER)), Dialect.SPARK, schema="sample"
)
SECRET = "hr.secret"


@dataclass
class Stager:
    """Stages nothing; knows every table but one, and no location."""

    tables: list[tuple[str, SnapshotRef, str | None]] = field(default_factory=list)
    needs: dict[str, Need] = field(default_factory=dict)
    known: dict[str, Columns] = field(default_factory=dict)

    def columns(self, name: Name, at: SnapshotRef, session: Session) -> Columns:
        if str(name).endswith(SECRET):
            raise error(ErrorCode.TABLE_NOT_FOUND, f"table {name} does not exist")
        return self.known.get(str(name), (("a", "int"), ("b", "string")))

    def table(
        self, name: Name, at: SnapshotRef, session: Session, need: Need = EVERYTHING
    ) -> StagedTable:
        self.needs[str(name)] = need
        if str(name).endswith(SECRET):
            raise error(ErrorCode.TABLE_NOT_FOUND, f"table {name} does not exist")
        self.tables.append((str(name), at, session.schema))
        return StagedTable(str(name), str(name), f"/inbox/{name}", "a INT, b STRING", ("a", "b"))

    def exists(self, name: Name, session: Session) -> bool:
        return not str(name).endswith(SECRET)

    def files(
        self, paths: Sequence[str], file_format: str, options: Mapping[str, str], session: Session
    ) -> StagedFiles:
        if not all(path.startswith("/granted/") for path in paths):
            raise error(ErrorCode.PERMISSION_DENIED, "needs READ FILES on the location")
        return StagedFiles("k", tuple(f"/inbox{path}" for path in paths), file_format, options)


class Client:
    """What a test does with plans: catches them, rewrites them, stages them."""

    def __init__(self, recorder: Recorder, spark: Any) -> None:
        self.recorder = recorder
        self.spark = spark
        self.stager = Stager()
        self.context = PlanContext(ALICE, self.stager)

    def plan(self, work: Any) -> Any:
        """The plan that some client code sends."""
        return self.recorder.last(work)

    def rewrite(self, work: Any, **changes: Any) -> RewrittenPlan:
        """That plan, rewritten."""
        return rewrite(self.plan(work), replace(self.context, **changes))

    def staged(self, work: Any, **changes: Any) -> StagedPlan:
        """That plan, rewritten and staged."""
        return self.rewrite(work, **changes).staged()


@pytest.fixture(scope="session")
def _spark() -> Iterator[tuple[Recorder, Any]]:
    from pyspark.sql.connect.session import SparkSession

    recorder = Recorder()
    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{recorder.port}").create()
    yield recorder, spark
    spark.release_session_on_close = False
    spark.stop()
    recorder.stop()


@pytest.fixture
def client(_spark: tuple[Recorder, Any]) -> Client:
    """A PySpark client whose plans are kept."""
    return Client(*_spark)


@pytest.fixture
def known(client: Client) -> Client:
    """A client of the tables t and u."""
    client.stager.known = {"ns.t": T, "ns.u": U}
    return client
