"""Row filters and column masks: who may make them, what they may say, and what they survive."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, UserError
from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.principal import SYSTEM
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import EnforcementLevel, MaskAction, WriteOperation
from unit.governance.conftest import EMP, Lake, create_table


def fails(lake: Lake, text: str, code: ErrorCode, user: str = "admin") -> UserError:
    with pytest.raises(UserError) as caught:
        lake.run(text, user)
    assert caught.value.code is code, caught.value
    return caught.value


def alter(lake: Lake, *changes: dict[str, object]) -> None:
    """A new current schema of hr.emp with these fields."""
    schema = {"type": "struct", "fields": list(changes)}
    updates = [
        {"action": "add-schema", "schema": schema},
        {"action": "set-current-schema", "schema-id": -1},
    ]
    lake.catalog.commit(EMP, [], updates, SYSTEM)


def fields(lake: Lake) -> list[dict[str, object]]:
    metadata = lake.catalog.table(EMP).metadata
    return [dict(f) for f in metadata["schemas"][-1]["fields"]]


@pytest.fixture
def governed(lake: Lake) -> Lake:
    lake.script("""
        GRANT SELECT, INSERT, UPDATE, DELETE, ALTER, DROP ON emp TO ROLE analyst;
        GRANT analyst TO ellen;
        CREATE ROW FILTER eu ON emp USING (region = 'EU') TO ROLE analyst;
        CREATE COLUMN MASK ssn ON emp (ssn) USING show-last-4 TO ROLE analyst
    """)
    return lake


@pytest.mark.parametrize(
    ("predicate", "code"),
    [
        ("nosuch = 1", ErrorCode.COLUMN_NOT_FOUND),
        ("region", ErrorCode.TYPE_MISMATCH),
        ("region = 1", ErrorCode.TYPE_MISMATCH),
        ("salary + region > 1", ErrorCode.TYPE_MISMATCH),
        ("emp.region = 'EU'", ErrorCode.NOT_SUPPORTED),
        ("region IN (SELECT name FROM secret)", ErrorCode.NOT_SUPPORTED),
        ("EXISTS (SELECT 1)", ErrorCode.NOT_SUPPORTED),
        ("random() < 0.5", ErrorCode.NOT_SUPPORTED),
        ("now() > hired", ErrorCode.NOT_SUPPORTED),
        ("count(*) > 1", ErrorCode.NOT_SUPPORTED),
        ("read_text('/etc/passwd') = region", ErrorCode.NOT_SUPPORTED),
        ("CAST(ssn AS INTEGER) = 1", ErrorCode.NOT_SUPPORTED),
        ("regexp_like(region, name)", ErrorCode.NOT_SUPPORTED),
        ("regexp_like(region, '(')", ErrorCode.NOT_SUPPORTED),
        ("row_number() OVER () = 1", ErrorCode.NOT_SUPPORTED),
    ],
)
def test_predicates_that_are_refused(lake: Lake, predicate: str, code: ErrorCode) -> None:
    failure = fails(lake, f"CREATE ROW FILTER f ON emp USING ({predicate}) TO ellen", code)
    assert "f" in failure.message


@pytest.mark.parametrize(
    ("predicate", "compiled"),
    [
        ("region = 'EU' OR salary >= 10.5", """("region" = 'EU' OR "salary" >= 10.5)"""),
        ("lower(name) LIKE 'a%'", """(LOWER("name") LIKE 'a%')"""),
        ("name = current_user", """("name" = 'ellen')"""),
        ("has_role('analyst') AND NOT has_role('x')", "(TRUE AND NOT FALSE)"),
        ("hired >= DATE '2020-01-01'", """("hired" >= CAST('2020-01-01' AS DATE))"""),
        ("TRY_CAST(ssn AS INTEGER) IN (1, 2)", """(TRY_CAST("ssn" AS INT) IN (1, 2))"""),
        ("region IS NULL", """("region" IS NULL)"""),
        ("region = 'it''s'", """("region" = 'it''s')"""),
    ],
)
def test_predicates_compile_to_literals(lake: Lake, predicate: str, compiled: str) -> None:
    lake.script("GRANT SELECT ON emp TO ellen; GRANT analyst TO ellen")
    lake.run(f"CREATE ROW FILTER f ON emp USING ({predicate}) TO ellen")
    assert lake.begin("ellen").scan(EMP).row_filter == compiled


def test_every_filter_that_binds_must_hold(lake: Lake) -> None:
    lake.script("""
        GRANT SELECT ON emp TO ellen; GRANT analyst TO ellen;
        CREATE ROW FILTER a ON emp USING (region = 'EU') TO ROLE analyst;
        CREATE ROW FILTER b ON emp USING (salary < 100) TO ellen;
        CREATE ROW FILTER c ON emp USING (id = 1) TO max
    """)
    assert lake.begin("ellen").scan(EMP).row_filter == """("region" = 'EU') AND ("salary" < 100)"""
    lake.run("CREATE OR REPLACE ROW FILTER b ON emp USING (salary < 100) TO ellen EXCEPT analyst")
    assert lake.begin("ellen").scan(EMP).row_filter == """("region" = 'EU')"""
    # Acting without the role that is spared, the filter binds again.
    lake.script("CREATE ROLE other; GRANT other TO ellen")
    assert "salary" in str(lake.begin("ellen", role="other").scan(EMP).row_filter)


@pytest.mark.parametrize(
    ("column", "action", "fits"),
    [
        ("ssn", "show-first-4", True),
        ("ssn", "sha-256-global", True),
        ("salary", "show-last-4", False),
        ("salary", "mask-to-fixed-value", True),
        ("hired", "truncate-to-year", True),
        ("ssn", "truncate-to-month", False),
        ("id", "replace-with-null", False),
        ("salary", "replace-with-null", True),
        ("salary", "(salary * 0)", True),
        ("salary", "(name)", False),
    ],
)
def test_masks_fit_their_column(lake: Lake, column: str, action: str, fits: bool) -> None:
    text = f"CREATE COLUMN MASK m ON emp ({column}) USING {action} TO ellen"
    if fits:
        lake.run(text)
    else:
        fails(lake, text, ErrorCode.TYPE_MISMATCH)


def test_the_strictest_mask_is_taken(lake: Lake) -> None:
    lake.run("GRANT SELECT ON emp TO ellen")

    def action() -> MaskAction | None:
        mask = lake.begin("ellen").scan(EMP).columns[2].mask
        return mask.action if mask else None

    lake.run("CREATE COLUMN MASK a ON emp (ssn) USING show-last-4 TO ellen")
    assert action() is MaskAction.SHOW_LAST_4
    lake.run("CREATE COLUMN MASK b ON emp (ssn) USING show-first-4 TO ellen")
    assert action() is MaskAction.MASK_ALPHANUM
    lake.run("CREATE COLUMN MASK c ON emp (ssn) USING sha-256-global TO ellen")
    assert action() is MaskAction.SHA_256_GLOBAL
    fails(
        lake, "CREATE COLUMN MASK d ON emp (ssn) USING (upper(ssn)) TO ellen",
        ErrorCode.PERMISSION_DENIED,
    )  # fmt: skip
    lake.run("CREATE COLUMN MASK e ON emp (ssn) USING replace-with-null TO ellen")
    assert action() is MaskAction.REPLACE_WITH_NULL


def test_policies_follow_renames(governed: Lake) -> None:
    changed = fields(governed)
    changed[2]["name"], changed[3]["name"] = 'pass"port', "zone"
    alter(governed, *changed)
    scan = governed.begin("ellen").scan(EMP)
    assert scan.row_filter == """("zone" = 'EU')"""
    assert scan.columns[2].name == 'pass"port'
    assert scan.columns[2].mask is not None
    moved = TableIdentifier(("hr",), "people")
    governed.catalog.rename_table(EMP, moved, SYSTEM)
    assert governed.begin("ellen").scan(moved).row_filter == scan.row_filter


def test_a_filter_whose_column_is_gone_closes_the_table(governed: Lake) -> None:
    alter(governed, *[f for f in fields(governed) if f["name"] != "region"])
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").scan(EMP)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    assert "region" not in str(caught.value)
    assert governed.begin("admin").scan(EMP).row_filter is None


def test_dropping_and_adding_a_column_keeps_its_mask_and_deny(governed: Lake) -> None:
    governed.run("DENY SELECT (salary) ON emp TO ROLE analyst")
    kept = [f for f in fields(governed) if f["name"] not in ("ssn", "salary")]
    alter(governed, *kept)
    again = [
        {"id": 11, "name": "ssn", "type": "string", "required": False},
        {"id": 12, "name": "salary", "type": "long", "required": False},
    ]
    alter(governed, *kept, *again)
    columns = {c.name: c for c in governed.begin("ellen").scan(EMP).columns}
    assert columns["ssn"].mask is not None
    assert "salary" not in columns


def test_a_new_column_is_hidden_from_an_include_list(lake: Lake) -> None:
    lake.run("GRANT SELECT (id, name) ON emp TO ellen")
    extra = {"id": 9, "name": "bonus", "type": "long", "required": False}
    alter(lake, *fields(lake), extra)
    scan = lake.begin("ellen").scan(EMP)
    assert [column.name for column in scan.columns] == ["id", "name"]
    assert scan.level is EnforcementLevel.SQL


def test_drop_and_create_begins_without_grants_and_policies(governed: Lake) -> None:
    governed.catalog.drop_table(EMP, False, SYSTEM)
    create_table(governed.catalog, EMP)
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").scan(EMP)
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND
    shown = governed.run("SHOW POLICIES")
    assert shown is not None
    assert shown.num_rows == 0


def test_an_unknown_snapshot(governed: Lake) -> None:
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").scan(EMP, SnapshotRef(snapshot_id=7))
    assert caught.value.code is ErrorCode.SNAPSHOT_NOT_FOUND


@pytest.mark.parametrize(
    "operation",
    [
        WriteOperation.TRUNCATE,
        WriteOperation.OPTIMIZE,
        WriteOperation.EXPIRE_SNAPSHOTS,
        WriteOperation.ALTER,
        WriteOperation.DROP,
    ],
)
def test_the_whole_table_is_out_of_reach_behind_a_filter(
    governed: Lake, operation: WriteOperation
) -> None:
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").write(EMP, operation)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    governed.script("DROP ROW FILTER eu ON emp; DROP COLUMN MASK ssn ON emp")
    assert governed.begin("ellen").write(EMP, operation)


def test_writes_behind_a_filter_and_a_mask(governed: Lake) -> None:
    write = governed.begin("ellen").write(EMP, WriteOperation.UPDATE, columns=["name"])
    assert write.row_filter == """("region" = 'EU')"""
    assert write.masked_columns == {"ssn"}
    assert "ssn" not in {column.name for column in write.columns}
    assert write.scan is not None
    assert write.scan.row_filter == write.row_filter
    for column, code in (
        ("ssn", ErrorCode.PERMISSION_DENIED),
        ("nosuch", ErrorCode.COLUMN_NOT_FOUND),
    ):
        with pytest.raises(UserError) as caught:
            governed.begin("ellen").write(EMP, WriteOperation.INSERT, columns=[column])
        assert caught.value.code is code
    governed.run("DENY SELECT (salary) ON emp TO ellen")
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").write(EMP, WriteOperation.INSERT, columns=["salary"])
    assert caught.value.code is ErrorCode.COLUMN_NOT_FOUND
    governed.run("DENY SELECT (id) ON emp TO ellen")
    with pytest.raises(UserError) as caught:
        governed.begin("ellen").write(EMP, WriteOperation.INSERT)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_nobody_widens_what_he_has(lake: Lake) -> None:
    fails(lake, "GRANT SELECT ON emp TO ellen", ErrorCode.TABLE_NOT_FOUND, "ellen")
    lake.run("GRANT SELECT ON emp TO ellen")
    fails(lake, "GRANT SELECT ON emp TO max", ErrorCode.PERMISSION_DENIED, "ellen")
    lake.run("GRANT SELECT (id, name) ON emp TO max WITH GRANT OPTION")
    fails(lake, "GRANT SELECT ON emp TO ellen", ErrorCode.PERMISSION_DENIED, "max")
    fails(lake, "GRANT SELECT (ssn) ON emp TO ellen", ErrorCode.COLUMN_NOT_FOUND, "max")
    lake.run("GRANT SELECT (id) ON emp TO ROLE analyst", "max")
    lake.run("GRANT SELECT ON emp TO ellen WITH GRANT OPTION")
    lake.run("GRANT SELECT ON emp TO ROLE analyst", "ellen")
    lake.run("CREATE ROW FILTER f ON emp USING (id > 5) TO ellen")
    fails(lake, "GRANT SELECT ON emp TO max", ErrorCode.PERMISSION_DENIED, "ellen")
    fails(lake, "DROP ROW FILTER f ON emp", ErrorCode.PERMISSION_DENIED, "ellen")
    fails(lake, "GRANT admin TO USER ellen", ErrorCode.PERMISSION_DENIED, "ellen")
    fails(lake, "CREATE USER eve", ErrorCode.PERMISSION_DENIED, "ellen")
    fails(lake, "DENY SELECT ON emp TO max", ErrorCode.PERMISSION_DENIED, "ellen")
    fails(lake, "SHOW POLICIES ON emp", ErrorCode.PERMISSION_DENIED, "ellen")


def test_there_is_always_an_administrator(lake: Lake) -> None:
    for text in (
        "DROP USER admin",
        "ALTER USER admin DISABLE",
        "REVOKE admin FROM USER admin",
        "ALTER ROLE admin DISABLE",
        "DROP ROLE admin",
        "DENY ALL ON CATALOG lake TO ROLE admin",
        "DENY MANAGE GRANTS ON CATALOG lake TO USER admin",
        "DENY ALL ON CATALOG lake TO ROLE public",
        "REVOKE MANAGE GRANTS ON CATALOG lake FROM ROLE admin",
    ):
        fails(lake, text, ErrorCode.PERMISSION_DENIED)
    lake.run("GRANT admin TO ellen")
    lake.run("DROP USER admin", "ellen")
    assert lake.begin("ellen").check(Privilege.MANAGE_GRANTS, Securable.catalog())


def test_roles_form_no_circle(lake: Lake) -> None:
    lake.script("CREATE ROLE a; CREATE ROLE b; GRANT a TO ROLE b")
    fails(lake, "GRANT b TO ROLE a", ErrorCode.INVALID_ARGUMENT)
    fails(lake, "GRANT a TO ROLE a", ErrorCode.INVALID_ARGUMENT)


def test_a_principal_that_a_policy_names_stays(governed: Lake) -> None:
    failure = fails(governed, "DROP ROLE analyst", ErrorCode.PERMISSION_DENIED)
    assert "eu" in failure.message


def test_owners_have_what_they_make_and_no_more(lake: Lake) -> None:
    lake.run("GRANT CREATE TABLE ON SCHEMA hr TO ellen")
    mine = TableIdentifier(("hr",), "mine")
    create_table(lake.catalog, mine, lake.actor("ellen"))
    assert lake.begin("ellen").scan(mine).level is EnforcementLevel.COARSE
    lake.run("GRANT SELECT ON mine TO max", "ellen")
    lake.run("CREATE ROW FILTER f ON mine USING (id = 1) TO max", "ellen")
    assert lake.begin("max").scan(mine).row_filter == """("id" = 1)"""
    lake.run("REVOKE SELECT ON mine FROM max", "ellen")
    with pytest.raises(UserError):
        lake.begin("max").scan(mine)


def test_listing_shows_only_what_may_be_seen(lake: Lake) -> None:
    browser, ellen = lake.access.browser, lake.identity("ellen")
    assert browser.schemas(ellen) == []
    lake.run("GRANT SELECT (id, name) ON emp TO ellen")
    assert browser.schemas(ellen) == [("hr",)]
    assert [found.identifier for found in browser.tables(ellen, ("hr",))] == [EMP]
    assert [column.name for column in browser.columns(ellen, EMP)] == ["id", "name"]
    assert browser.suggest(ellen, TableIdentifier(("hr",), "enp")) == "hr.emp"
    assert browser.suggest(ellen, TableIdentifier(("hr",), "secrat")) is None
    shown = lake.run("SHOW GRANTS", "ellen")
    assert shown is not None
    assert shown.column("Column").to_pylist() == ["id", "name"]
