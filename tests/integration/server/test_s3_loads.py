"""Files of S3 locations into tables: what is granted, nothing beside it; on a real SeaweedFS."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.storage.credentials import S3Endpoint
from headwater.storage.s3 import s3_client
from headwater.storage.seaweed import EmbeddedS3
from integration.server.conftest import Server

BUCKET = "exchange"
FILES: dict[str, bytes] = {
    "in/2026/a.csv": b"id,city\n1,Rome\n2,Oslo\n",
    "in/2026/b.csv": b"id,city\n3,Lima\n",
    "in/2026/_SUCCESS": b"",
    "in/2025/old.csv": b"id,city\n9,Bonn\n",
    "in/rows.ndjson": b'{"id": 1}\n{"id": 2}\n',
    "in/mixed/a.csv": b"id\n1\n",
    "in/mixed/b.ndjson": b'{"id": 1}\n',
    "in/notes/readme.txt": b"x",
    "in/secret/s.csv": b"id,city\n7,SENTINEL\n",
    "in-private/p.csv": b"id,city\n8,SENTINEL\n",
    "other/o.csv": b"id,city\n8,SENTINEL\n",
}


class World:
    """A server whose warehouse lies on the same S3, and a user who may read `in` and no more."""

    def __init__(self, server: Server, admin: httpx2.Client, endpoint: S3Endpoint) -> None:
        self.server = server
        self.admin = admin
        self.s3 = s3_client(endpoint)
        self.endpoint = endpoint
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.create_bucket(Bucket="empty")
        for key, body in FILES.items():
            self.put(key, body)
        table = pa.table({"id": pa.array([1, 2], pa.int64()), "at": ["x", "y"]})
        out = io.BytesIO()
        pq.write_table(table, out)
        self.put("in/p/data.parquet", out.getvalue())
        admin.post("/api/v1/schemas", json={"name": "own"}).raise_for_status()
        admin.post("/api/v1/principals", json={"kind": "user", "name": "alice"}).raise_for_status()
        self.run("GRANT CREATE TABLE, SELECT, INSERT ON SCHEMA lake.own TO USER alice")
        for place in (f"{BUCKET}/in", "empty", "no-such-bucket", "dead", "refused", "wrongkeys"):
            self.run(f"GRANT READ FILES ON LOCATION 's3://{place}' TO USER alice")
        self.run(f"DENY READ FILES ON LOCATION 's3://{BUCKET}/in/secret' TO USER alice")
        token = admin.post("/api/v1/tokens", json={"user": "alice"}).json()["token"]
        self.alice = httpx2.Client(
            base_url=server.ready["url"],
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def run(self, sql: str) -> None:
        made = self.admin.post("/api/v1/statements", json={"sql": sql}).json()
        path = f"/api/v1/statements/{made['id']}"
        state = self.admin.get(path, params={"wait": 30}).json()
        assert state["state"] == "FINISHED", state

    def stage(self, *paths: str) -> httpx2.Response:
        return self.alice.post(
            "/api/v1/locations/stage", json={"paths": list(paths)}, params={"wait": 30}
        )

    def staged(self, *paths: str) -> list[dict[str, Any]]:
        answer = self.stage(*paths)
        assert answer.status_code == 202, answer.text
        found = answer.json()
        assert (found["state"], found["error"]) == ("FINISHED", None), found
        assert found["done_bytes"] == found["total_bytes"]
        return list(found["uploads"])

    def refused(self, path: str) -> dict[str, Any]:
        answer = self.stage(path)
        assert answer.status_code >= 400, answer.text
        found: dict[str, Any] = answer.json()
        assert self.endpoint.secret_access_key not in answer.text
        assert self.endpoint.access_key_id not in answer.text
        return found

    def load(self, table: str, *paths: str) -> dict[str, Any]:
        uploads = [each["id"] for each in self.staged(*paths)]
        job = self.alice.post("/api/v1/loads", json={"table": table, "uploads": uploads}).json()
        while job["state"] == "RUNNING":
            job = self.alice.get(f"/api/v1/loads/{job['id']}", params={"wait": 30}).json()
        return job


@pytest.fixture(scope="module")
def world(embedded_s3: EmbeddedS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    endpoint = embedded_s3.endpoint
    engine = embedded_s3.engine_storage("s3://lake/loads")
    keys = {
        "endpoint": endpoint.url,
        "access_key_id": endpoint.access_key_id,
        "secret_access_key": endpoint.secret_access_key,
    }
    narrow = {"access_key_id": engine.access_key_id, "secret_access_key": engine.secret_access_key}
    locations = {
        "s3://dead/": keys | {"endpoint": "http://127.0.0.1:9"},
        "s3://refused": keys | narrow,
        "s3a://wrongkeys": keys | {"secret_access_key": "x" * 40},
    }
    server = Server(
        tmp_path_factory.mktemp("s3loads") / "home",
        *("--port", "0", "--no-samples", "--storage", "s3"),
        HEADWATER_S3__ENDPOINT=endpoint.url,
        HEADWATER_S3__ACCESS_KEY_ID=endpoint.access_key_id,
        HEADWATER_S3__SECRET_ACCESS_KEY=endpoint.secret_access_key,
        HEADWATER_S3__PREFIX="loads",
        HEADWATER_LOCATIONS=json.dumps(locations),
    )
    headers = {"authorization": f"Bearer {server.ready['token']}"}
    with httpx2.Client(
        base_url=server.ready["url"], headers=headers, timeout=60, trust_env=False
    ) as admin:
        made = World(server, admin, endpoint)
        yield made
        made.alice.close()
    assert server.stop() == 0


def test_a_file_is_previewed_and_loaded_like_an_upload(world: World) -> None:
    upload = world.staged(f"s3://{BUCKET}/in/2026/a.csv")[0]
    assert (upload["name"], upload["files"], upload["bytes"]) == ("a.csv", 1, 22)
    look = world.alice.post(f"/api/v1/uploads/{upload['id']}/preview", json={}).json()
    assert [(c["name"], c["type"]) for c in look["columns"]] == [
        ("id", "bigint"),
        ("city", "varchar"),
    ]
    assert look["rows"] == [["1", "Rome"], ["2", "Oslo"]]
    assert world.load("own.one", f"s3a://{BUCKET}/in/2026/a.csv")["rows"] == 2


def test_a_folder_a_pattern_and_several_at_once(world: World) -> None:
    folder = world.staged(f"s3://{BUCKET}/in/2026/")[0]
    assert (folder["name"], folder["files"]) == ("2026", 2), "markers are no data"
    look = world.alice.post(f"/api/v1/uploads/{folder['id']}/preview", json={}).json()
    assert (look["files"], look["table"], look["whole"]) == (2, "t_2026", False)
    assert world.load("own.folder", f"s3://{BUCKET}/in/2026")["rows"] == 3
    assert world.load("own.some", f"s3://{BUCKET}/in/20*/[ao]*.csv")["rows"] == 3
    assert world.load("own.deep", f"s3://{BUCKET}/in/20??/**/b.csv")["rows"] == 1
    two = (f"s3://{BUCKET}/in/2026/a.csv", f"s3://{BUCKET}/in/2025/")
    assert world.load("own.two", *two)["rows"] == 3


def test_parquet_and_json_keep_their_types(world: World) -> None:
    assert world.load("own.pq", f"s3://{BUCKET}/in/p/*.parquet")["rows"] == 2
    found = world.alice.get("/api/v1/tables/own.pq/overview").json()
    assert [(c["name"], c["type"]) for c in found["columns"]] == [
        ("id", "bigint"),
        ("at", "varchar"),
    ]
    assert world.load("own.js", f"s3://{BUCKET}/in/rows.ndjson")["rows"] == 2


@pytest.mark.parametrize(
    "path",
    [
        f"s3://{BUCKET}/in-private/p.csv",
        f"s3://{BUCKET}/in-private/",
        f"s3://{BUCKET}/i*/p.csv",
        f"s3://{BUCKET}/other/o.csv",
        f"s3://{BUCKET}/",
        f"s3://{BUCKET}/*",
        f"s3://{BUCKET}/in/secret/s.csv",
        f"s3://{BUCKET}/in/secret/*.csv",
        f"s3://{BUCKET}/in/secret",
        f"s3://{BUCKET}/in/*/s.csv",
        f"s3://{BUCKET}/in/**/*.csv",
        "s3://lake/loads/",
        "s3://lake/loads/own/one/data/*.parquet",
        "s3://lake/",
        "s3://never-granted/x.csv",
    ],
)
def test_what_was_not_granted_is_refused(world: World, path: str) -> None:
    found = world.refused(path)
    assert found["code"] == "PERMISSION_DENIED", found
    assert "SENTINEL" not in json.dumps(found)


@pytest.mark.parametrize(
    "path",
    [
        f"s3://{BUCKET}/in/../in-private/p.csv",
        f"s3://{BUCKET}/in/./2026/a.csv",
        f"s3://{BUCKET}/in/*/../../in-private/p.csv",
        f"s3://{BUCKET}/in//2026/a.csv",
        f"s3://{BUCKET}/in/%2e%2e/in-private/p.csv",
        f"s3://{BUCKET}/in\\..\\in-private/p.csv",
        f"s3://{BUCKET}/in/\x00/a.csv",
        "s3://*/in/2026/a.csv",
        "s3://exch*/in/2026/a.csv",
        f"s3://{BUCKET}@evil.example/in/a.csv",
        f"s3://{BUCKET}:80/in/a.csv",
        "s3://arn:aws:s3:eu:1:accesspoint/x/a.csv",
        "http://127.0.0.1/in/a.csv",
        "S3://exchange/in/2026/a.csv",
        "s3:/exchange/in/2026/a.csv",
    ],
)
def test_paths_that_are_none(world: World, path: str) -> None:
    assert world.refused(path)["code"] in ("INVALID_LOCATION", "PERMISSION_DENIED")


def test_the_warehouse_cannot_be_a_location(world: World) -> None:
    for place in ("s3://lake", "s3://lake/loads", "s3a://lake/loads/own"):
        grant = {
            "effect": "grant",
            "privileges": [{"privilege": "READ FILES"}],
            "on": {"kind": "location", "name": place},
            "to": [{"name": "alice", "kind": "user"}],
        }
        answer = world.admin.post("/api/v1/grants", json=grant)
        assert answer.json()["code"] == "INVALID_LOCATION", place


def test_what_is_wrong_is_told(world: World) -> None:
    for path, code, words in (
        (f"s3://{BUCKET}/in/none.csv", "FILE_NOT_FOUND", "nothing below"),
        (f"s3://{BUCKET}/in/*.parquet", "FILE_NOT_FOUND", "no file that matches"),
        ("s3://empty/", "FILE_NOT_FOUND", "nothing below"),
        ("s3://no-such-bucket/x.csv", "FILE_NOT_FOUND", "no"),
        ("s3://no-such-bucket/", "FILE_NOT_FOUND", "no bucket"),
        ("s3://dead/x.csv", "STORAGE_UNAVAILABLE", "does not answer"),
        ("s3://refused/x.csv", "STORAGE_UNAVAILABLE", "does not let this server read"),
        ("s3://wrongkeys/", "STORAGE_UNAVAILABLE", "does not take this server's keys"),
        (f"s3://{BUCKET}/in/mixed/", "INVALID_FILE", "different kinds: 1 csv, 1 json"),
        (f"s3://{BUCKET}/in/notes/readme.txt", "INVALID_FILE", "cannot be loaded"),
        (f"s3://{BUCKET}/in/notes/", "INVALID_FILE", "cannot be loaded"),
    ):
        found = world.refused(path)
        assert (found["code"], words in found["message"]) == (code, True), (path, found)


def test_listing_shows_what_may_be_read(world: World) -> None:
    def names(path: str) -> list[tuple[str, bool, str | None]]:
        answer = world.alice.get("/api/v1/locations/files", params={"path": path})
        answer.raise_for_status()
        return [(each["name"], each["folder"], each["format"]) for each in answer.json()]

    top = names(f"s3://{BUCKET}/in")
    assert ("rows.ndjson", False, "json") in top
    assert ("2026", True, None) in top
    assert "secret" not in [name for name, *_ in top]
    assert names("s3://empty") == []
    for path in (f"s3://{BUCKET}", f"s3://{BUCKET}/in/secret", "s3://lake/loads"):
        answer = world.alice.get("/api/v1/locations/files", params={"path": path})
        assert answer.json()["code"] == "PERMISSION_DENIED", path
    assert f"s3://{BUCKET}/in" in world.alice.get("/api/v1/onboarding").json()["locations"]


def test_names_that_are_no_paths_stop_a_folder(world: World) -> None:
    world.put("in/odd/a\nb.csv", b"id\n1\n")
    found = world.refused(f"s3://{BUCKET}/in/odd/")
    assert found["code"] == "INVALID_LOCATION", found
    assert "\n" not in found["message"]


def test_a_copy_belongs_to_who_began_it_and_can_be_dropped(world: World) -> None:
    made = world.stage(f"s3://{BUCKET}/in/2026/a.csv").json()
    theirs = world.admin.get(f"/api/v1/locations/stage/{made['id']}")
    assert theirs.status_code == 404
    world.alice.delete(f"/api/v1/locations/stage/{made['id']}").raise_for_status()
    upload = made["uploads"][0]["id"]
    assert world.alice.post(f"/api/v1/uploads/{upload}/preview", json={}).status_code == 404
    spool = world.server.home / "spool" / "uploads"
    held = {path.name for path in spool.iterdir()}
    again = world.staged(f"s3://{BUCKET}/in/2026/a.csv")[0]
    world.alice.delete(f"/api/v1/uploads/{again['id']}").raise_for_status()
    assert {path.name for path in spool.iterdir()} == held


def test_the_command_line(world: World, tmp_path: Path) -> None:
    run = world.server.run
    loaded = run("catalog", "load", f"s3://{BUCKET}/in/2026/", "-t", "own.cli", "--user", "alice")
    assert (loaded.returncode, loaded.stderr.strip()) == (0, "3 rows loaded into own.cli")
    denied = run("catalog", "load", f"s3://{BUCKET}/other/", "-t", "own.no", "--user", "alice")
    assert denied.returncode == 1
    assert denied.stderr.startswith("PERMISSION_DENIED: alice: needs READ FILES on location")
    own = tmp_path / "own.csv"
    own.write_text("id,city\n5,Kiel\n")
    both = run(
        *("catalog", "load", str(own), f"s3://{BUCKET}/in/2026/b.csv", "-t", "own.cli"),
        *("--mode", "append", "--user", "alice"),
    )
    assert both.stderr.strip() == "2 rows loaded into own.cli"


def test_it_is_audited(world: World) -> None:
    world.staged(f"s3://{BUCKET}/in/2025/")
    found = world.server.run(
        *("sql", "--format", "csv"),
        "SELECT outcome, action, statement FROM system.audit.events "
        f"WHERE securable LIKE '%s3://{BUCKET}/in/2025%' AND principal = 'alice'",
    )
    assert "READ FILES" in found.stdout, found
    assert f"LOAD FILES s3://{BUCKET}/in/" in found.stdout
