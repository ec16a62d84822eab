"""A catalog whose tables lie on S3: read with the credentials that it vends, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headwater.errors import ErrorCode
from integration.connect.conftest import Lake, wait_fresh
from integration.server.conftest import Server

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The other catalog, on SeaweedFS."""
    home = tmp_path_factory.mktemp("bucket") / "home"
    lake = Lake(Server(home, "--port", "0", "--no-samples", "--storage", "s3"))
    yield lake
    lake.close()


def test_vended_credentials(here: Lake, bucket: Lake) -> None:
    bucket.sql("CREATE SCHEMA sea")
    bucket.sql("CREATE TABLE sea.fish AS SELECT 'cod' AS name, 3 AS kilos")
    here.sql("CREATE SCHEMA mine")
    here.sql("CREATE TABLE mine.prices AS SELECT 'cod' AS name, 2.5 AS price")
    login = {"authentication": "token", "secret": bucket.server.ready["token"]}
    uri = bucket.server.ready["iceberg_uri"]
    found = here.admin.post("/api/v1/connections/test", {"uri": uri, **login})
    assert found["locations"] == ["s3://lake/warehouse"]
    here.connect("deep", uri, locations=found["locations"], show=[{"namespace": ["sea"]}], **login)
    joined = (
        "SELECT f.kilos * p.price AS cost FROM deep_sea.fish f "
        "JOIN mine.prices p ON f.name = p.name"
    )
    assert [float(row["cost"]) for row in here.sql(joined)] == [7.5]
    bucket.sql("INSERT INTO sea.fish VALUES ('eel', 1)")
    bucket.sql("DELETE FROM sea.fish WHERE name = 'cod'")
    wait_fresh()
    assert here.sql("SELECT name FROM deep_sea.fish") == [{"name": "eel"}]
    assert here.sql('SELECT count(*) > 0 AS some FROM deep_sea."fish$files"') == [{"some": True}]
    here.sql("CREATE TABLE mine.copy AS SELECT * FROM deep_sea.fish")
    assert here.sql("SELECT name FROM mine.copy") == [{"name": "eel"}]
    here.admin.delete("/api/v1/connections/deep")
    here.connect("deep", uri, locations=["s3://lake/other"], show=[{"namespace": ["sea"]}], **login)
    refused = here.refused("SELECT name FROM deep_sea.fish")
    assert refused.code is ErrorCode.INVALID_LOCATION
