"""Tables of another catalog under the grants, filters and masks of this one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx2
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from integration.connect.conftest import Lake, wait_fresh

SECRET = "no-such-token-9c1f"


@pytest.fixture(scope="module")
def linked(here: Lake, there: Lake) -> Lake:
    """`here`, with the other's schema `sales` shown as `far_sales`."""
    there.sql("CREATE SCHEMA sales")
    there.sql(
        "CREATE TABLE sales.orders (id bigint, region varchar, card varchar, amount double) "
        "WITH (partitioning = ARRAY['region'])"
    )
    there.sql("INSERT INTO sales.orders VALUES (1,'EU','4111-1',10), (2,'US','4222-2',20)")
    there.sql("CREATE TABLE sales.hidden (x bigint)")
    for user in ("ann", "eve"):
        here.sql(f"CREATE USER {user}")
    made = here.connect(
        "far",
        there.server.ready["iceberg_uri"],
        warehouse="lake",
        authentication="token",
        secret=there.server.ready["token"],
        locations=[there.warehouse],
        show=[{"namespace": ["sales"]}],
    )
    assert [each["schema"] for each in made["schemas"]] == ["far_sales"]
    here.sql("CREATE SCHEMA own")
    here.sql("CREATE TABLE own.regions AS SELECT 'EU' AS region, 'Europe' AS name")
    here.sql("GRANT SELECT ON TABLE far_sales.orders TO USER ann")
    here.sql("CREATE ROW FILTER eu ON far_sales.orders USING (region = 'EU') TO USER ann")
    here.sql("CREATE COLUMN MASK card ON far_sales.orders (card) USING show-last-4 TO USER ann")
    return here


def test_reading(linked: Lake, there: Lake) -> None:
    assert {"Schema": "far_sales"} in linked.sql("SHOW SCHEMAS")
    assert linked.sql("SHOW TABLES FROM far_sales") == [{"Table": "hidden"}, {"Table": "orders"}]
    rows = linked.sql("SELECT id, region, amount FROM far_sales.orders ORDER BY id")
    assert [row["id"] for row in rows] == [1, 2]
    described = linked.sql("DESCRIBE far_sales.orders")
    assert [row["Column"] for row in described] == ["id", "region", "card", "amount"]
    joined = linked.sql(
        "SELECT r.name, o.amount FROM far_sales.orders o JOIN own.regions r ON r.region = o.region"
    )
    assert joined == [{"name": "Europe", "amount": 10.0}]
    spark = linked.sql("SELECT count(*) AS n FROM `far_sales`.`orders`", dialect="spark")
    assert spark == [{"n": 2}]
    linked.sql("CREATE TABLE own.copy AS SELECT * FROM far_sales.orders")
    linked.sql("INSERT INTO own.copy SELECT * FROM far_sales.orders")
    assert linked.sql("SELECT count(*) AS n FROM own.copy") == [{"n": 4}]
    assert linked.sql('SELECT count(*) AS n FROM far_sales."orders$files"') == [{"n": 2}]


def test_commits_over_there_are_seen_and_history_is_kept(linked: Lake, there: Lake) -> None:
    before = linked.sql('SELECT snapshot_id FROM far_sales."orders$snapshots"')
    there.sql("INSERT INTO sales.orders VALUES (3,'EU','4333-3',30)")
    there.sql("DELETE FROM sales.orders WHERE id = 2")
    there.sql("ALTER TABLE sales.orders ADD COLUMN note varchar")
    wait_fresh()
    rows = linked.sql("SELECT id, note FROM far_sales.orders ORDER BY id")
    assert [row["id"] for row in rows] == [1, 3]
    then = before[0]["snapshot_id"]
    old = linked.sql(f"SELECT id FROM far_sales.orders FOR VERSION AS OF {then} ORDER BY id")
    assert [row["id"] for row in old] == [1, 2]
    there.sql("CREATE TABLE sales.fresh AS SELECT 7 AS x")
    time.sleep(1.1)
    assert linked.sql("SELECT x FROM far_sales.fresh") == [{"x": 7}]
    there.sql("DROP TABLE sales.fresh")
    wait_fresh()
    assert linked.refused("SELECT x FROM far_sales.fresh").code is ErrorCode.TABLE_NOT_FOUND


