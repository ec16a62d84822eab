"""The protocol itself, over raw HTTP: identity, visibility, restrictions, repeats, bad input."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from pyiceberg.exceptions import ForbiddenError

from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity, Principal
from headwater.model.scan import Decision, GovernedWrite, WriteOperation
from integration.catalog.conftest import Lake

ORDERS = TableIdentifier(("sales",), "orders")
TABLE = "lake/namespaces/sales/tables/orders"
FIELDS = [
    {"id": 1, "name": "id", "type": "long", "required": False},
    {"id": 2, "name": "city", "type": "string", "required": False},
]
SCHEMA = {"type": "struct", "fields": FIELDS}


@pytest.fixture
def sales(local_lake: Lake) -> Lake:
    with local_lake.http() as http:
        http.post("lake/namespaces", json={"namespace": ["sales"], "properties": {"a": "b"}})
        http.post("lake/namespaces/sales/tables", json={"name": "orders", "schema": SCHEMA})
    return local_lake


@pytest.fixture
def ellen(sales: Lake) -> Principal:
    return sales.user("ellen")


def failed(response: httpx2.Response, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["code"], error["type"]) == (status, kind), error
    return str(error["message"])


def set_property(key: str, value: str) -> dict[str, Any]:
    return {"requirements": [], "updates": [{"action": "set-properties", "updates": {key: value}}]}


# --- who may what -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Basic eA==", "Bearer", "Bearer not.a.token"])
def test_nobody_gets_in_without_a_good_token(sales: Lake, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for path in ("config", "lake/namespaces", TABLE):
        response = httpx2.get(f"{sales.uri}/v1/{path}", headers=headers)
        failed(response, 401, "NotAuthorizedException")
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_without_a_grant_nothing_is_there(sales: Lake, ellen: Principal) -> None:
    with sales.http(sales.token(ellen)) as http:
        assert http.get("lake/namespaces").json() == {"namespaces": []}
        failed(http.get("lake/namespaces/sales"), 404, "NoSuchNamespaceException")
        failed(http.get("lake/namespaces/sales/tables"), 404, "NoSuchNamespaceException")
        invisible = failed(http.get(TABLE), 404, "NoSuchTableException")
        missing = failed(http.get(TABLE + "x"), 404, "NoSuchTableException")
        assert invisible == missing.replace("ordersx", "orders")
        for response in (
            http.get(f"{TABLE}/credentials"),
            http.post(TABLE, json=set_property("a", "b")),
            http.delete(TABLE),
            http.post(f"{TABLE}/metrics", json={"report-type": "scan-report"}),
            http.post("lake/tables/rename", json=rename("orders", "mine")),
            http.post("lake/transactions/commit", json={"table-changes": [change(ORDERS.name)]}),
        ):
            failed(response, 404, "NoSuchTableException")
        assert http.head(TABLE).status_code == 404
        assert http.head("lake/namespaces/sales").status_code == 404
    assert sales.catalog.table(ORDERS).version == 0


def rename(source: str, target: str) -> dict[str, Any]:
    return {
        "source": {"namespace": ["sales"], "name": source},
        "destination": {"namespace": ["sales"], "name": target},
    }


def change(name: str) -> dict[str, Any]:
    return {"identifier": {"namespace": ["sales"], "name": name}, **set_property("a", "b")}


def test_a_reader_reads_and_changes_nothing(sales: Lake, ellen: Principal) -> None:
    sales.sql("GRANT SELECT ON TABLE sales.orders TO ellen")
    with sales.http(sales.token(ellen)) as http:
        assert http.get("lake/namespaces").json() == {"namespaces": [["sales"]]}
        assert http.get("lake/namespaces/sales").json()["properties"] == {}
        assert http.get(TABLE).status_code == 200
        assert http.head(TABLE).status_code == 204
        append = snapshot_commit("append")
        for response in (
            http.post(TABLE, json=set_property("a", "b")),
            http.post(TABLE, json=append),
            http.delete(TABLE),
            http.post("lake/tables/rename", json=rename("orders", "mine")),
            http.post("lake/namespaces/sales/tables", json={"name": "x", "schema": SCHEMA}),
            http.post("lake/namespaces", json={"namespace": ["mine"]}),
        ):
            failed(response, 403, "ForbiddenException")
    kinds = {(e.facts["outcome"], e.facts["kind"]) for e in sales.audit.query(principal="ellen")}
    assert kinds >= {("allow", "decision"), ("deny", "decision")}


def snapshot_commit(operation: str) -> dict[str, Any]:
    snapshot = {
        "snapshot-id": 1,
        "sequence-number": 1,
        "timestamp-ms": 4102444800000,
        "manifest-list": "file:///elsewhere/snap.avro",
        "summary": {"operation": operation},
    }
    return {"requirements": [], "updates": [{"action": "add-snapshot", "snapshot": snapshot}]}


def test_a_snapshot_needs_the_privilege_of_its_operation(sales: Lake, ellen: Principal) -> None:
    sales.sql("GRANT SELECT, INSERT ON TABLE sales.orders TO ellen")
    with sales.http(sales.token(ellen)) as http:
        for operation in ("delete", "overwrite", "replace", "unheard-of"):
            failed(http.post(TABLE, json=snapshot_commit(operation)), 403, "ForbiddenException")
        # An append is allowed, and then refused for its files.
        failed(http.post(TABLE, json=snapshot_commit("append")), 400, "BadRequestException")


def test_a_restricted_table_is_not_handed_out(sales: Lake, ellen: Principal) -> None:
    sales.sql("GRANT SELECT, INSERT, UPDATE, DELETE, ALTER ON TABLE sales.orders TO ellen")
    client = sales.pyiceberg(ellen)
    client.load_table("sales.orders")
    for policy, undo in (
        (
            "CREATE ROW FILTER f ON sales.orders USING (city = 'Bern') TO ellen",
            "DROP ROW FILTER f ON sales.orders",
        ),
        (
            "CREATE COLUMN MASK m ON sales.orders (city) USING REPLACE_WITH_NULL TO ellen",
            "DROP COLUMN MASK m ON sales.orders",
        ),
        (
            "DENY SELECT (city) ON TABLE sales.orders TO ellen",
            "REVOKE DENY SELECT (city) ON TABLE sales.orders FROM ellen",
        ),
    ):
        sales.sql(policy)
        with pytest.raises(ForbiddenError, match="SQL"):
            client.load_table("sales.orders")
        with sales.http(sales.token(ellen)) as http:
            for response in (
                http.get(TABLE, headers={"if-none-match": "*"}),
                http.get(f"{TABLE}/credentials"),
                http.post(TABLE, json=set_property("a", "b")),
                http.post(TABLE, json=snapshot_commit("append")),
            ):
                message = failed(response, 403, "ForbiddenException")
                assert "Bern" not in message
        sales.sql(undo)
    client.load_table("sales.orders")


def test_a_manifest_of_another_table_is_refused(sales: Lake, ellen: Principal) -> None:
    admin = sales.pyiceberg()
    rows = pa.table({"id": pa.array([1], pa.int64()), "city": ["Bern"]})
    admin.load_table("sales.orders").append(rows)
    victim = sales.catalog.table(ORDERS)
    sales.sql("GRANT CREATE TABLE ON SCHEMA sales TO ellen")
    thief = sales.pyiceberg(ellen).create_table("sales.thief", schema=rows.schema)
    thief.append(rows)
    own = sales.catalog.table(TableIdentifier(("sales",), "thief"))
    # A manifest list of the thief's own that names the victim's manifests.
    stolen = victim.metadata["snapshots"][0]["manifest-list"]
    copied = f"{own.location}/metadata/snap-9.avro"
    sales.catalog.warehouse.io.write_bytes(copied, sales.catalog.warehouse.io.read_bytes(stolen))
    for manifest_list in (stolen, copied, f"{own.location}/metadata/missing.avro"):
        snapshot = snapshot_commit("append")["updates"][0]["snapshot"] | {
            "snapshot-id": 9,
            "sequence-number": 2,
            "manifest-list": manifest_list,
        }
        body = {"requirements": [], "updates": [{"action": "add-snapshot", "snapshot": snapshot}]}
        with sales.http(sales.token(ellen)) as http:
            response = http.post("lake/namespaces/sales/tables/thief", json=body)
        failed(response, 400, "BadRequestException")
    assert sales.catalog.table(own.identifier).metadata == own.metadata


def test_register_takes_the_right_to_manage_grants(sales: Lake, ellen: Principal) -> None:
    location = sales.catalog.table(ORDERS).metadata_location
    sales.sql("GRANT ALL PRIVILEGES ON SCHEMA sales TO ellen")
    with sales.http() as http:
        http.delete(TABLE)
    body = {"name": "back", "metadata-location": location}
    with sales.http(sales.token(ellen)) as http:
        response = http.post("lake/namespaces/sales/register", json=body)
        failed(response, 403, "ForbiddenException")
    with sales.http() as http:
        for elsewhere in ("file:///etc/passwd", "s3://b/x.metadata.json", location + "/../x"):
            asked = body | {"metadata-location": elsewhere}
            response = http.post("lake/namespaces/sales/register", json=asked)
            failed(response, 400, "BadRequestException")
        assert http.post("lake/namespaces/sales/register", json=body).status_code == 200


def test_a_reader_gets_keys_that_only_read(lake: Lake) -> None:
    with lake.http() as http:
        http.post("lake/namespaces", json={"namespace": ["sales"]})
        http.post("lake/namespaces/sales/tables", json={"name": "orders", "schema": SCHEMA})
    if not lake.catalog.warehouse.root.startswith("s3://"):
        with lake.http() as http:
            assert http.get(f"{TABLE}/credentials").json() == {"storage-credentials": []}
        return
    ellen = lake.user("ellen")
    rows = pa.table({"id": pa.array([1], pa.int64()), "city": ["Bern"]})
    lake.pyiceberg().load_table("sales.orders").append(rows)
    lake.sql("GRANT SELECT ON TABLE sales.orders TO ellen")
    table = lake.pyiceberg(ellen).load_table("sales.orders")
    assert table.scan().to_arrow().num_rows == 1
    location = lake.catalog.table(ORDERS).location
    denied = pytest.raises(OSError, match=r"ACCESS_DENIED|AccessDenied|Access Denied|403")
    with denied, table.io.new_output(f"{location}/data/mine").create() as file:
        file.write(b"x")
    with lake.http(lake.token(ellen)) as http:
        assert "storage-credentials" not in http.get(TABLE).json()
        delegated = http.get(TABLE, headers={"x-iceberg-access-delegation": "vended-credentials"})
        assert delegated.json()["storage-credentials"][0]["prefix"].startswith(location)
        lake.sql("CREATE ROW FILTER f ON sales.orders USING (city = 'Bern') TO ellen")
        failed(http.get(f"{TABLE}/credentials"), 403, "ForbiddenException")


# --- engine workers -----------------------------------------------------------------------------


def test_an_engine_worker_may_do_what_is_leased_to_it(sales: Lake, ellen: Principal) -> None:
    token = sales.tokens.issue_engine("w1")
    decision = Decision("d1", True)
    write = GovernedWrite(ORDERS, None, WriteOperation.INSERT, (), None, decision)
    with sales.http(token) as http:
        failed(http.get(TABLE), 403, "ForbiddenException")
        sales.leases.held["w1", ORDERS] = (Identity(ellen), write)
        loaded = http.get(TABLE, headers={"x-iceberg-access-delegation": "vended-credentials"})
        assert "storage-credentials" not in loaded.json()
        assert http.head("lake/namespaces/sales").status_code == 204
        for response in (
            http.get("lake/namespaces"),
            http.get("lake/namespaces/sales/tables"),
            http.delete(TABLE),
            http.post(TABLE, json=set_property("a", "b")),
            http.post(TABLE, json=snapshot_commit("overwrite")),
            http.post("lake/namespaces/sales/tables", json={"name": "orders", "schema": SCHEMA}),
            http.post("lake/transactions/commit", json={"table-changes": [change("other")]}),
            http.get("lake/namespaces/sales/tables/other"),
        ):
            failed(response, 403, "ForbiddenException")
        location = loaded.json()["metadata"]["location"]
        body = snapshot_commit("append")
        body["updates"][0]["snapshot"]["manifest-list"] = f"{location}/metadata/snap-1.avro"
        assert http.post(TABLE, json=body).status_code == 200
        sales.leases.held.clear()
        failed(http.post(TABLE, json=body), 403, "ForbiddenException")
    changed = [e.facts for e in sales.audit.query(principal="ellen", kind="change")]
    assert [(facts["action"], facts["decision_id"]) for facts in changed] == [
        ("update-table", "d1")
    ]


# --- repeats, caches, pages ---------------------------------------------------------------------


def test_a_repeated_request_is_told_and_not_done_again(sales: Lake, ellen: Principal) -> None:
    key = {"idempotency-key": str(uuid.uuid4())}
    with sales.http() as http:
        first = http.post(TABLE, json=set_property("a", "1"), headers=key)
        http.post(TABLE, json=set_property("a", "2"))
        again = http.post(TABLE, json=set_property("a", "1"), headers=key)
        assert again.json()["metadata"] == first.json()["metadata"]
        assert sales.catalog.table(ORDERS).metadata["properties"] == {"a": "2"}
        other = http.post(TABLE, json=set_property("a", "3"), headers=key)
        failed(other, 422, "UnprocessableEntityException")
        made = {"name": "new", "schema": SCHEMA}
        key = {"idempotency-key": str(uuid.uuid4())}
        answers = [http.post("lake/namespaces/sales/tables", json=made, headers=key)]
        answers.append(http.post("lake/namespaces/sales/tables", json=made, headers=key))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        key = {"idempotency-key": str(uuid.uuid4())}
        new = "lake/namespaces/sales/tables/new"
        assert [http.delete(new, headers=key).status_code for _ in range(2)] == [204, 204]
        failed(http.delete(new), 404, "NoSuchTableException")
    # Another principal's key of the same text is another key.
    sales.sql("GRANT SELECT, ALTER ON TABLE sales.orders TO ellen")
    with sales.http(sales.token(ellen)) as http:
        assert http.post(TABLE, json=set_property("b", "1"), headers=key).status_code == 200


def test_the_same_request_twice_at_once_is_done_once(sales: Lake) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    answers: list[httpx2.Response] = []

    def post() -> None:
        with sales.http() as http:
            body = {"name": "twin", "schema": SCHEMA}
            answers.append(http.post("lake/namespaces/sales/tables", json=body, headers=headers))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["metadata-location"] for answer in answers}) == 1


def test_an_etag_is_good_until_table_or_policies_change(sales: Lake, ellen: Principal) -> None:
    sales.sql("GRANT SELECT ON TABLE sales.orders TO ellen")
    with sales.http() as http, sales.http(sales.token(ellen)) as reader:
        tag = {"if-none-match": http.get(TABLE).headers["etag"]}
        assert http.get(TABLE, headers=tag).status_code == 304
        assert reader.get(TABLE, headers=tag).status_code == 200
        own = {"if-none-match": reader.get(TABLE).headers["etag"]}
        assert reader.get(TABLE, headers=own).status_code == 304
        sales.sql("GRANT INSERT ON TABLE sales.orders TO ellen")
        assert reader.get(TABLE, headers=own).status_code == 200
        committed = http.post(TABLE, json=set_property("a", "1"))
        assert http.get(TABLE, headers=tag).status_code == 200
        assert http.get(TABLE).headers["etag"] == committed.headers["etag"]


def test_listings_come_in_pages(sales: Lake) -> None:
    with sales.http() as http:
        for number in range(4):
            body = {"name": f"t{number}", "schema": SCHEMA}
            http.post("lake/namespaces/sales/tables", json=body)
        found, token = [], ""
        while token is not None:
            query = {"pageToken": token, "pageSize": "2"}
            page = http.get("lake/namespaces/sales/tables", params=query).json()
            found += [item["name"] for item in page["identifiers"]]
            token = page.get("next-page-token")
        assert found == ["orders", "t0", "t1", "t2", "t3"]
        whole = http.get("lake/namespaces/sales/tables").json()
        assert [item["name"] for item in whole["identifiers"]] == found
        for query in ({"pageToken": "x"}, {"pageSize": "0"}, {"pageSize": "-1"}):
            response = http.get("lake/namespaces", params=query)
            failed(response, 400, "BadRequestException")


def test_nested_namespaces_and_properties(sales: Lake) -> None:
    with sales.http() as http:
        http.post("lake/namespaces", json={"namespace": ["sales", "e u"]})
        listed = http.get("lake/namespaces", params={"parent": "sales"}).json()
        assert listed == {"namespaces": [["sales", "e u"]]}
        for path in ("sales%1Fe%20u", "sales%1Fe+u"):
            assert http.get(f"lake/namespaces/{path}").json()["namespace"] == ["sales", "e u"]
        body = {"removals": ["a", "none"], "updates": {"c": "d"}}
        answer = http.post("lake/namespaces/sales/properties", json=body).json()
        assert answer == {"updated": ["c"], "removed": ["a"], "missing": ["none"]}
        both = {"removals": ["c"], "updates": {"c": "d"}}
        response = http.post("lake/namespaces/sales/properties", json=both)
        failed(response, 422, "UnprocessableEntityException")


def test_referenced_snapshots_only(sales: Lake) -> None:
    table = sales.pyiceberg().load_table("sales.orders")
    rows = pa.table({"id": pa.array([1], pa.int64()), "city": ["Bern"]})
    table.append(rows)
    table.append(rows)
    with sales.http() as http:
        refs = http.get(TABLE, params={"snapshots": "refs"}).json()["metadata"]
        whole = http.get(TABLE).json()["metadata"]
    assert (len(refs["snapshots"]), len(whole["snapshots"])) == (1, 2)
    assert refs["snapshots"][0]["snapshot-id"] == whole["current-snapshot-id"]


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'{"name": "\xff"}', b'{"name": 1}', b"[" * 100_000),
        *(b'{"requirements": {}, "updates": []}', b'{"requirements": [1], "updates": []}'),
    ],
)
def test_a_body_that_is_not_what_it_should_be(sales: Lake, body: bytes) -> None:
    with sales.http() as http:
        for path in ("lake/namespaces", "lake/namespaces/sales/tables", "lake/transactions/commit"):
            response = http.post(path, content=body)
            assert failed(response, 400, "BadRequestException")
        assert http.get(TABLE).status_code == 200


def test_paths_and_methods_that_do_not_exist(sales: Lake) -> None:
    with sales.http() as http:
        for path in ("lake/nothing", "other/namespaces"):
            failed(http.get(path), 404, "NotFoundException")
        # Names with slashes: Spark asks for them before it reads paths.
        for path, kind in (
            ("namespaces/parquet/tables/%2Fdata%2Fa", "NoSuchTableException"),
            ("namespaces/a/tables/b/c", "NoSuchTableException"),
            ("namespaces/a/views/%2Fb", "NoSuchViewException"),
            ("namespaces/a%2Fb", "NoSuchNamespaceException"),
        ):
            failed(http.get(f"lake/{path}"), 404, kind)
        failed(http.put(TABLE), 405, "UnsupportedOperationException")
        failed(http.get("config", params={"warehouse": "x"}), 404, "NoSuchWarehouseException")
        config = http.get("config", params={"warehouse": "lake"}).json()
    assert config["overrides"] == {"prefix": "lake"}
    assert config["idempotency-key-lifetime"] == "PT30M"
    assert "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}" in config["endpoints"]
    assert "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}" in config["endpoints"]


def test_a_body_that_is_too_large(sales: Lake) -> None:
    with sales.http() as http:
        response = http.post("lake/namespaces", content=b" " * (64 * 1024 * 1024 + 1))
    failed(response, 413, "BadRequestException")


def test_a_view_that_is_missing_is_called_one(sales: Lake) -> None:
    with sales.http() as http:
        failed(http.get("lake/namespaces/sales/views/x"), 404, "NoSuchViewException")
        # A table is no view.
        failed(http.get("lake/namespaces/sales/views/orders"), 404, "NoSuchViewException")


def test_a_location_of_the_clients_choice_is_checked_first(sales: Lake) -> None:
    victim = sales.catalog.table(ORDERS).location
    with sales.http() as http:
        for location in (victim, f"{victim}/data", "file:///etc", f"{victim}/../x"):
            for staged in (True, False):
                body = {"name": "x", "schema": SCHEMA, "location": location}
                body["stage-create"] = staged
                response = http.post("lake/namespaces/sales/tables", json=body)
                failed(response, 400, "BadRequestException")
        # Sail sends a relative one, which means nothing here.
        body = {"name": "x", "schema": SCHEMA, "location": "spark-warehouse/x"}
        made = http.post("lake/namespaces/sales/tables", json=body).json()
    assert made["metadata"]["location"].startswith(sales.catalog.warehouse.root)
