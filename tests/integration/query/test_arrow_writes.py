"""Rows of a user process become governed writes: every mode, by name and by position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Session
from headwater.query.arrow_writes import SOURCE, ArrowWrites, WriteMode, WriteTarget
from headwater.sql.statements import Name, PartitionField
from platform_fixture import Platform, running_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("writes")) as platform:
        admin = platform.session()
        for sql in (
            "CREATE USER alice",
            "CREATE SCHEMA w",
            "CREATE SCHEMA hr",
            "CREATE TABLE hr.secret (k bigint, v varchar)",
            "CREATE TABLE hr.emp (k bigint, v varchar)",
            "INSERT INTO hr.emp VALUES (1, 'EU'), (2, 'US')",
            "GRANT SELECT, INSERT, DELETE ON hr.emp TO USER alice",
            "CREATE ROW FILTER eu ON hr.emp USING (v = 'EU') TO alice",
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TABLE, ALTER, DROP ON SCHEMA w TO alice",
        ):
            platform.run(admin, sql)
        (platform.parts.spool / "uploads").mkdir(parents=True, exist_ok=True)
        yield platform


@pytest.fixture
def alice(platform: Platform) -> Session:
    return platform.session("alice", schema="w")


@pytest.fixture
def uploads(platform: Platform) -> Path:
    return platform.parts.spool / "uploads"


@pytest.fixture
def writes(platform: Platform, uploads: Path) -> Iterator[ArrowWrites]:
    yield ArrowWrites(platform.queries, platform.parts.catalog, uploads, 10**9)
    assert list(uploads.iterdir()) == [], "nothing of the rows stays"


def rows(**columns: list[object]) -> dict[str, tuple[pa.Schema, list[pa.RecordBatch]]]:
    table = pa.table(columns)
    return {SOURCE: (table.schema, table.to_batches())}


def target(mode: WriteMode, table: str, **more: object) -> WriteTarget:
    return WriteTarget(mode, table=Name(tuple(table.split("."))), **more)  # type: ignore[arg-type]


def kept(platform: Platform, session: Session, table: str) -> list[tuple[object, ...]]:
    return sorted(platform.rows(session, f"SELECT * FROM {table}"), key=repr)


def test_save_modes(platform: Platform, alice: Session, writes: ArrowWrites) -> None:
    one, two = rows(k=[1], v=["a"]), rows(v=["b"], k=[2])
    writes.write(alice, target(WriteMode.ERROR_IF_EXISTS, "t", by_name=True), one)
    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, target(WriteMode.ERROR_IF_EXISTS, "t", by_name=True), one)
    assert refused.value.code is ErrorCode.TABLE_ALREADY_EXISTS
    assert writes.write(alice, target(WriteMode.IGNORE, "t", by_name=True), two) is None
    writes.write(alice, target(WriteMode.APPEND, "t", by_name=True), two)
    assert kept(platform, alice, "t") == [(1, "a"), (2, "b")]
    writes.write(alice, target(WriteMode.OVERWRITE, "t", by_name=True), rows(z=[1.5]))
    assert kept(platform, alice, "t") == [(1.5,)]
    writes.write(alice, target(WriteMode.APPEND, "fresh", by_name=True), one)
    assert kept(platform, alice, "fresh") == [(1, "a")]


def test_insert_into_goes_by_position(
    platform: Platform, alice: Session, writes: ArrowWrites
) -> None:
    platform.run(alice, "CREATE TABLE w.p (k bigint, v varchar)")
    into = target(WriteMode.APPEND, "p", must_exist=True)
    writes.write(alice, into, rows(x=[1], y=["a"]))
    writes.write(alice, target(WriteMode.OVERWRITE, "p", must_exist=True), rows(v=[2], k=["b"]))
    assert kept(platform, alice, "w.p") == [(2, "b")]
    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, target(WriteMode.APPEND, "nowhere", must_exist=True), rows(x=[1]))
    assert refused.value.code is ErrorCode.TABLE_NOT_FOUND
    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, into, rows(x=[1]))
    assert refused.value.code is ErrorCode.TYPE_MISMATCH


def test_partitions(platform: Platform, alice: Session, writes: ArrowWrites) -> None:
    create = target(
        WriteMode.CREATE,
        "d",
        by_name=True,
        partitioning=(PartitionField("v", "identity"),),
        properties={"owner.note": "it's \\ here"},
    )
    writes.write(alice, create, rows(k=[1, 2], v=["a", "b"]))
    new = target(WriteMode.OVERWRITE_PARTITIONS, "d", by_name=True, must_exist=True)
    writes.write(alice, new, rows(k=[9], v=["a"]))
    assert kept(platform, alice, "w.d") == [(2, "b"), (9, "a")]
    some = target(
        WriteMode.OVERWRITE_WHERE, "d", by_name=True, must_exist=True, condition="`v` = 'b'"
    )
    writes.write(alice, some, rows(k=[7], v=["b"]))
    assert kept(platform, alice, "w.d") == [(7, "b"), (9, "a")]
    metadata = platform.parts.catalog.table(
        platform.parts.catalog.resolve(("w",), "d").identifier  # type: ignore[union-attr]
    ).metadata
    assert metadata["properties"]["owner.note"] == "it's \\ here"
    assert metadata["partition-specs"][0]["fields"][0]["transform"] == "identity"


def test_statements_take_several_sources(
    platform: Platform, alice: Session, writes: ArrowWrites
) -> None:
    platform.run(alice, "CREATE TABLE w.m (k bigint, v varchar)")
    platform.run(alice, "INSERT INTO w.m VALUES (1, 'old'), (2, 'old')")
    merge = WriteTarget(
        WriteMode.STATEMENT,
        statement="MERGE INTO w.m USING hw_source_0 s ON m.k = s.k "
        "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT *",
    )
    table = pa.table({"k": [2, 3], "v": ["new", "new"]})
    source = {"hw_source_0": (table.schema, table.to_batches())}
    writes.write(alice, merge, source)
    assert kept(platform, alice, "w.m") == [(1, "old"), (2, "new"), (3, "new")]


def test_grants_and_filters_hold(platform: Platform, alice: Session, writes: ArrowWrites) -> None:
    for mode in (WriteMode.APPEND, WriteMode.OVERWRITE, WriteMode.CREATE_OR_REPLACE):
        with pytest.raises(HeadwaterError) as refused:
            writes.write(alice, target(mode, "hr.secret", by_name=True), rows(k=[1], v=["x"]))
        assert refused.value.code in (ErrorCode.TABLE_NOT_FOUND, ErrorCode.PERMISSION_DENIED)
    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, target(WriteMode.CREATE, "hr.mine"), rows(k=[1]))
    assert refused.value.code in (ErrorCode.SCHEMA_NOT_FOUND, ErrorCode.PERMISSION_DENIED)
    insert = target(WriteMode.APPEND, "hr.emp", by_name=True, must_exist=True)
    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, insert, rows(k=[3], v=["US"]))
    assert refused.value.code is not ErrorCode.INTERNAL_ERROR
    writes.write(alice, insert, rows(k=[4], v=["EU"]))
    admin = platform.session()
    assert kept(platform, admin, "hr.emp") == [(1, "EU"), (2, "US"), (4, "EU")]


def test_a_source_that_breaks_leaves_nothing(
    platform: Platform, alice: Session, writes: ArrowWrites
) -> None:
    table = pa.table({"k": [1]})

    def broken() -> Iterator[pa.RecordBatch]:
        yield table.to_batches()[0]
        raise HeadwaterError(ErrorCode.ENGINE_FAILED, "the process ended")

    with pytest.raises(HeadwaterError) as refused:
        writes.write(alice, target(WriteMode.CREATE, "b"), {SOURCE: (table.schema, broken())})
    assert refused.value.code is ErrorCode.ENGINE_FAILED
    assert platform.parts.catalog.resolve(("w",), "b") is None


def test_a_name_that_came_along_hides_nothing_in_views(
    platform: Platform, alice: Session, writes: ArrowWrites
) -> None:
    admin = platform.session(schema="w")
    platform.run(admin, "CREATE TABLE w.hw_source (k bigint)")
    platform.run(admin, "CREATE VIEW w.through AS SELECT k FROM hw_source")
    platform.run(admin, "GRANT SELECT ON w.through TO USER alice")
    insert = WriteTarget(
        WriteMode.STATEMENT,
        statement="CREATE TABLE w.seen USING iceberg AS SELECT k FROM w.through",
    )
    writes.write(alice, insert, rows(k=[1]))
    assert kept(platform, alice, "w.seen") == []
