"""One server for all tests of Trino's clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.clients.lake import Lake, running_lake


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A running server; tests must leave its tables in `shop` as they found them."""
    with pytest.MonkeyPatch.context() as patch:
        # `requests` prefers these to the authority that a client was given.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        with running_lake(tmp_path_factory.mktemp("clients")) as running:
            yield running
