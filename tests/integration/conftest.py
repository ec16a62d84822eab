"""Fixtures that start real parts once for all integration tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.settings import S3Settings, Settings
from headwater.storage.open import Storage, open_storage
from headwater.storage.seaweed import EmbeddedS3

_prefixes = (f"warehouse-{number}" for number in itertools.count())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs SeaweedFS, so that `-m 'not s3'` leaves it out."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        by_name = "embedded_s3" in getattr(item, "fixturenames", ())
        if by_name or (callspec is not None and "s3" in callspec.params.values()):
            item.add_marker(pytest.mark.s3)


@pytest.fixture(scope="session")
def embedded_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    """A running SeaweedFS, as `headwater up --storage s3` starts it."""
    embedded = EmbeddedS3(tmp_path_factory.mktemp("embedded"))
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture
def s3_storage(embedded_s3: EmbeddedS3, tmp_path: Path) -> Storage:
    """An empty warehouse on the running SeaweedFS, reached as any S3 elsewhere is."""
    endpoint = embedded_s3.endpoint
    s3 = S3Settings.model_validate(
        {
            "endpoint": endpoint.url,
            "access_key_id": endpoint.access_key_id,
            "secret_access_key": endpoint.secret_access_key,
            "role_arn": embedded_s3.role_arn,
            "prefix": next(_prefixes),
            "credential_seconds": 900,
        }
    )
    return open_storage(Settings(storage="s3", s3=s3), tmp_path)


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty warehouse; every test that takes it runs on a local folder and on SeaweedFS."""
    if request.param == "s3":
        found: Storage = request.getfixturevalue("s3_storage")
        return found
    return open_storage(Settings(), tmp_path / "home")
