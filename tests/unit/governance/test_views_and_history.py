"""Views are read with their definer's rights and the caller's restrictions; history by field id."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, UserError
from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.principal import SYSTEM
from unit.governance.conftest import EMP, Lake

VIEW = TableIdentifier(("hr",), "staff")


def make_view(lake: Lake, user: str, identifier: TableIdentifier = VIEW) -> None:
    request = {
        "name": identifier.name,
        "schema": {
            "type": "struct",
            "schema-id": 0,
            "fields": [{"id": 1, "name": "name", "type": "string", "required": False}],
        },
        "view-version": {
            "version-id": 1,
            "timestamp-ms": 1,
            "schema-id": 0,
            "summary": {},
            "representations": [{"type": "sql", "sql": "SELECT name FROM emp", "dialect": "trino"}],
            "default-namespace": ["hr"],
        },
        "properties": {},
    }
    lake.catalog.create_view(identifier, request, lake.actor(user))


@pytest.fixture
def shared(lake: Lake) -> Lake:
    """Max reads emp, made a view over it, and Ellen may read the view."""
    lake.script("GRANT SELECT ON emp TO max; GRANT CREATE VIEW ON SCHEMA hr TO max")
    make_view(lake, "max")
    lake.run("GRANT SELECT ON VIEW staff TO ellen")
    return lake


def refused(lake: Lake, code: ErrorCode) -> UserError:
    request = lake.begin("ellen")
    with pytest.raises(UserError) as caught:
        request.view(VIEW)
        request.scan(EMP, via=VIEW)
    assert caught.value.code is code
    return caught.value


def test_the_view_opens_its_tables_and_only_through_it(shared: Lake) -> None:
    request = shared.begin("ellen")
    view = request.view(VIEW)
    assert (view.definer, view.dialect, view.default_namespace) == ("max", "trino", ("hr",))
    assert request.scan(EMP, via=VIEW).row_filter is None
    with pytest.raises(UserError) as caught:
        request.scan(EMP)
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND
    with pytest.raises(UserError):
        shared.begin("ellen").scan(EMP, via=VIEW)


def test_restrictions_of_both_hold_through_the_view(shared: Lake) -> None:
    shared.script("""
        CREATE ROW FILTER a ON emp USING (region = 'EU') TO ellen;
        CREATE ROW FILTER b ON emp USING (salary < 9) TO max;
        CREATE COLUMN MASK c ON emp (ssn) USING show-last-4 TO ellen;
        DENY SELECT (hired) ON emp TO ellen
    """)
    request = shared.begin("ellen")
    request.view(VIEW)
    scan = request.scan(EMP, via=VIEW)
    assert scan.row_filter == """("region" = 'EU') AND ("salary" < 9)"""
    assert [column.name for column in scan.columns if column.mask] == ["ssn"]
    assert "hired" not in [column.name for column in scan.columns]


def test_a_deny_of_the_caller_holds_through_the_view(shared: Lake) -> None:
    shared.run("DENY SELECT ON emp TO ellen")
    refused(shared, ErrorCode.PERMISSION_DENIED)


def test_a_view_is_worth_what_its_definer_still_has(shared: Lake) -> None:
    shared.run("REVOKE SELECT ON emp FROM max")
    assert "hr.staff" in refused(shared, ErrorCode.PERMISSION_DENIED).message


def test_a_disabled_definer_closes_the_view(shared: Lake) -> None:
    shared.run("ALTER USER max DISABLE")
    refused(shared, ErrorCode.PERMISSION_DENIED)


def test_who_rewrites_a_view_becomes_its_definer(shared: Lake) -> None:
    metadata = shared.catalog.view(VIEW).metadata
    version = {**metadata["versions"][-1], "version-id": 2, "timestamp-ms": 2}
    version["representations"] = [{"type": "sql", "sql": "SELECT ssn FROM emp", "dialect": "trino"}]
    updates = [
        {"action": "add-view-version", "view-version": version},
        {"action": "set-current-view-version", "view-version-id": -1},
    ]
    shared.run("GRANT ALTER ON VIEW staff TO ellen")
    shared.catalog.replace_view(VIEW, [], updates, shared.actor("ellen"))
    request = shared.begin("ellen")
    assert request.view(VIEW).definer == "ellen"
    with pytest.raises(UserError):
        request.scan(EMP, via=VIEW)
    back = [{"action": "set-current-view-version", "view-version-id": 1}]
    shared.catalog.replace_view(VIEW, [], back, shared.actor("max"))
    assert shared.begin("ellen").view(VIEW).definer == "max"


def add_snapshot(lake: Lake, snapshot_id: int) -> None:
    metadata = lake.catalog.table(EMP).metadata
    snapshot = {
        "snapshot-id": snapshot_id,
        "sequence-number": snapshot_id,
        "timestamp-ms": metadata["last-updated-ms"] + 1,
        "manifest-list": f"{metadata['location']}/metadata/{snapshot_id}.avro",
        "summary": {"operation": "append"},
        "schema-id": metadata["current-schema-id"],
    }
    updates = [
        {"action": "add-snapshot", "snapshot": snapshot},
        {
            "action": "set-snapshot-ref",
            "ref-name": "main",
            "type": "branch",
            "snapshot-id": snapshot_id,
        },
    ]
    lake.catalog.commit(EMP, [], updates, SYSTEM)


def change_schema(lake: Lake, fields: list[dict[str, object]]) -> None:
    updates = [
        {"action": "add-schema", "schema": {"type": "struct", "fields": fields}},
        {"action": "set-current-schema", "schema-id": -1},
    ]
    lake.catalog.commit(EMP, [], updates, SYSTEM)


def test_old_snapshots_keep_today_s_policies_under_their_old_names(lake: Lake) -> None:
    add_snapshot(lake, 1)
    fields = [dict(field) for field in lake.catalog.table(EMP).metadata["schemas"][0]["fields"]]
    # region and name change places: only ids tell them apart.
    fields[3]["name"], fields[1]["name"] = "name", "region"
    change_schema(lake, [field for field in fields if field["name"] != "ssn"])
    add_snapshot(lake, 2)
    lake.script("""
        GRANT SELECT ON emp TO ellen;
        CREATE ROW FILTER eu ON emp USING (name = 'EU') TO ellen
    """)
    now = lake.begin("ellen").scan(EMP)
    assert (now.row_filter, now.snapshot_id, now.is_current) == ("""("name" = 'EU')""", 2, True)
    old = lake.begin("ellen").scan(EMP, SnapshotRef(snapshot_id=1))
    assert (old.row_filter, old.snapshot_id, old.is_current) == (
        """("region" = 'EU')""",
        1,
        False,
    )
    assert [column.name for column in old.columns][1:4] == ["name", "ssn", "region"]


def test_a_filter_column_that_did_not_exist_then_closes_the_snapshot(lake: Lake) -> None:
    add_snapshot(lake, 1)
    fields = [dict(field) for field in lake.catalog.table(EMP).metadata["schemas"][0]["fields"]]
    change_schema(lake, [*fields, {"id": 9, "name": "site", "type": "string", "required": False}])
    lake.script("""
        GRANT SELECT ON emp TO ellen; CREATE ROW FILTER s ON emp USING (site = 'A') TO ellen
    """)
    assert lake.begin("ellen").scan(EMP).row_filter == """("site" = 'A')"""
    with pytest.raises(UserError) as caught:
        lake.begin("ellen").scan(EMP, SnapshotRef(snapshot_id=1))
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
