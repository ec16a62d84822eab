"""PyIceberg and DuckDB's ATTACH over TLS: as an analyst they get whole tables, or none of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError, NoSuchTableError

from integration.catalog.conftest import EXTENSIONS, extension_path
from integration.clients.lake import ANALYST, Lake

RESTRICTED = {
    "filter": (
        "CREATE ROW FILTER f ON shop.other USING (id > 1) TO ellen",
        "DROP ROW FILTER f ON shop.other",
    ),
    "mask": (
        "CREATE COLUMN MASK m ON shop.other (card) USING show-last-4 TO ellen",
        "DROP COLUMN MASK m ON shop.other",
    ),
    "hidden column": (
        "DENY SELECT (card) ON shop.other TO ellen",
        "REVOKE DENY SELECT (card) ON shop.other FROM ellen",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def tables(lake: Lake) -> Iterator[None]:
    """A table that the analyst sees all of, unless a test says otherwise."""
    lake.rows("CREATE TABLE shop.other (id bigint, card varchar)")
    lake.rows("INSERT INTO shop.other VALUES (1, '4000-1111'), (2, '4000-2222')")
    lake.rows("GRANT SELECT ON shop.other TO ellen")
    yield
    lake.rows("DROP TABLE shop.other")


def address(lake: Lake) -> str:
    port = json.loads((lake.home / "ready.json").read_text())["https_url"].rpartition(":")[2]
    return f"https://{lake.host}:{port}/iceberg"


def pyiceberg(lake: Lake, user: str) -> RestCatalog:
    return RestCatalog(
        "lake",
        uri=address(lake),
        token=lake.tokens[user],
        warehouse="lake",
        ssl={"cabundle": str(lake.ca)},
    )


def attached(lake: Lake, user: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name in EXTENSIONS:
        connection.execute(f"LOAD '{extension_path(name)}'")
    connection.execute(f"SET ca_cert_file = '{lake.ca}'")
    connection.execute("SET enable_server_cert_verification = true")
    connection.execute(f"CREATE SECRET (TYPE iceberg, TOKEN '{lake.tokens[user]}')")
    connection.execute(f"ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT '{address(lake)}')")
    return connection


def test_a_table_without_restrictions_is_read(lake: Lake) -> None:
    for user in ("admin", ANALYST):
        found = pyiceberg(lake, user).load_table("shop.other").scan().to_arrow()
        assert sorted(found["id"].to_pylist()) == [1, 2]
        with attached(lake, user) as duck:
            assert duck.execute("SELECT sum(id) FROM lake.shop.other").fetchone() == (3,)


@pytest.mark.parametrize("kind", RESTRICTED)
def test_a_restricted_table_is_refused(lake: Lake, kind: str) -> None:
    restrict, undo = RESTRICTED[kind]
    lake.rows(restrict)
    try:
        with pytest.raises(ForbiddenError, match="through SQL") as refused:
            pyiceberg(lake, ANALYST).load_table("shop.other")
        assert "4000" not in str(refused.value)
        with (
            attached(lake, ANALYST) as duck,
            pytest.raises(duckdb.Error, match="through SQL") as told,
        ):
            duck.execute("SELECT * FROM lake.shop.other")
        assert "4000" not in str(told.value)
        # SQL is where they read what they may.
        assert len(lake.rows("SELECT id FROM shop.other", ANALYST)) == (
            1 if kind == "filter" else 2
        )
    finally:
        lake.rows(undo)
    assert pyiceberg(lake, ANALYST).load_table("shop.other").scan().to_arrow().num_rows == 2


def test_a_table_without_a_grant_does_not_exist(lake: Lake) -> None:
    client = pyiceberg(lake, ANALYST)
    names = {name for _, name in client.list_tables("shop")}
    assert "other" in names
    assert "secret" not in names
    messages = []
    for name in ("secret", "secrex"):
        with pytest.raises(NoSuchTableError) as missing:
            client.load_table(f"shop.{name}")
        messages.append(str(missing.value).replace(name, "…"))
    assert messages[0] == messages[1]
    with attached(lake, ANALYST) as duck:
        for name in ("secret", "secrex"):
            with pytest.raises(duckdb.Error, match="does not exist"):
                duck.execute(f"SELECT * FROM lake.shop.{name}")


def test_a_reader_writes_nothing(lake: Lake) -> None:
    table = pyiceberg(lake, ANALYST).load_table("shop.other")
    with pytest.raises(ForbiddenError), table.transaction() as change:
        change.set_properties({"a": "b"})
    with attached(lake, ANALYST) as duck, pytest.raises(duckdb.Error):
        duck.execute("INSERT INTO lake.shop.other VALUES (3, 'x')")
    assert lake.rows("SELECT count(*) FROM shop.other") == [[2]]


def test_an_authority_that_nobody_trusts(lake: Lake) -> None:
    with attached(lake, "admin") as duck:
        duck.execute("DETACH lake")
        duck.execute("SET ca_cert_file = ''")
        with pytest.raises(duckdb.Error):
            duck.execute(f"ATTACH 'lake' AS lake2 (TYPE iceberg, ENDPOINT '{address(lake)}')")
