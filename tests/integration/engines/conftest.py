"""A real engine: worker processes over a warehouse of plain Parquet files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.engines.engine import GovernedPlan
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.scan import Decision, EnforcementLevel, GovernedScan
from headwater.settings import EngineSettings, LimitSettings, Settings
from headwater.storage.credentials import EngineStorage

ALICE = Identity(Principal("1", "alice", PrincipalKind.USER))
RESTRICTED = GovernedScan(
    TableIdentifier(("hr",), "emp"), "uuid", "/nowhere", 1, (), "region = 'EU'",
    EnforcementLevel.SQL, Decision("d", True),
)  # fmt: skip
_numbers = itertools.count(1)
MIB = 1024**2


def plan(sql: str, *, governed: bool = False, **options: Any) -> GovernedPlan:
    """A plan of its own id; `governed` makes it one with a filtered scan."""
    scans = (RESTRICTED,) if governed else ()
    options.setdefault("statement_id", f"s{next(_numbers)}")
    return GovernedPlan(identity=ALICE, sql=sql, scans=scans, **options)


def table(engine: DuckDBEngine, sql: str, **options: Any) -> pa.Table:
    """Runs a plan to its end."""
    result = engine.execute(plan(sql, **options))
    return pa.Table.from_batches(list(result), result.schema)


def rows(engine: DuckDBEngine, sql: str, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of a plan as tuples."""
    found = table(engine, sql, **options)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@contextmanager
def running_engine(home: Path, **settings: Any) -> Iterator[DuckDBEngine]:
    """An engine with a home of its own; `workers`, `memory_bytes`, `spill_bytes`."""
    (home / "warehouse").mkdir(parents=True, exist_ok=True)
    (home / "spool" / "uploads").mkdir(parents=True, exist_ok=True)
    engine = DuckDBEngine(
        Settings(
            home=home,
            engine=EngineSettings(
                workers=settings.get("workers", 1),
                spill_bytes=settings.get("spill_bytes", 1024 * MIB),
            ),
            limits=LimitSettings(memory_bytes=settings.get("memory_bytes", 500 * MIB)),
        ),
        EngineStorage(kind="local", root=str(home / "warehouse")),
        "http://127.0.0.1:9/iceberg",
        lambda worker: f"token of {worker}",
        home / "spool",
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    """An engine of two workers for tests that leave it as it was."""
    with running_engine(tmp_path_factory.mktemp("engine"), workers=2) as running:
        yield running


@pytest.fixture
def make_engine(tmp_path: Path) -> Callable[..., AbstractContextManager[DuckDBEngine]]:
    """Starts an engine of the test's own."""
    return lambda **settings: running_engine(tmp_path, **settings)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory, engine: DuckDBEngine) -> str:
    """A Parquet file of a million rows in the engine's warehouse: id, text."""
    path = Path(engine._storage.root) / "numbers.parquet"
    ids = pa.array(range(1_000_000), pa.int64())
    parquet.write_table(pa.table({"id": ids, "text": ids.cast(pa.string())}), path)
    return str(path)
