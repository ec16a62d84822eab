"""Grants, denies, ownership and what they make of scans and writes."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, UserError
from headwater.model.identifiers import TableIdentifier
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import EnforcementLevel, WriteOperation
from unit.governance.conftest import EMP, SECRET, Lake


def names(scan: object) -> list[str]:
    return [column.name for column in scan.columns]  # type: ignore[attr-defined]


def test_no_grant_is_the_same_as_no_table(lake: Lake) -> None:
    messages = set()
    for identifier in (EMP, TableIdentifier(("hr",), "emp2"), TableIdentifier(("hx",), "emp")):
        with pytest.raises(UserError) as caught:
            lake.begin("ellen").scan(identifier)
        assert caught.value.code is ErrorCode.TABLE_NOT_FOUND
        messages.add(str(caught.value).replace(str(identifier), "X"))
    assert len(messages) == 1


def test_grant_on_each_level_reaches_the_table(lake: Lake) -> None:
    for on in ("CATALOG lake", "SCHEMA hr", "TABLE hr.emp"):
        lake.run(f"GRANT SELECT ON {on} TO ellen")
        scan = lake.begin("ellen").scan(EMP)
        assert scan.level is EnforcementLevel.COARSE
        assert names(scan) == ["id", "name", "ssn", "region", "salary", "hired"]
        assert not scan.is_restricted
        lake.run(f"REVOKE SELECT ON {on} FROM ellen")
        with pytest.raises(UserError):
            lake.begin("ellen").scan(EMP)


def test_a_role_gives_its_grants_and_takes_them_back_at_once(lake: Lake) -> None:
    lake.script(
        "GRANT SELECT ON emp TO ROLE analyst; CREATE ROLE senior; GRANT analyst TO ROLE senior"
    )
    lake.run("GRANT senior TO ellen")
    assert lake.begin("ellen").scan(EMP)
    lake.run("REVOKE senior FROM ellen")
    with pytest.raises(UserError):
        lake.begin("ellen").scan(EMP)


def test_a_deny_wins_over_every_grant(lake: Lake) -> None:
    lake.script(
        "GRANT ALL ON emp TO ellen; GRANT analyst TO ellen; DENY SELECT ON SCHEMA hr TO analyst"
    )
    with pytest.raises(UserError) as caught:
        lake.begin("ellen").scan(EMP)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    # It still may insert, so the table exists; without that it would not.
    lake.run("REVOKE ALL ON emp FROM ellen")
    lake.run("GRANT SELECT ON emp TO ellen")
    with pytest.raises(UserError) as caught:
        lake.begin("ellen").scan(EMP)
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND


def test_filter_and_mask(lake: Lake) -> None:
    lake.script("""
        GRANT SELECT (id, name, ssn) ON emp TO ROLE analyst;
        GRANT analyst TO ellen;
        CREATE ROW FILTER eu ON emp USING (region = 'EU') TO ROLE analyst;
        CREATE COLUMN MASK ssn ON emp (ssn) USING show-last-4 TO ROLE analyst
    """)
    scan = lake.begin("ellen").scan(EMP)
    assert names(scan) == ["id", "name", "ssn"]
    assert scan.row_filter == """("region" = 'EU')"""
    assert [column.name for column in scan.hidden_columns] == ["region"]
    assert scan.columns[2].mask is not None
    assert scan.policies == ("eu@1", "ssn@1")
    assert scan.level is EnforcementLevel.SQL


def test_writes(lake: Lake) -> None:
    lake.run("GRANT SELECT, INSERT ON emp TO ellen")
    write = lake.begin("ellen").write(EMP, WriteOperation.INSERT)
    assert len(write.columns) == 6
    for operation in (WriteOperation.UPDATE, WriteOperation.DROP):
        with pytest.raises(UserError) as caught:
            lake.begin("ellen").write(EMP, operation)
        assert caught.value.code is ErrorCode.PERMISSION_DENIED
    with pytest.raises(UserError) as caught:
        lake.begin("ellen").write(SECRET, WriteOperation.INSERT)
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND


def test_check(lake: Lake) -> None:
    request = lake.begin("ellen")
    with pytest.raises(UserError) as caught:
        request.check(Privilege.CREATE_TABLE, Securable.schema(("hr",)))
    assert caught.value.code is ErrorCode.SCHEMA_NOT_FOUND
    lake.run("GRANT SELECT ON emp TO ellen")
    with pytest.raises(UserError) as caught:
        lake.begin("ellen").check(Privilege.CREATE_TABLE, Securable.schema(("hr",)))
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