def test_a_restricted_user_sees_what_is_granted(linked: Lake) -> None:
    rows = linked.sql("SELECT id, card FROM far_sales.orders ORDER BY id", "ann")
    assert rows
    assert not {row["card"] for row in rows} & {"4111-1", "4222-2", "4333-3"}
    assert linked.sql("SELECT count(*) AS n FROM far_sales.orders WHERE region = 'US'", "ann") == [
        {"n": 0}
    ]
    assert linked.sql("SHOW TABLES FROM far_sales", "ann") == [{"Table": "orders"}]
    for user, table in (("ann", "hidden"), ("eve", "orders"), ("eve", "hidden")):
        refused = linked.refused(f"SELECT * FROM far_sales.{table}", user)
        assert refused.code is ErrorCode.TABLE_NOT_FOUND
        assert user != "eve" or "far" not in (refused.hint or "")
    assert linked.refused("SHOW TABLES FROM far_sales", "eve").code is ErrorCode.SCHEMA_NOT_FOUND
    assert linked.refused('SELECT * FROM far_sales."orders$files"', "ann").code is (
        ErrorCode.PERMISSION_DENIED
    )


def test_foreign_clients(linked: Lake) -> None:
    url = linked.server.ready["iceberg_uri"] + "/v1/lake/namespaces/far_sales/tables"

    def get(path: str, token: str) -> httpx2.Response:
        headers = {
            "authorization": f"Bearer {token}",
            "x-iceberg-access-delegation": "vended-credentials",
        }
        return httpx2.get(url + path, headers=headers, trust_env=False)

    admin, ann = linked.server.ready["token"], linked.as_user("ann").endpoint.token
    answer = get("/orders", admin)
    assert answer.status_code == 200
    assert not answer.json().get("config")
    assert "storage-credentials" not in answer.json()
    assert get("/orders", ann).status_code == 403
    assert get("/hidden", ann).status_code == 404
    dropped = httpx2.delete(
        f"{url}/orders", headers={"authorization": f"Bearer {admin}"}, trust_env=False
    )
    assert dropped.status_code == 403


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO far_sales.orders (id) VALUES (9)",
        "UPDATE far_sales.orders SET amount = 0",
        "DELETE FROM far_sales.orders",
        "TRUNCATE TABLE far_sales.orders",
        "MERGE INTO far_sales.orders o USING own.regions r ON o.id = 1 WHEN MATCHED THEN DELETE",
        "ALTER TABLE far_sales.orders ADD COLUMN y bigint",
        "ALTER TABLE far_sales.orders RENAME TO far_sales.other",
        "ALTER TABLE own.regions RENAME TO far_sales.regions",
        "ALTER TABLE far_sales.orders EXECUTE optimize",
        "COMMENT ON TABLE far_sales.orders IS 'mine'",
        "DROP TABLE far_sales.orders",
        "DROP SCHEMA far_sales CASCADE",
        "CREATE TABLE far_sales.mine (x bigint)",
        "CREATE TABLE far_sales.mine AS SELECT 1 AS x",
        "CREATE VIEW far_sales.v AS SELECT 1 AS x",
        'CREATE SCHEMA "far_sales.inner"',
    ],
)
def test_changes_are_refused(linked: Lake, statement: str) -> None:
    refused = linked.refused(statement)
    assert refused.code is ErrorCode.READ_ONLY_TABLE, refused
    assert "connection far" in refused.message
    assert refused.hint


def test_a_table_in_anothers_place_is_refused_until_accepted(linked: Lake, there: Lake) -> None:
    there.sql("CREATE TABLE sales.pay AS SELECT 1 AS id, 'secret' AS iban")
    time.sleep(1.1)
    linked.sql("GRANT SELECT ON SCHEMA far_sales TO USER eve")
    linked.sql(
        "CREATE COLUMN MASK iban ON far_sales.pay (iban) USING replace-with-null TO USER eve"
    )
    assert linked.sql("SELECT iban FROM far_sales.pay", "eve") == [{"iban": None}]
    there.sql("DROP TABLE sales.pay")
    wait_fresh()
    assert linked.refused("SELECT iban FROM far_sales.pay", "eve").code is (
        ErrorCode.TABLE_NOT_FOUND
    )
    time.sleep(2.5)
    assert {"Table": "pay"} not in linked.sql("SHOW TABLES FROM far_sales")
    there.sql("CREATE TABLE sales.pay AS SELECT 'secret' AS iban, 1 AS id")
    time.sleep(1.1)
    refused = linked.refused("SELECT iban FROM far_sales.pay", "eve")
    assert refused.code is ErrorCode.PERMISSION_DENIED
    assert "connection accept far far_sales.pay" in (refused.hint or "")
    there.sql("ALTER TABLE sales.orders RENAME TO sales.renamed")
    time.sleep(1.1)
    assert linked.refused("SELECT card FROM far_sales.renamed", "eve").code is (
        ErrorCode.PERMISSION_DENIED
    )
    there.sql("ALTER TABLE sales.renamed RENAME TO sales.orders")
    linked.admin.post("/api/v1/connections/far/accept", {"table": "far_sales.pay"})
    assert linked.sql("SELECT id FROM far_sales.pay", "eve") is not None
    linked.sql("REVOKE SELECT ON SCHEMA far_sales FROM USER eve")


