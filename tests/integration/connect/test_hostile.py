"""A catalog that lies, hangs, is gone, or wants us to read what it may not have."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from integration.connect.conftest import Lake, Liar


@pytest.fixture(scope="module")
def secret_table(here: Lake) -> dict[str, Any]:
    """An own table's metadata, as its server's administrator may know it."""
    here.sql("CREATE SCHEMA IF NOT EXISTS vault")
    here.sql("CREATE TABLE vault.secret AS SELECT 'SENTINEL-77' AS word")
    here.sql("CREATE USER mallory")
    return _metadata(here, "vault", "secret")


@pytest.fixture(scope="module")
def public_table(there: Lake) -> dict[str, Any]:
    there.sql("CREATE SCHEMA pub")
    there.sql("CREATE TABLE pub.t AS SELECT 42 AS x")
    return _metadata(there, "pub", "t")


@pytest.fixture
def tricked(here: Lake, there: Lake, liar: Liar, request: Any) -> Iterator[Lake]:
    """`here`, connected to the liar as `lie`; it may read the other server's warehouse."""
    liar.says("/v1/namespaces/ns/tables", {"identifiers": []})
    here.connect(
        "lie", liar.url, locations=[there.warehouse], show=[{"namespace": ["ns"], "schema": "lie"}]
    )
    yield here
    here.admin.delete("/api/v1/connections/lie")
    assert not [each for each in here.admin.get("/api/v1/connections") if each["name"] == "lie"]


def _metadata(lake: Lake, schema: str, table: str) -> dict[str, Any]:
    answer = lake.admin.get(f"/iceberg/v1/lake/namespaces/{schema}/tables/{table}")
    found: dict[str, Any] = answer["metadata"]
    return found


def test_an_honest_answer_is_read(tricked: Lake, liar: Liar, public_table: dict[str, Any]) -> None:
    liar.has("t", public_table)
    assert tricked.sql("SELECT x FROM lie.t") == [{"x": 42}]


def test_files_of_ours_and_of_the_machine_are_refused(
    tricked: Lake, liar: Liar, secret_table: dict[str, Any], public_table: dict[str, Any]
) -> None:
    inner = f"file://{tricked.warehouse}"
    elsewhere = copy.deepcopy(public_table)
    elsewhere["location"] = "file:///etc"
    listed = copy.deepcopy(public_table)
    listed["snapshots"][0]["manifest-list"] = secret_table["snapshots"][0]["manifest-list"]
    dotted = copy.deepcopy(public_table)
    dotted["snapshots"][0]["manifest-list"] = (
        public_table["location"] + "/../../../" + "here/home/metastore.db"
    )
    s3 = copy.deepcopy(public_table)
    s3["location"] = "s3://somebody/else"
    bad = (secret_table, elsewhere, listed, dotted, s3)
    for number, metadata in enumerate(bad):
        liar.has(f"t{number}", metadata)
    for number in range(len(bad)):
        refused = tricked.refused(f"SELECT * FROM lie.t{number}")
        assert refused.code is ErrorCode.INVALID_LOCATION, (number, refused)
        assert "SENTINEL" not in str(refused)
        assert "lie" in refused.message
    assert inner not in json.dumps(tricked.admin.get("/api/v1/connections"))


