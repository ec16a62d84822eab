"""A listing decides alike objects once; what it shows is what each one's own decision says."""

from __future__ import annotations

import pytest

from headwater.model.identifiers import TableIdentifier
from unit.governance.conftest import Lake, create_table

NAMES = [f"t{number}" for number in range(6)]
SCRIPTS = {
    "nothing": "",
    "some tables": "GRANT SELECT ON hr.t1 TO USER ellen; GRANT SELECT (id) ON hr.t2 TO USER ellen",
    "all but one": "GRANT SELECT ON SCHEMA hr TO USER ellen; DENY SELECT ON hr.t3 TO USER ellen",
    "a role, one denied whole": (
        "GRANT ROLE analyst TO USER ellen; GRANT SELECT ON SCHEMA hr TO ROLE analyst; "
        "DENY ALL ON hr.t0 TO USER ellen"
    ),
    "owned": "GRANT CREATE TABLE ON SCHEMA hr TO USER ellen",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_listing_shows_what_each_decision_shows(lake: Lake, kind: str) -> None:
    for name in NAMES:
        create_table(lake.catalog, TableIdentifier(("hr",), name))
    if SCRIPTS[kind]:
        lake.script(SCRIPTS[kind])
    if kind == "owned":
        create_table(lake.catalog, TableIdentifier(("hr",), "own"), lake.begin("ellen").actor())
    browser = lake.access.browser
    for user in ("ellen", "max", "admin"):
        identity = lake.identity(user)
        entries = lake.catalog.tables(("hr",))
        single = [each.identifier.name for each in entries if browser.sees(identity, each)]
        if not browser.sees_schema(identity, ("hr",)):
            assert single == []
            continue
        listed = [each.identifier.name for each in browser.tables(identity, ("hr",))]
        assert listed == single