def test_pages_of_the_studio(linked: Lake) -> None:
    admin = linked.admin
    wait_fresh()
    for path in ("overview", "files", "partitions", "history", "profile", "sample", "ddl"):
        assert admin.get(f"/api/v1/tables/far_sales.orders/{path}") is not None, path
    overview = admin.get("/api/v1/tables/far_sales.orders/overview")
    assert overview["connection"] == "far"
    assert set(overview["privileges"]) == {"SELECT", "MANAGE GRANTS"}
    names = [each["name"] for each in admin.get("/api/v1/tree", schema="far_sales")["items"]]
    assert "orders" in names
    found = linked.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'far_sales' "
        "AND table_name = 'orders'"
    )
    assert len(found) == 5


def test_only_administrators_connect(linked: Lake, there: Lake) -> None:
    ann = linked.as_user("ann")
    for method, path, body in (
        ("get", "", None),
        ("post", "/test", {"uri": "http://127.0.0.1:9"}),
        ("post", "", {"name": "x", "uri": "http://127.0.0.1:9", "show": [{"namespace": ["a"]}]}),
        ("delete", "/far", None),
    ):
        with pytest.raises(HeadwaterError) as caught:
            call = getattr(ann, method)
            call(f"/api/v1/connections{path}", *([] if body is None else [body]))
        assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_the_secret_stays_where_it_is(linked: Lake, there: Lake) -> None:
    token = there.server.ready["token"]
    assert token not in json.dumps(linked.admin.get("/api/v1/connections"))
    home = linked.server.home
    holders = [
        path for path in home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert [path.parent for path in holders] == [home / "connections"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    assert token.encode() not in linked.server.errors.read_bytes()
    with pytest.raises(HeadwaterError) as caught:
        linked.admin.post(
            "/api/v1/connections/test",
            {
                "uri": there.server.ready["iceberg_uri"],
                "authentication": "token",
                "secret": SECRET,
            },
        )
    assert caught.value.code is ErrorCode.CONNECTION_FAILED
    assert SECRET not in str(caught.value)
    assert "login" in caught.value.message


def test_the_command_line(linked: Lake, there: Lake, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(there.server.ready["token"] + "\n")
    uri = there.server.ready["iceberg_uri"]
    login = ("--auth", "token", "--secret-file", str(secret))
    tested = linked.server.run("connection", "test", "--uri", uri, *login)
    assert tested.returncode == 0, tested.stderr
    assert "namespace sales" in tested.stdout
    assert f"location file://{there.warehouse}" in tested.stdout
    added = linked.server.run(
        "connection", "add", "cli", "--uri", uri, *login, "--namespace", "sales=cli_sales",
        "--location", there.warehouse,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert "sales as cli_sales" in linked.server.run("connection", "list").stdout
    assert linked.sql("SELECT count(*) > 0 AS some FROM cli_sales.orders") == [{"some": True}]
    linked.sql("GRANT SELECT ON TABLE cli_sales.orders TO USER eve")
    removed = linked.server.run("connection", "remove", "cli", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert linked.refused("SELECT 1 FROM cli_sales.orders").code is ErrorCode.TABLE_NOT_FOUND
    assert {"Schema": "cli_sales"} not in linked.sql("SHOW SCHEMAS")
    kept = [path.name for path in (linked.server.home / "connections").iterdir()]
    assert len(kept) == 1
    assert linked.server.run("connection", "test", "cli").returncode == 1
    assert there.sql("SELECT count(*) > 0 AS some FROM sales.orders") == [{"some": True}]