def test_a_manifest_that_names_our_file_is_refused(
    tricked: Lake, there: Lake, liar: Liar, secret_table: dict[str, Any],
    public_table: dict[str, Any],
) -> None:  # fmt: skip
    """The manifest list and manifest lie where they may; the data file that they name does not."""
    folder = Path(there.warehouse) / "evil" / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = copy.deepcopy(secret_table)
    listed = Path(secret_table["snapshots"][0]["manifest-list"].removeprefix("file://"))
    content = listed.read_bytes()
    ours = secret_table["location"].removeprefix("file://")
    import fastavro

    with listed.open("rb") as file:
        reader: Any = fastavro.reader(file)
        schema, rows = reader.writer_schema, list(reader)
    assert ours.encode() in content
    for number, row in enumerate(rows):
        manifest = Path(row["manifest_path"].removeprefix("file://"))
        (folder / f"m{number}.avro").write_bytes(manifest.read_bytes())
        row["manifest_path"] = f"file://{folder}/m{number}.avro"
    with (folder / "list.avro").open("wb") as file:
        fastavro.writer(file, schema, rows)
    metadata["location"] = f"file://{folder.parent}"
    metadata["metadata-log"] = []
    metadata["snapshots"][0]["manifest-list"] = f"file://{folder}/list.avro"
    liar.has("evil", metadata)
    refused = tricked.refused("SELECT * FROM lie.evil")
    assert refused.code is ErrorCode.INVALID_LOCATION, refused
    # The same by a symbolic link below the location that was named.
    link = folder.parent / "data"
    os.symlink(Path(ours) / "data", link)
    data = next((Path(ours) / "data").rglob("*.parquet"))
    for number, row in enumerate(rows):
        with (folder / f"m{number}.avro").open("rb") as file:
            reader = fastavro.reader(file)
            entry_schema, headers = reader.writer_schema, reader.metadata
            entries = list(reader)
        for entry in entries:
            entry["data_file"]["file_path"] = (
                f"file://{link}/{data.relative_to(Path(ours) / 'data')}"
            )
        kept = {key: value for key, value in headers.items() if not key.startswith("avro.")}
        row["manifest_path"] = f"file://{folder}/n{number}.avro"
        with (folder / f"n{number}.avro").open("wb") as file:
            fastavro.writer(file, entry_schema, entries, metadata=kept)
        row["manifest_length"] = (folder / f"n{number}.avro").stat().st_size
    with (folder / "list2.avro").open("wb") as file:
        fastavro.writer(file, schema, rows)
    metadata["snapshots"][0]["manifest-list"] = f"file://{folder}/list2.avro"
    liar.has("evil2", metadata)
    time.sleep(1.05)
    refused = tricked.refused("SELECT * FROM lie.evil2")
    assert refused.code is ErrorCode.INVALID_LOCATION, refused
    assert "SENTINEL" not in str(refused)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"[]", b"null", b'{"metadata": 1}', b'{"metadata": {}}',
        b'{"metadata": {"format-version": 2, "table-uuid": "x"}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_garbage(tricked: Lake, liar: Liar, body: bytes, public_table: dict[str, Any]) -> None:
    liar.has("t", public_table)
    liar.says("/v1/namespaces/ns/tables/t", body)
    refused = tricked.refused("SELECT * FROM lie.t")
    assert refused.code is ErrorCode.CONNECTION_FAILED, refused
    assert "connection lie" in refused.message
    assert tricked.sql("SELECT 1 AS x") == [{"x": 1}]


def test_redirects_and_errors_are_not_followed_or_repeated(
    tricked: Lake, liar: Liar, public_table: dict[str, Any]
) -> None:
    liar.has("t", public_table)
    path = "/v1/namespaces/ns/tables/t"
    liar.says(path, {"error": {"message": "<script>LEAK</script>"}}, 302, location="/elsewhere")
    refused = tricked.refused("SELECT * FROM lie.t")
    assert refused.code is ErrorCode.CONNECTION_FAILED
    assert "LEAK" not in str(refused)
    assert not [each for each, _ in liar.seen if "elsewhere" in each]


def test_an_answer_without_end_or_too_large(
    tricked: Lake, liar: Liar, public_table: dict[str, Any]
) -> None:
    liar.has("t", public_table)
    liar.says("/v1/namespaces/ns/tables/t", b" " * (65 * 1024 * 1024))
    refused = tricked.refused("SELECT * FROM lie.t")
    assert refused.code is ErrorCode.CONNECTION_FAILED
    assert "larger" in refused.message


