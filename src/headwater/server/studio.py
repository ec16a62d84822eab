"""The studio over HTTP: its built files, and its page for the addresses that are pages of it.

`web/` is built into the folder `studio` beside this file (see hatch_build.py). Names of assets
carry a hash of what is in them, so that browsers keep them for good; the page itself is asked for
each time, and carries a fresh nonce for the style elements that the editor makes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).with_name("studio")
"""Where the built studio lies; empty or missing when it has not been built."""

PAGES = ("data", "import", "connect", "query", "runs", "governance", "admin")
"""First part of the addresses that the studio itself draws, beside `/`."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_NONCE = "__CSP_NONCE__"
_FOREVER = "public, max-age=31536000, immutable"
_ALWAYS_ASK = "no-cache"

_UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Headwater</title>
<h1>The studio has not been built</h1>
<p>This server was started from sources without it. <code>make studio</code> builds it (with Node.js
20 or later, or with one that it installs); then reload this page.
<p>Everything else works: <a href="/api/docs">the API</a>, SQL, the command line.
"""


def routes() -> list[BaseRoute]:
    """The studio's routes; to be tried after all others."""
    paths = ["/", *(f"/{page}" for page in PAGES), *(f"/{page}/{{rest:path}}" for page in PAGES)]
    return [
        Route("/assets/{name}", _asset, methods=["GET"]),
        Route("/theme.js", _theme, methods=["GET"]),
        *(Route(path, _page, methods=["GET"]) for path in paths),
    ]


def content_policy(nonce: str) -> str:
    """What the page may do: nothing but with this very server; no script of the page's own text."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _page(_request: Request) -> Response:
    index = FOLDER / "index.html"
    if not index.is_file():
        return HTMLResponse(_UNBUILT, 503)
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        index.read_text(encoding="utf-8").replace(_NONCE, nonce),
        headers={
            "cache-control": _ALWAYS_ASK,
            "content-security-policy": content_policy(nonce),
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        },
    )


def _asset(request: Request) -> Response:
    name: str = request.path_params["name"]
    return _file(request, FOLDER / "assets", name, _FOREVER)


def _theme(request: Request) -> Response:
    return _file(request, FOLDER, "theme.js", _ALWAYS_ASK)


def _file(request: Request, folder: Path, name: str, cached: str) -> Response:
    """A built file, compressed when the client takes that and there is such a one."""
    path = folder / name
    kind = _TYPES.get(path.suffix)
    if kind is None or not _NAME.fullmatch(name) or not path.is_file():
        # Of an earlier build, most likely: a page that is still open asks for its parts.
        return Response("there is no such file in this build of the studio\n", 404)
    headers = {"cache-control": cached, "vary": "accept-encoding"}
    packed = path.with_name(f"{name}.gz")
    if _takes_gzip(request.headers) and packed.is_file():
        headers["content-encoding"] = "gzip"
        path = packed
    return FileResponse(path, media_type=kind, headers=headers)


def _takes_gzip(headers: Mapping[str, str]) -> bool:
    for offer in headers.get("accept-encoding", "").split(","):
        coding, _, quality = offer.partition(";")
        if coding.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
