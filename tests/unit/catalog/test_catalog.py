"""The catalog on SQLite and Postgres: names, commits, conflicts, locations, receipts."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import TableChange
from headwater.catalog.receipts import Receipt
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Actor
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database

ELLEN = Actor("p1", "ellen", request_id="r1")
NAME = TableIdentifier(("sales",), "orders")


def request(**extra: Any) -> dict[str, Any]:
    fields = [
        {"id": 7, "name": "id", "type": "long", "required": True},
        {"id": 3, "name": "city", "type": "string", "required": False},
    ]
    return {"name": "orders", "schema": {"type": "struct", "fields": fields}, **extra}


def refused(code: ErrorCode) -> Any:
    return pytest.raises(HeadwaterError, check=lambda exc: exc.code is code)


@pytest.fixture
def sales(catalog: Catalog) -> Catalog:
    catalog.create_namespace(("sales",), {"owner": "ellen"}, ELLEN)
    return catalog


def set_property(key: str, value: str) -> list[dict[str, Any]]:
    return [{"action": "set-properties", "updates": {key: value}}]


# --- namespaces ---------------------------------------------------------------------------------


def test_namespaces_nest_and_keep_their_ids(catalog: Catalog) -> None:
    outer = catalog.create_namespace(("sales",), {}, ELLEN)
    inner = catalog.create_namespace(("sales", "eu"), {"k": "v"}, ELLEN)
    assert catalog.namespaces() == [outer]
    assert catalog.namespaces(("sales",)) == [inner]
    assert catalog.all_namespaces() == [outer, inner]
    assert catalog.namespace(("sales", "eu")).properties == {"k": "v"}
    changed = catalog.update_namespace(("sales", "eu"), ["k", "none"], {"a": "b"}, ELLEN)
    assert (changed.id, changed.properties) == (inner.id, {"a": "b"})


def test_a_namespace_needs_its_parent_and_a_free_name(sales: Catalog) -> None:
    with refused(ErrorCode.SCHEMA_NOT_FOUND):
        sales.create_namespace(("nowhere", "inner"), {}, ELLEN)
    with refused(ErrorCode.SCHEMA_ALREADY_EXISTS):
        sales.create_namespace(("SALES",), {}, ELLEN)
    with refused(ErrorCode.SCHEMA_NOT_FOUND):
        sales.namespace(("SALES",))
    found = sales.resolve_namespace(("SALES",))
    assert found is not None
    assert found.namespace == ("sales",)


def test_only_an_empty_namespace_is_dropped(sales: Catalog) -> None:
    sales.create_namespace(("sales", "eu"), {}, ELLEN)
    with refused(ErrorCode.SCHEMA_NOT_EMPTY):
        sales.drop_namespace(("sales",), ELLEN)
    sales.drop_namespace(("sales", "eu"), ELLEN)
    sales.create_table(NAME, request(), ELLEN)
    with refused(ErrorCode.SCHEMA_NOT_EMPTY):
        sales.drop_namespace(("sales",), ELLEN)
    sales.drop_table(NAME, True, ELLEN)
    sales.drop_namespace(("sales",), ELLEN)
    assert sales.namespaces() == []


# --- tables -------------------------------------------------------------------------------------


def test_a_created_table_is_loaded_as_its_file_says(sales: Catalog) -> None:
    created = sales.create_table(NAME, request(properties={"format-version": "3"}), ELLEN)
    loaded = sales.table(NAME)
    assert loaded == created
    assert loaded.metadata_json == sales.warehouse.io.read_bytes(loaded.metadata_location)
    assert loaded.metadata == orjson.loads(loaded.metadata_json)
    assert loaded.metadata["format-version"] == 3
    assert "format-version" not in loaded.metadata["properties"]
    assert [f["id"] for f in loaded.metadata["schemas"][0]["fields"]] == [1, 2]
    assert loaded.location == f"{sales.warehouse.root}/{loaded.metadata['table-uuid']}"
    assert [entry.identifier for entry in sales.tables(("sales",))] == [NAME]


def test_another_catalog_on_the_same_metastore_reads_the_same_bytes(
    sales: Catalog, database: Database, warehouse: Warehouse, journal: Any
) -> None:
    created = sales.create_table(NAME, request(properties={"note": "München ☕"}), ELLEN)
    assert Catalog(database, warehouse, journal).table(NAME) == created


def test_names_differ_by_more_than_case(sales: Catalog) -> None:
    sales.create_table(NAME, request(), ELLEN)
    with refused(ErrorCode.TABLE_ALREADY_EXISTS):
        sales.create_table(TableIdentifier(("sales",), "ORDERS"), request(), ELLEN)
    with refused(ErrorCode.TABLE_NOT_FOUND):
        sales.table(TableIdentifier(("sales",), "ORDERS"))
    found = sales.resolve(("SALES",), "Orders")
    assert found is not None
    assert found.identifier == NAME


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", ".", "a/b", "a\\b", "a*", "a?", "a`b", 'a"b', "a#b", "a+b", "a:b", "a<b"),
        *(" a", "a ", "a\n", "a\x1fb", "\u202ea", "x" * 256),
    ],
)
def test_names_that_could_mean_something_else_are_refused(sales: Catalog, name: str) -> None:
    with refused(ErrorCode.INVALID_ARGUMENT):
        sales.create_table(TableIdentifier(("sales",), name), request(), ELLEN)


def test_a_commit_moves_the_table_on(sales: Catalog) -> None:
    created = sales.create_table(NAME, request(), ELLEN)
    changed = sales.commit(NAME, [], set_property("a", "b"), ELLEN)
    assert changed == sales.table(NAME)
    assert (changed.uuid, changed.version) == (created.uuid, 1)
    assert changed.metadata["metadata-log"] == [
        {
            "metadata-file": created.metadata_location,
            "timestamp-ms": created.metadata["last-updated-ms"],
        }
    ]
    assert "a" not in created.metadata["properties"]


def test_a_commit_that_changes_nothing_is_no_commit(sales: Catalog, journal: Any) -> None:
    created = sales.create_table(NAME, request(properties={"a": "b"}), ELLEN)
    assert sales.commit(NAME, [], set_property("a", "b"), ELLEN) == created
    assert journal.kinds == ["create-namespace", "create-table"]


def test_a_requirement_that_fails_changes_nothing(sales: Catalog) -> None:
    created = sales.create_table(NAME, request(), ELLEN)
    wrong = [{"type": "assert-current-schema-id", "current-schema-id": 5}]
    with refused(ErrorCode.COMMIT_CONFLICT):
        sales.commit(NAME, wrong, set_property("a", "b"), ELLEN)
    assert sales.table(NAME) == created


def test_a_staged_create_ends_in_a_commit(sales: Catalog) -> None:
    staged = sales.stage_table(NAME, request())
    assert sales.entry(NAME) is None
    updates = [
        {"action": "assign-uuid", "uuid": staged.metadata["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": staged.metadata["schemas"][0]},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "set-location", "location": staged.location},
    ]
    made = sales.commit(NAME, [{"type": "assert-create"}], updates, ELLEN)
    assert made.location == staged.location
    assert made.metadata["table-uuid"] == staged.metadata["table-uuid"]
    assert made.metadata["partition-specs"] == [{"spec-id": 0, "fields": []}]
    assert made.metadata["sort-orders"] == [{"order-id": 0, "fields": []}]
    with refused(ErrorCode.COMMIT_CONFLICT):
        sales.commit(NAME, [{"type": "assert-create"}], updates, ELLEN)


def test_commits_of_several_tables_are_all_or_nothing(sales: Catalog, journal: Any) -> None:
    other = TableIdentifier(("sales",), "other")
    before = [sales.create_table(name, request(), ELLEN) for name in (NAME, other)]
    good = TableChange(NAME, [], set_property("a", "b"))
    bad = TableChange(other, [{"type": "assert-table-uuid", "uuid": "no"}], set_property("a", "b"))
    with refused(ErrorCode.COMMIT_CONFLICT):
        sales.commit_all([good, bad], ELLEN)
    assert [sales.table(name) for name in (NAME, other)] == before
    sales.commit_all([good, TableChange(other, [], set_property("c", "d"))], ELLEN)
    assert [sales.table(name).version for name in (NAME, other)] == [1, 1]
    assert journal.kinds[-2:] == ["update-table", "update-table"]


def test_a_journal_that_fails_undoes_the_commit_and_its_file(sales: Catalog, journal: Any) -> None:
    created = sales.create_table(NAME, request(), ELLEN)
    journal.failure = error(ErrorCode.INTERNAL_ERROR, "no")
    with refused(ErrorCode.INTERNAL_ERROR):
        sales.commit(NAME, [], set_property("a", "b"), ELLEN)
    journal.failure = None
    assert sales.table(NAME) == created
    files = [info.uri for info in sales.warehouse.io.list(created.location)]
    assert files == [created.metadata_location]
    assert [event.kind.value for event in sales.events()] == ["create-namespace", "create-table"]


def test_concurrent_commits_are_each_there_once(sales: Catalog) -> None:
    sales.create_table(NAME, request(), ELLEN)

    def work(worker: int) -> None:
        for number in range(5):
            sales.commit(NAME, [], set_property(f"{worker}-{number}", "x"), ELLEN)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = sales.table(NAME)
    assert loaded.version == 20
    assert len(loaded.metadata["properties"]) == 20


def test_a_commit_overtaken_by_another_process_is_planned_again(
    sales: Catalog, database: Database, warehouse: Warehouse, journal: Any
) -> None:
    sales.create_table(NAME, request(), ELLEN)
    other = Catalog(database, warehouse, journal)
    overtaken = []

    class Overtaking:
        """Lets the other process commit between the plan and the transaction, once."""

        def __getattr__(self, name: str) -> Any:
            return getattr(warehouse.io, name)

        def write_bytes(self, uri: str, data: bytes) -> None:
            warehouse.io.write_bytes(uri, data)
            if not overtaken:
                overtaken.append(uri)
                other.commit(NAME, [], set_property("theirs", "1"), ELLEN)

    slow = Catalog(database, Warehouse(warehouse.root, Overtaking()), journal)
    assert slow.commit(NAME, [], set_property("ours", "1"), ELLEN).metadata["properties"] == {
        "theirs": "1",
        "ours": "1",
    }
    assert not warehouse.io.exists(overtaken[0])


# --- dropping, renaming, registering ------------------------------------------------------------


def test_a_renamed_table_keeps_its_uuid(sales: Catalog) -> None:
    created = sales.create_table(NAME, request(), ELLEN)
    sales.create_namespace(("eu",), {}, ELLEN)
    target = TableIdentifier(("eu",), "bookings")
    sales.rename_table(NAME, target, ELLEN)
    assert sales.entry(NAME) is None
    assert sales.table(target).uuid == created.uuid
    with refused(ErrorCode.TABLE_NOT_FOUND):
        sales.rename_table(NAME, target, ELLEN)
    with refused(ErrorCode.SCHEMA_NOT_FOUND):
        sales.rename_table(target, TableIdentifier(("nowhere",), "x"), ELLEN)
    sales.rename_table(target, TableIdentifier(("eu",), "BOOKINGS"), ELLEN)


def test_a_recreated_table_is_another_one(sales: Catalog) -> None:
    first = sales.create_table(NAME, request(), ELLEN)
    sales.drop_table(NAME, False, ELLEN)
    with refused(ErrorCode.TABLE_NOT_FOUND):
        sales.table(NAME)
    second = sales.create_table(NAME, request(), ELLEN)
    assert second.uuid != first.uuid
    assert [retired.location for retired in sales.retired()] == [first.location]


def test_a_dropped_table_is_registered_again_under_a_new_uuid(sales: Catalog) -> None:
    first = sales.create_table(NAME, request(), ELLEN)
    with refused(ErrorCode.TABLE_ALREADY_EXISTS):
        sales.register_table(NAME, first.metadata_location, False, ELLEN)
    with refused(ErrorCode.INVALID_LOCATION):
        sales.register_table(
            TableIdentifier(("sales",), "copy"), first.metadata_location, False, ELLEN
        )
    sales.drop_table(NAME, False, ELLEN)
    back = sales.register_table(NAME, first.metadata_location, False, ELLEN)
    assert back.metadata_json == first.metadata_json
    assert back.uuid != first.uuid
    assert sales.retired() == []


def test_register_overwrites_only_the_same_table(sales: Catalog) -> None:
    first = sales.create_table(NAME, request(), ELLEN)
    changed = sales.commit(NAME, [], set_property("a", "b"), ELLEN)
    back = sales.register_table(NAME, first.metadata_location, True, ELLEN)
    assert (back.metadata, back.uuid, back.version) == (first.metadata, changed.uuid, 2)
    other = sales.create_table(TableIdentifier(("sales",), "other"), request(), ELLEN)
    with refused(ErrorCode.INVALID_METADATA):
        sales.register_table(NAME, other.metadata_location, True, ELLEN)


# --- locations ----------------------------------------------------------------------------------


def test_a_location_is_inside_the_warehouse_and_in_no_other_table(sales: Catalog) -> None:
    root = sales.warehouse.root
    first = sales.create_table(NAME, request(), ELLEN)
    other = TableIdentifier(("sales",), "other")
    for location in (
        f"{first.location}/inner",
        first.location,
        root,
        f"{root}/../x",
        f"{root}/%2e%2e/x",
        "file:///etc",
        "s3://other/x",
        f"{root}/a*b",
    ):
        for attempt in (sales.stage_table, lambda n, r: sales.create_table(n, r, ELLEN)):
            with refused(ErrorCode.INVALID_LOCATION):
                attempt(other, request(location=location))
    for key in ("write.data.path", "write.metadata.path"):
        with refused(ErrorCode.INVALID_LOCATION):
            sales.commit(NAME, [], set_property(key, f"{root}/elsewhere"), ELLEN)
    with refused(ErrorCode.INVALID_LOCATION):
        update = [{"action": "set-location", "location": f"{root}/elsewhere"}]
        sales.commit(NAME, [], update, ELLEN)
    inside = sales.create_table(other, request(location="relative/path"), ELLEN)
    assert inside.location.startswith(root + "/")
    third = TableIdentifier(("sales",), "third")
    assert sales.create_table(third, request(location=f"{root}/mine"), ELLEN).location == (
        f"{root}/mine"
    )


def test_a_dropped_tables_files_cannot_be_taken_over(sales: Catalog) -> None:
    first = sales.create_table(NAME, request(), ELLEN)
    sales.drop_table(NAME, False, ELLEN)
    with refused(ErrorCode.INVALID_LOCATION):
        sales.create_table(NAME, request(location=first.location), ELLEN)


def test_a_snapshot_of_another_tables_manifests_is_refused(sales: Catalog) -> None:
    first = sales.create_table(NAME, request(), ELLEN)
    thief = TableIdentifier(("sales",), "thief")
    sales.create_table(thief, request(), ELLEN)
    snapshot = {
        "snapshot-id": 1,
        "sequence-number": 1,
        "timestamp-ms": 4102444800000,
        "manifest-list": f"{first.location}/metadata/snap-1.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    with refused(ErrorCode.INVALID_LOCATION):
        sales.commit(thief, [], [{"action": "add-snapshot", "snapshot": snapshot}], ELLEN)


# --- views --------------------------------------------------------------------------------------


def view_request(sql: str) -> dict[str, Any]:
    return {
        "schema": request()["schema"],
        "view-version": {
            "version-id": 1,
            "schema-id": 0,
            "timestamp-ms": 1,
            "summary": {},
            "default-namespace": ["sales"],
            "representations": [{"type": "sql", "sql": sql, "dialect": "trino"}],
        },
        "properties": {"comment": "c"},
    }


def test_views_share_names_with_tables_and_have_versions(sales: Catalog) -> None:
    name = TableIdentifier(("sales",), "big")
    created = sales.create_view(name, view_request("SELECT 1"), ELLEN)
    assert created == sales.view(name)
    assert created.current["representations"][0]["sql"] == "SELECT 1"
    with refused(ErrorCode.TABLE_ALREADY_EXISTS):
        sales.create_table(name, request(), ELLEN)
    with refused(ErrorCode.TABLE_NOT_FOUND):
        sales.table(name)
    version = view_request("SELECT 2")["view-version"]
    updates = [
        {"action": "add-view-version", "view-version": version},
        {"action": "set-current-view-version", "view-version-id": -1},
    ]
    required = [{"type": "assert-view-uuid", "uuid": created.metadata["view-uuid"]}]
    replaced = sales.replace_view(name, required, updates, ELLEN)
    assert replaced.uuid == created.uuid
    assert replaced.current["representations"][0]["sql"] == "SELECT 2"
    assert [entry.identifier for entry in sales.views(("sales",))] == [name]
    assert sales.tables(("sales",)) == []
    sales.rename_view(name, TableIdentifier(("sales",), "small"), ELLEN)
    sales.drop_view(TableIdentifier(("sales",), "small"), ELLEN)
    assert sales.views(("sales",)) == []


# --- events and receipts ------------------------------------------------------------------------


def test_every_change_is_an_event_for_its_actor(sales: Catalog, journal: Any) -> None:
    sales.create_table(NAME, request(), ELLEN)
    sales.commit(NAME, [], set_property("a", "b"), ELLEN)
    sales.drop_table(NAME, True, ELLEN)
    events = sales.events()
    assert [event.kind.value for event in events] == journal.kinds
    assert [event for _, event in journal.heard] == events
    assert {event.principal_id for event in events} == {"p1"}
    assert sales.events(events[1].sequence) == events[2:]
    assert events[-1].details["purge"] is True


def test_a_receipt_is_kept_with_its_change_only(sales: Catalog) -> None:
    sales.create_table(NAME, request(), ELLEN)
    receipt = Receipt("p1", "key-1", "hash")
    changed = sales.commit(NAME, [], set_property("a", "b"), ELLEN, receipt)
    outcome = sales.outcome("p1", "key-1")
    assert outcome is not None
    assert (outcome.request_hash, outcome.metadata_location) == (
        "hash",
        changed.metadata_location,
    )
    assert sales.outcome("p2", "key-1") is None
    with refused(ErrorCode.COMMIT_CONFLICT):
        sales.commit(NAME, [], set_property("a", "c"), ELLEN, receipt)
    assert sales.table(NAME) == changed
