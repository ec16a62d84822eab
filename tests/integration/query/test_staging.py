"""Staging: what one caller may read, as Parquet that a user process reads; nothing else."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.identifiers import CURRENT, SnapshotRef
from headwater.model.statement import Session
from headwater.query.needs import Comparison, Need, narrowed
from headwater.query.staging import ProcessStager, StagedTable, Staging
from headwater.sql.statements import Name
from platform_fixture import Platform, running_platform

DELETED = """
    INSERT INTO hr.deleted SELECT i, uuid(), TIME '12:34:56' FROM UNNEST(sequence(1, 9)) s(i)
"""


@dataclass
class Process:
    """A user process, as far as staging sees one."""

    inbox: Path
    generation: str
    inbox_inside: str = "/inbox"
    outbox_inside: str = "/outbox"
    alive: bool = True
    confines: bool = True

    @property
    def outbox(self) -> Path:
        return self.inbox.parent / "outbox"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("staging")) as platform:
        admin = platform.session()
        for sql in (
            "CREATE USER alice",
            "CREATE SCHEMA hr",
            "CREATE TABLE hr.open (id bigint, name varchar, price decimal(9,2), at timestamp(6))",
            "INSERT INTO hr.open VALUES (1, 'a', 1.50, NULL), (2, 'b', 2.50, NULL)",
            "GRANT SELECT ON hr.open TO USER alice",
            "CREATE TABLE hr.emp (id bigint, name varchar, ssn varchar, region varchar, pay int)",
            "INSERT INTO hr.emp VALUES (1, 'ann', '111-22-3333', 'EU', 10)",
            "INSERT INTO hr.emp VALUES (2, 'bob', '444-55-6666', 'US', 20)",
            "GRANT SELECT (id, name, ssn, region) ON hr.emp TO USER alice",
            "CREATE ROW FILTER eu ON hr.emp USING (region = 'EU') TO alice",
            "CREATE COLUMN MASK no_ssn ON hr.emp (ssn) USING show-last-4 TO alice",
            "CREATE TABLE hr.secret (x bigint)",
            "CREATE TABLE hr.moving AS SELECT * FROM hr.open",
            "GRANT SELECT ON hr.moving TO USER alice",
            "CREATE TABLE hr.deleted (id bigint, u uuid, t time(6))",
            DELETED,
            "DELETE FROM hr.deleted WHERE id = 3",
            "GRANT SELECT ON hr.deleted TO USER alice",
            "CREATE VIEW hr.cheap AS SELECT name FROM hr.open WHERE price < 2",
            "GRANT SELECT ON hr.cheap TO USER alice",
            "CREATE TABLE hr.empty (id bigint, tags array(varchar))",
            "GRANT SELECT ON hr.empty TO USER alice",
        ):
            platform.run(admin, sql)
        yield platform


@pytest.fixture
def process(tmp_path: Path) -> Process:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return Process(inbox, str(tmp_path))


@dataclass
class Alice:
    """Stages as alice."""

    session: Session
    stager: ProcessStager
    process: Process

    def table(self, name: str, at: SnapshotRef = CURRENT) -> StagedTable:
        return self.stager.table(Name(tuple(name.split("."))), at, self.session)

    def read(self, staged: StagedTable) -> pa.Table:
        folder = self.process.inbox / Path(staged.path).name
        assert sorted(staged.path.split("/")) == sorted(["", "inbox", folder.name])
        for file in [folder, *folder.iterdir()]:
            assert file.stat().st_mode & 0o004, "the sandbox's own user reads it"
        return pa.concat_tables(pq.read_table(file) for file in sorted(folder.iterdir()))


@pytest.fixture
def staging(platform: Platform) -> Staging:
    return Staging(platform.parts)


@pytest.fixture
def alice(platform: Platform, staging: Staging, process: Process) -> Alice:
    return Alice(platform.session("alice", schema="hr"), staging.stager(process), process)


def test_an_open_table_is_linked(alice: Alice, platform: Platform) -> None:
    staged = alice.table("hr.open")
    assert staged.linked
    assert not staged.restricted
    assert alice.read(staged).sort_by("id")["name"].to_pylist() == ["a", "b"]
    assert staged.schema == (
        "`id` BIGINT, `name` STRING, `price` DECIMAL(9, 2), `at` TIMESTAMP_NTZ"
    )
    (folder,) = alice.process.inbox.iterdir()
    assert all(file.stat().st_nlink == 2 for file in folder.iterdir())
    assert alice.table("open") == replace(staged, name="hr.open"), "found again, not linked again"


def test_a_process_that_could_write_gets_copies(alice: Alice) -> None:
    alice.process.confines = False
    staged = alice.table("hr.open")
    assert not staged.linked
    assert alice.read(staged).num_rows == 2


def test_a_restricted_table_is_what_the_policies_leave(alice: Alice) -> None:
    staged = alice.table("hr.emp")
    assert staged.restricted
    assert staged.columns == ("id", "name", "ssn", "region")
    assert alice.read(staged).to_pylist() == [
        {"id": 1, "name": "ann", "ssn": "*******3333", "region": "EU"}
    ]
    assert "pay" not in staged.schema


def test_what_does_not_exist_for_the_caller(alice: Alice) -> None:
    for name in ("hr.secret", "hr.nothing", "nowhere.t"):
        with pytest.raises(HeadwaterError) as refused:
            alice.table(name)
        assert refused.value.code is ErrorCode.TABLE_NOT_FOUND
        assert not alice.stager.exists(Name(tuple(name.split("."))), alice.session)
    assert list(alice.process.inbox.iterdir()) == []
    assert alice.stager.exists(Name(("hr", "open")), alice.session)


def test_deletes_are_applied_and_odd_types_are_text(alice: Alice) -> None:
    staged = alice.table("hr.deleted")
    assert not staged.linked
    rows = alice.read(staged).to_pylist()
    assert sorted(row["id"] for row in rows) == [1, 2, 4, 5, 6, 7, 8, 9]
    assert staged.schema == "`id` BIGINT, `u` STRING, `t` STRING"
    assert {row["t"] for row in rows} == {"12:34:56.000000"}


def test_views_metadata_and_time_travel(alice: Alice, platform: Platform) -> None:
    assert alice.read(alice.table("hr.cheap")).to_pylist() == [{"name": "a"}]
    snapshots = alice.read(alice.table("hr.moving.snapshots"))
    (snapshot,) = snapshots["snapshot_id"].to_pylist()
    platform.run(platform.session(), "INSERT INTO hr.moving VALUES (3, 'c', 9, NULL)")
    assert alice.read(alice.table("hr.moving")).num_rows == 3
    old = alice.table("hr.moving", SnapshotRef(snapshot_id=snapshot))
    assert alice.read(old).num_rows == 2


def test_an_empty_table(alice: Alice) -> None:
    staged = alice.table("hr.empty")
    assert staged.schema == "`id` BIGINT, `tags` ARRAY<STRING>"
    assert alice.read(staged).num_rows == 0


def test_every_use_is_decided_and_audited(
    alice: Alice, platform: Platform, staging: Staging
) -> None:
    def audited() -> int:
        rows = platform.rows(
            platform.session(),
            "SELECT count(*) FROM system.audit.events WHERE principal = 'alice' "
            "AND securable = 'table hr.emp' AND outcome = 'allow'",
        )
        return int(str(rows[0][0]))

    before = audited()
    alice.table("hr.emp")
    alice.table("hr.emp")
    assert audited() == before + 2
    admin = platform.session()
    platform.run(admin, "REVOKE SELECT (ssn) ON hr.emp FROM USER alice")
    again = Alice(alice.session, staging.stager(alice.process), alice.process)
    assert again.table("hr.emp").columns == ("id", "name", "region")
    platform.run(admin, "GRANT SELECT (ssn) ON hr.emp TO USER alice")


def test_many_at_once_stage_once(alice: Alice, staging: Staging) -> None:
    found: list[StagedTable] = []

    def work() -> None:
        mine = Alice(alice.session, staging.stager(alice.process), alice.process)
        found.append(mine.table("hr.emp"))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({staged.path for staged in found}) == 1
    assert len(list(alice.process.inbox.iterdir())) == 1


def test_no_room(alice: Alice, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.query.staging._ROW_GROUP", 1)
    staging.most_bytes = 0
    with pytest.raises(HeadwaterError) as refused:
        alice.table("hr.emp")
    assert refused.value.code is ErrorCode.EXCEEDED_RESULT_SIZE
    assert list(alice.process.inbox.iterdir()) == []


def test_what_no_plan_reads_goes_when_there_is_no_room(alice: Alice, staging: Staging) -> None:
    alice.table("hr.emp")
    staging.most_bytes = 2000
    other = Alice(alice.session, staging.stager(alice.process), alice.process)
    other.table("hr.cheap")
    assert len(list(alice.process.inbox.iterdir())) == 2, "both are in use"
    del alice.stager
    gc.collect()
    other.table("hr.deleted")
    assert len(list(alice.process.inbox.iterdir())) == 2


def test_a_full_disk(alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "ParquetWriter", full)
    with pytest.raises(HeadwaterError) as refused:
        alice.table("hr.emp")
    assert refused.value.code is ErrorCode.DISK_FULL
    assert list(alice.process.inbox.iterdir()) == []


def test_a_link_is_never_made_to_a_file_outside_the_table(
    alice: Alice, platform: Platform, tmp_path: Path
) -> None:
    from headwater.query.linking import linkable_files

    request = platform.parts.access.begin(alice.session.identity, request_id="x")
    catalog = platform.parts.catalog
    entry = catalog.resolve(("hr",), "open")
    assert entry is not None
    scan = request.scan(entry.identifier)
    metadata = dict(catalog.table(entry.identifier).metadata)
    io, root = catalog.warehouse.io, catalog.warehouse.root
    assert linkable_files(scan, metadata, io, root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert linkable_files(scan, {**metadata, "location": f"file://{elsewhere}"}, io, root) is None
    assert linkable_files(scan, metadata, io, f"file://{elsewhere}") is None
    assert linkable_files(scan, {**metadata, "schemas": metadata["schemas"] * 2}, io, root) is None
    files = linkable_files(scan, metadata, io, root) or []
    os.chmod(files[0], 0o600)
    assert linkable_files(scan, metadata, io, root) is None
    os.chmod(files[0], 0o644)


# --- what a plan needs, and no more ---------------------------------------------------------------


def needed(alice: Alice, name: str, columns: set[str] | None, *where: Comparison) -> StagedTable:
    """Stages these columns of the rows that a filter leaves."""
    parts = Name(tuple(name.split(".")))
    seen = alice.stager.columns(parts, CURRENT, alice.session)
    need = narrowed(seen, None if columns is None else frozenset(columns), where)
    return alice.stager.table(parts, CURRENT, alice.session, need)


def test_columns_are_those_that_the_caller_sees(alice: Alice) -> None:
    name = Name(("hr", "emp"))
    found = alice.stager.columns(name, CURRENT, alice.session)
    assert found == (
        ("id", "long"),
        ("name", "string"),
        ("ssn", "string"),
        ("region", "string"),
    )
    assert list(alice.process.inbox.iterdir()) == []
    with pytest.raises(HeadwaterError) as refused:
        alice.stager.columns(Name(("hr", "secret")), CURRENT, alice.session)
    assert refused.value.code is ErrorCode.TABLE_NOT_FOUND


def test_only_the_columns_that_are_needed_are_staged(alice: Alice) -> None:
    assert needed(alice, "hr.emp", set()).columns == ("id",), "rows are counted by a cheap one"
    staged = needed(alice, "hr.emp", {"ssn", "id"})
    assert staged.columns == ("id", "ssn")
    assert staged.schema == "`id` BIGINT, `ssn` STRING"
    assert alice.read(staged).to_pylist() == [{"id": 1, "ssn": "*******3333"}]
    assert staged.restricted


def test_a_filter_sees_what_the_caller_sees(alice: Alice) -> None:
    """Stored values and hidden rows lie below the barrier; the filter lies above."""
    for column, value, rows in (
        ("ssn", "*******3333", 1),
        ("ssn", "111-22-3333", 0),
        ("ssn", "*******6666", 0),
        ("region", "EU", 1),
        ("region", "US", 0),
    ):
        staged = needed(alice, "hr.emp", {"id", column}, Comparison(column, "=", (value,)))
        assert alice.read(staged).num_rows == rows, (column, value)
    hidden = (("id", "long"), ("pay", "int"))
    need = narrowed(hidden, frozenset({"pay"}), (Comparison("pay", "=", (20,)),))
    staged = alice.stager.table(Name(("hr", "emp")), CURRENT, alice.session, need)
    assert staged.columns == ("id", "name", "ssn", "region"), "not the columns that it was made for"


def test_every_comparison_means_the_same_here(alice: Alice, platform: Platform) -> None:
    admin = platform.session()
    platform.run(
        admin,
        "CREATE TABLE hr.kinds (i int, l bigint, d date, p decimal(9,2), s varchar, b boolean)",
    )
    platform.run(
        admin,
        "INSERT INTO hr.kinds VALUES (-1, 4294967296, DATE '1969-12-31', -0.05, 'a''b', true), "
        "(2, 5, DATE '2026-01-31', 12.50, '', false), (NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    platform.run(admin, "GRANT SELECT ON hr.kinds TO USER alice")
    alice.process.confines = False
    for comparison, rows in (
        (Comparison("i", "=", (-1,)), {-1}),
        (Comparison("i", "<", (2**40,)), {-1, 2}),
        (Comparison("l", ">=", (2**32,)), {-1}),
        (Comparison("d", "<=", (date(1969, 12, 31),)), {-1}),
        (Comparison("d", "in", (date(2026, 1, 31), date(2000, 1, 1))), {2}),
        (Comparison("p", "=", (Decimal("-0.05"),)), {-1}),
        (Comparison("p", ">", (Decimal("12.49"),)), {2}),
        (Comparison("s", "=", ("a'b",)), {-1}),
        (Comparison("s", "in", ("", "x")), {2}),
        (Comparison("b", "=", (True,)), {-1}),
        (Comparison("b", "is null"), {None}),
        (Comparison("s", "is not null"), {-1, 2}),
    ):
        found = alice.read(needed(alice, "hr.kinds", {"i"}, comparison))
        assert set(found["i"].to_pylist()) == rows, comparison


def test_what_is_there_already_is_not_staged_again(alice: Alice) -> None:
    region = Comparison("region", "=", ("EU",))
    narrow = needed(alice, "hr.emp", {"id", "name"}, region)
    assert needed(alice, "hr.emp", {"name"}, region, Comparison("id", "=", (1,))) == narrow
    assert needed(alice, "hr.emp", {"name"}) != narrow, "that has rows which are not there"
    assert needed(alice, "hr.emp", {"ssn"}, region) != narrow
    whole = alice.table("hr.emp")
    assert whole.columns == ("id", "name", "ssn", "region")
    assert len(list(alice.process.inbox.iterdir())) == 4
    assert needed(alice, "hr.emp", {"ssn", "region"}) == whole


def test_another_decision_is_another_content(
    alice: Alice, platform: Platform, staging: Staging
) -> None:
    whole = alice.table("hr.emp")
    admin = platform.session()
    platform.run(
        admin, "CREATE COLUMN MASK no_name ON hr.emp (name) USING replace-with-null TO alice"
    )
    again = Alice(alice.session, staging.stager(alice.process), alice.process)
    staged = needed(again, "hr.emp", {"name"})
    platform.run(admin, "DROP COLUMN MASK no_name ON hr.emp")
    assert staged.path != whole.path
    assert again.read(staged).to_pylist() == [{"name": None}]


def test_columns_without_rows(alice: Alice) -> None:
    name = Name(("hr", "emp"))
    rowless = alice.stager.table(name, CURRENT, alice.session, Need(rows=False))
    assert alice.read(rowless).num_rows == 0
    assert rowless.schema == alice.table("hr.emp").schema
    deleted = Name(("hr", "deleted"))
    rowless = alice.stager.table(deleted, CURRENT, alice.session, Need(rows=False))
    assert rowless.schema == alice.table("hr.deleted").schema
    assert alice.read(rowless).num_rows == 0
    view = alice.stager.table(Name(("hr", "cheap")), CURRENT, alice.session, Need(rows=False))
    assert (view.schema, alice.read(view).num_rows) == ("`name` STRING", 0)


def test_views_and_metadata_tables_are_narrowed_too(alice: Alice, platform: Platform) -> None:
    admin = platform.session()
    platform.run(admin, "CREATE VIEW hr.both AS SELECT id, name, price FROM hr.open")
    platform.run(admin, "GRANT SELECT ON hr.both TO USER alice")
    staged = needed(alice, "hr.both", {"name"}, Comparison("id", "=", (2,)))
    assert alice.read(staged).to_pylist() == [{"name": "b"}]
    snapshots = needed(alice, "hr.moving.snapshots", {"operation"})
    assert snapshots.columns == ("operation",)


def test_a_narrow_use_is_audited_as_what_it_is(alice: Alice, platform: Platform) -> None:
    def audited() -> int:
        rows = platform.rows(
            platform.session(),
            "SELECT count(*) FROM system.audit.events WHERE principal = 'alice' "
            "AND securable = 'table hr.emp' AND outcome = 'allow'",
        )
        return int(str(rows[0][0]))

    before = audited()
    needed(alice, "hr.emp", {"id"})
    needed(alice, "hr.emp", {"id"})
    assert audited() == before + 2, "looking at columns is none of its own"
