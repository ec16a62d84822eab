"""Snapshot expiry keeps what refs need; the sweeper takes only what nobody needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from headwater.catalog.catalog import Catalog
from headwater.catalog.maintenance import expire_snapshots
from headwater.catalog.sweeper import GRACE_MS, Sweeper
from headwater.model.principal import SYSTEM
from headwater.storage.warehouse import Warehouse
from unit.catalog.files import Table, make_table


@pytest.fixture
def table(catalog: Catalog) -> Table:
    return make_table(catalog)


def grow(table: Table, count: int) -> list[int]:
    for number in range(count):
        table.append([number])
    return table.snapshot_ids


def at(table: Table, position: int) -> int:
    found: int = table.metadata["snapshots"][position]["timestamp-ms"]
    return found


def refer(table: Table, name: str, snapshot_id: int, **extra: Any) -> None:
    update = {
        "action": "set-snapshot-ref",
        "ref-name": name,
        "type": "tag",
        "snapshot-id": snapshot_id,
        **extra,
    }
    table.catalog.commit(table.identifier, [], [update], SYSTEM)


def expired(table: Table, warehouse: Warehouse, **options: Any) -> tuple[int, ...]:
    return expire_snapshots(warehouse, table.metadata, **options).snapshot_ids


def test_the_newest_snapshots_stay(table: Table, warehouse: Warehouse) -> None:
    ids = grow(table, 4)
    far = at(table, 3) + 10
    assert expired(table, warehouse, older_than_ms=far) == tuple(ids[:3])
    assert expired(table, warehouse, older_than_ms=far, retain_last=3) == tuple(ids[:1])
    assert expired(table, warehouse, older_than_ms=far, retain_last=9) == ()
    assert expired(table, warehouse, older_than_ms=0) == ()
    assert expired(table, warehouse) == ()
    assert expired(table, warehouse, now_ms=far + 6 * 24 * 3600 * 1000) == tuple(ids[:3])


def test_what_a_tag_or_branch_needs_stays(table: Table, warehouse: Warehouse) -> None:
    ids = grow(table, 4)
    refer(table, "release", ids[0])
    refer(table, "branch", ids[2], type="branch", **{"min-snapshots-to-keep": 2})
    far = at(table, 3) + 10
    assert expired(table, warehouse, older_than_ms=far) == ()
    assert expired(table, warehouse, older_than_ms=far, retain_last=1) == (ids[1],)
    assert expired(table, warehouse, now_ms=far + GRACE_MS * 9) == ()


def test_a_tag_ends_with_its_age(table: Table, warehouse: Warehouse) -> None:
    ids = grow(table, 2)
    refer(table, "soon", ids[0], **{"max-ref-age-ms": 1000})
    now = at(table, 1) + 5000
    plan = expire_snapshots(warehouse, table.metadata, older_than_ms=now, now_ms=now)
    assert plan.snapshot_ids == (ids[0],)
    table.commit(plan.commit)
    assert set(table.metadata["refs"]) == {"main"}
    assert table.snapshot_ids == [ids[1]]


def test_a_ref_made_meanwhile_stops_the_expiry(table: Table, warehouse: Warehouse) -> None:
    ids = grow(table, 2)
    refer(table, "t", ids[1])
    plan = expire_snapshots(warehouse, table.metadata, older_than_ms=at(table, 1) + 10)
    refer(table, "t", ids[0])
    with pytest.raises(Exception, match="t"):
        table.commit(plan.commit)
    assert table.snapshot_ids == ids


def test_files_go_with_their_last_snapshot(table: Table, warehouse: Warehouse) -> None:
    grow(table, 3)
    plan = expire_snapshots(warehouse, table.metadata, older_than_ms=at(table, 2) + 10)
    needed = {s["manifest-list"] for s in table.metadata["snapshots"][2:]}
    # Appends keep the old manifests and data files in use; only the old lists are free.
    assert set(plan.files) == {s["manifest-list"] for s in table.metadata["snapshots"][:2]}
    assert not set(plan.files) & needed


def test_a_sweep_takes_what_nobody_needs(
    table: Table, catalog: Catalog, warehouse: Warehouse
) -> None:
    grow(table, 2)
    location = table.metadata["location"]
    leaked = [f"{location}/data/leaked.parquet", f"{location}/metadata/.x.json.1.tmp"]
    leaked.append(f"{warehouse.root}/nobody/data/staged.parquet")
    for uri in leaked:
        warehouse.io.write_bytes(uri, b"lost")
    before = {file.uri for file in warehouse.io.list(warehouse.root)}
    sweeper = Sweeper(catalog)
    assert sweeper.sweep().orphans == ()
    dry = sweeper.sweep(grace_ms=-60_000)
    assert {file.uri for file in dry.orphans} == set(leaked)
    assert (dry.bytes, dry.deleted, dry.skipped) == (12, False, ())
    assert {file.uri for file in warehouse.io.list(warehouse.root)} == before
    assert sweeper.sweep(grace_ms=-60_000, delete=True).deleted
    assert {file.uri for file in warehouse.io.list(warehouse.root)} == before - set(leaked)
    assert sweeper.sweep(grace_ms=-60_000).orphans == ()


def test_young_files_are_left_alone(table: Table, catalog: Catalog, warehouse: Warehouse) -> None:
    uri = f"{warehouse.root}/nobody/f"
    warehouse.io.write_bytes(uri, b"lost")
    path = Path(uri.removeprefix("file://"))
    now = path.stat().st_mtime_ns // 1_000_000
    assert Sweeper(catalog).sweep(grace_ms=1000, now_ms=now + 999).orphans == ()
    assert len(Sweeper(catalog).sweep(grace_ms=1000, now_ms=now + 1001).orphans) == 1
    os.utime(path, (now / 1000 + 10**6, now / 1000 + 10**6))
    assert Sweeper(catalog).sweep(grace_ms=1000, now_ms=now + 1001).orphans == ()


def test_a_table_that_cannot_be_read_is_left_alone(
    table: Table, catalog: Catalog, warehouse: Warehouse
) -> None:
    grow(table, 1)
    location = table.metadata["location"]
    warehouse.io.write_bytes(f"{location}/data/leaked", b"lost")
    warehouse.io.delete([table.metadata["snapshots"][0]["manifest-list"]])
    report = Sweeper(catalog).sweep(grace_ms=-60_000, delete=True)
    assert report.orphans == ()
    assert [skipped for skipped, _ in report.skipped] == [location]
    assert warehouse.io.exists(f"{location}/data/leaked")


def test_purged_tables_go_and_dropped_ones_stay(catalog: Catalog, warehouse: Warehouse) -> None:
    purged, dropped = make_table(catalog, name="purged"), make_table(catalog, name="dropped")
    grow(purged, 1)
    grow(dropped, 1)
    gone, kept = purged.metadata["location"], dropped.metadata["location"]
    location = dropped.loaded.metadata_location
    catalog.drop_table(purged.identifier, True, SYSTEM)
    catalog.drop_table(dropped.identifier, False, SYSTEM)
    report = Sweeper(catalog).sweep(grace_ms=-60_000, delete=True)
    assert report.purged == (gone,)
    assert list(warehouse.io.list(gone)) == []
    assert list(warehouse.io.list(kept)) != []
    assert [found.location for found in catalog.retired()] == [kept]
    catalog.register_table(dropped.identifier, location, False, SYSTEM)
    assert Sweeper(catalog).sweep(grace_ms=-60_000).orphans == ()