def test_a_catalog_that_is_gone_harms_nothing_else(
    tricked: Lake, liar: Liar, public_table: dict[str, Any]
) -> None:
    liar.has("t", public_table)
    assert tricked.sql("SELECT x FROM lie.t") == [{"x": 42}]
    liar.stop()
    time.sleep(3.2)
    refused = tricked.refused("SELECT x FROM lie.t")
    assert refused.code is ErrorCode.CONNECTION_FAILED
    assert "connection lie" in refused.message
    began = time.monotonic()
    assert tricked.sql("SELECT count(*) AS n FROM vault.secret") == [{"n": 1}]
    assert {"Table": "t"} in tricked.sql("SHOW TABLES FROM lie")
    assert tricked.sql(
        "SELECT count(*) > 0 AS some FROM information_schema.columns WHERE table_schema = 'vault'"
    ) == [{"some": True}]
    assert tricked.admin.get("/api/v1/find", q="secret")
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("uri", "more"),
    [
        ("http://169.254.169.254/latest", {}),
        ("http://[fd00:ec2::254]/", {}),
        ("http://0.0.0.0:1", {}),
        ("http://[::ffff:169.254.169.254]/", {}),
        ("file:///etc/passwd", {}),
        ("http://user:pw@127.0.0.1/", {}),
        ("http://catalog.example/", {"authentication": "token", "secret": "s"}),
        ("http://127.0.0.1:1/x y", {}),
    ],
)
def test_addresses_that_no_catalog_has(here: Lake, uri: str, more: dict[str, str]) -> None:
    with pytest.raises(HeadwaterError) as caught:
        here.admin.post("/api/v1/connections/test", {"uri": uri, **more})
    assert caught.value.code in (ErrorCode.CONNECTION_FAILED, ErrorCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("location", ["home", "warehouse", "/etc", "/", "/proc/self", "relative"])
def test_locations_that_are_ours_or_the_machines(here: Lake, liar: Liar, location: str) -> None:
    liar.says("/v1/namespaces/ns/tables", {"identifiers": []})
    named = {"home": str(here.server.home), "warehouse": here.warehouse}.get(location, location)
    with pytest.raises(HeadwaterError) as caught:
        here.connect("bad", liar.url, locations=[named], show=[{"namespace": ["ns"]}])
    assert caught.value.code is ErrorCode.INVALID_LOCATION
    assert here.admin.get("/api/v1/connections") == []


@pytest.mark.usefixtures("secret_table")
def test_a_connection_that_fails_leaves_nothing(here: Lake, there: Lake, liar: Liar) -> None:
    liar.says("/v1/namespaces/ns/tables", {"identifiers": []})
    with pytest.raises(HeadwaterError) as caught:
        here.connect(
            "half",
            liar.url,
            authentication="token",
            secret="s3cr3t",
            locations=[there.warehouse],
            show=[{"namespace": ["ns"]}, {"namespace": ["ns"], "schema": "vault"}],
        )
    assert caught.value.code is ErrorCode.SCHEMA_ALREADY_EXISTS
    assert here.admin.get("/api/v1/connections") == []
    folder = here.server.home / "connections"
    assert not folder.exists() or not list(folder.iterdir())
    assert {"Schema": "half_ns"} not in here.sql("SHOW SCHEMAS")


def test_client_credentials(here: Lake, liar: Liar) -> None:
    token = {"access_token": "given", "token_type": "bearer", "expires_in": 3600}
    liar.says("/v1/oauth/tokens", token)
    found = here.admin.post(
        "/api/v1/connections/test",
        {"uri": liar.url, "authentication": "oauth2", "client_id": "c", "secret": "s"},
    )
    assert found["namespaces"] == [["ns"]]
    asked = [headers for path, headers in liar.seen if path.startswith("/v1/namespaces")]
    assert asked
    assert all(headers["authorization"] == "Bearer given" for headers in asked)
