"""The studio's files over HTTP: caching, compression, policy; and the budget of what is built."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from headwater.server import studio

SHELL_BYTES = 300_000
APP_BYTES = 1_200_000

SCRIPT = b"console.log('studio')"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small studio, with a file beside it that nobody may read."""
    folder = tmp_path / "studio"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<meta name="csp-nonce" content="__CSP_NONCE__">')
    (folder / "theme.js").write_text("// theme")
    (folder / "manifest.json").write_text("{}")
    (folder / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "assets" / "notes.txt").write_text("of no type that is served")
    (tmp_path / "secret.js").write_text("secret")
    monkeypatch.setattr(studio, "FOLDER", folder)
    return folder


@pytest.fixture
def client(built: Path) -> TestClient:
    return TestClient(Starlette(routes=studio.routes()))


@pytest.mark.parametrize("path", ["/", "/query", "/data/sample/flights", "/governance/a/b"])
def test_pages_are_asked_for_each_time_and_carry_a_fresh_nonce(
    client: TestClient, path: str
) -> None:
    nonces = set()
    for _ in range(2):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
        nonce = answer.text.split('content="')[1].split('"')[0]
        policy = answer.headers["content-security-policy"]
        assert f"'nonce-{nonce}'" in policy
        assert len(nonce) >= 20
        nonces.add(nonce)
    assert len(nonces) == 2


def test_the_policy_allows_nothing_from_elsewhere_and_no_inline_text(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    for word in ("unsafe-inline", "unsafe-eval", "http:", "https:", "*"):
        assert word not in policy


def test_hashed_files_are_kept_for_good(client: TestClient) -> None:
    answer = client.get("/assets/index-abc.js")
    assert answer.content == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize("accepts", ["identity", "br", "gzip;q=0", "gzip; q=0.0"])
def test_compression_only_for_who_takes_it(client: TestClient, accepts: str) -> None:
    answer = client.get("/assets/index-abc.js", headers={"accept-encoding": accepts})
    assert answer.content == SCRIPT
    assert "content-encoding" not in answer.headers


def test_the_theme_script_may_change(client: TestClient) -> None:
    assert client.get("/theme.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/..%2f..%2fsecret.js",
        "/assets/%2e%2e/%2e%2e/secret.js",
        "/assets/..%5c..%5csecret.js",
        "/assets/.hidden.js",
        "/assets/notes.txt",
        "/assets/none.js",
        "/assets/",
        "/manifest.json",
        "/assets/index-abc.js%00.css",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_an_unbuilt_studio_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "FOLDER", tmp_path / "none")
    answer = TestClient(Starlette(routes=studio.routes())).get("/query")
    assert answer.status_code == 503
    assert "make studio" in answer.text


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, object]]:
    path = studio.FOLDER / "manifest.json"
    if not path.is_file():
        reason = "the studio is not built: make studio"
        if os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    read: dict[str, dict[str, object]] = json.loads(path.read_text())
    return read


def packed(*names: str) -> int:
    return sum((studio.FOLDER / f"{name}.gz").stat().st_size for name in names)


def test_the_shell_loads_in_less_than_300_kb(manifest: dict[str, dict[str, object]]) -> None:
    """What the browser fetches before the first page: the entry, and what it imports at once."""
    wanted = [key for key, chunk in manifest.items() if chunk.get("isEntry")]
    assert wanted
    files: set[str] = set()
    while wanted:
        chunk = manifest[wanted.pop()]
        if chunk["file"] in files:
            continue
        files.add(str(chunk["file"]))
        files.update(chunk.get("css", []))  # type: ignore[call-overload]
        wanted.extend(chunk.get("imports", []))  # type: ignore[call-overload]
    assert packed(*files) < SHELL_BYTES


def test_the_whole_app_is_less_than_1_2_mb(manifest: dict[str, dict[str, object]]) -> None:
    assert manifest
    total = sum(path.stat().st_size for path in (studio.FOLDER / "assets").glob("*.gz"))
    assert total < APP_BYTES


def test_the_built_studio_names_no_other_host(manifest: dict[str, dict[str, object]]) -> None:
    index = (studio.FOLDER / "index.html").read_text()
    assert "://" not in index
    assert "<style" not in index
    assert "__CSP_NONCE__" in index
