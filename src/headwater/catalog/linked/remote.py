"""A client of another Iceberg REST catalog that only reads; nothing it answers is trusted.

Errors name the connection and never repeat what the catalog said: that could be anything, the
secret that it was sent included.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson

from headwater.catalog.linked.definition import Connection
from headwater.catalog.linked.http import Answer, HttpError, origin_of, send
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier

Json = dict[str, Any]

SECONDS = 10.0
_AT_ONCE = 8
_TURN_SECONDS = 2.0
_MOST_METADATA = 64 * 1024 * 1024
_MOST = 8 * 1024 * 1024
_PAGES = 100
_MOST_NAMES = 20_000
_DEEPEST = 4
_MANY_NAMESPACES = 200
_CONFIG_SECONDS = 300.0
_TOKEN_SECONDS = 300.0
_FAILED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class RemoteTable:
    """What the other catalog answers to loading a table; `config` and credentials hold secrets."""

    metadata: Json = field(repr=False)
    metadata_json: bytes = field(repr=False)
    metadata_location: str
    etag: str | None
    config: dict[str, str] = field(repr=False)
    credentials: list[tuple[str, dict[str, str]]] = field(repr=False)


class RemoteCatalog:
    """Asks one catalog; thread-safe. A failure is remembered for a few seconds."""

    def __init__(self, connection: Connection, secret: str | None) -> None:
        self.connection = connection
        self._secret = secret
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._config: tuple[float, str, str, str] | None = None
        self._token: tuple[float, str] | None = None
        self._failed: tuple[float, str] | None = None

    def namespaces(self) -> list[Namespace]:
        """All namespaces at the first few levels, by name; of many, the outermost ones."""
        found: list[Namespace] = []
        parents: list[Namespace] = [()]
        for _ in range(_DEEPEST):
            below: list[Namespace] = []
            for parent in parents:
                below += self._children(parent)
                if len(found) + len(below) > _MOST_NAMES:
                    raise self._failure("it has too many namespaces")
            found += below
            parents = below
            if len(found) > _MANY_NAMESPACES:
                break
        return sorted(set(found))

    def tables(self, namespace: Namespace) -> list[str]:
        """The names of the tables in a namespace; SCHEMA_NOT_FOUND when there is none."""
        names: list[str] = []
        for page in self._pages(f"namespaces/{self._path(namespace)}/tables", {}):
            found = [each for each in _items(page, "identifiers") if isinstance(each, dict)]
            names += [each["name"] for each in found if isinstance(each.get("name"), str)]
            if len(names) > _MOST_NAMES:
                raise self._failure("a namespace has too many tables")
        return sorted(set(names))

    def load(self, table: TableIdentifier, etag: str | None) -> RemoteTable | None:
        """A table's current state; None when it is still the one of `etag`. TABLE_NOT_FOUND."""
        path = f"namespaces/{self._path(table.namespace)}/tables/{quote(table.name, safe='')}"
        headers = {"x-iceberg-access-delegation": "vended-credentials"}
        if etag is not None:
            headers["if-none-match"] = etag
        answer = self._get(path, {}, headers, _MOST_METADATA)
        if answer.status == 304 and etag is not None:
            return None
        if answer.status == 404:
            raise error(ErrorCode.TABLE_NOT_FOUND, f"Table does not exist: {table}")
        body = self._json(answer)
        metadata = body.get("metadata")
        if not isinstance(metadata, dict):
            raise self._failure("it answered without table metadata")
        if not isinstance(metadata.get("properties"), dict):
            metadata["properties"] = {}
        location = body.get("metadata-location")
        tag = answer.headers.get("etag", "")
        stored = [
            (each["prefix"], _texts(each.get("config")))
            for each in _items(body, "storage-credentials")
            if isinstance(each, dict) and isinstance(each.get("prefix"), str)
        ]
        return RemoteTable(
            metadata,
            orjson.dumps(metadata),
            location if isinstance(location, str) and len(location) < 4096 else "",
            tag if 0 < len(tag) < 1024 and tag.isprintable() else None,
            _texts(body.get("config")),
            stored,
        )

    # --- requests -------------------------------------------------------------------------------

    def _children(self, parent: Namespace) -> list[Namespace]:
        query = {"parent": self._joined(parent)} if parent else {}
        found: list[Namespace] = []
        for page in self._pages("namespaces", query):
            for each in _items(page, "namespaces"):
                levels = tuple(each) if isinstance(each, list) else ()
                if all(isinstance(level, str) and level for level in levels) and (
                    levels[:-1] == parent
                ):
                    found.append(levels)
        return found

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        token: str | None = None
        for _ in range(_PAGES):
            more = {"pageToken": token} if token is not None else {"pageToken": ""}
            answer = self._get(path, {**query, **more, "pageSize": "1000"}, {}, _MOST)
            if answer.status == 404:
                raise error(ErrorCode.SCHEMA_NOT_FOUND, "the namespace does not exist")
            page = self._json(answer)
            yield page
            token = page.get("next-page-token")
            if not isinstance(token, str) or not token or len(token) > 8192:
                return
        raise self._failure("its listing does not end")

    def _get(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], most: int
    ) -> Answer:
        base, prefix, _ = self._configured()
        where = f"{base}/v1/{prefix}/{path}" if prefix else f"{base}/v1/{path}"
        text = urlencode(query)
        return self._asked(f"{where}?{text}" if text else where, headers, most)

    def _configured(self) -> tuple[str, str, str]:
        """Base URL, quoted prefix and namespace separator, as `/v1/config` says."""
        now = time.monotonic()
        with self._lock:
            known = self._config
        if known is not None and now - known[0] < _CONFIG_SECONDS:
            return known[1:]
        connection = self.connection
        query = urlencode({"warehouse": connection.warehouse}) if connection.warehouse else ""
        url = f"{connection.uri}/v1/config" + (f"?{query}" if query else "")
        answer = self._asked(url, {}, _MOST)
        if answer.status == 404:
            raise self._failure(
                "it knows no such warehouse, or there is no Iceberg REST catalog",
                hint="check the URL (what comes before /v1) and the warehouse",
            )
        body = self._json(answer)
        said = {**_texts(body.get("defaults")), **_texts(body.get("overrides"))}
        base = connection.uri
        moved = said.get("uri", "").rstrip("/")
        # Another origin would get the secret: only another path of the same one is followed.
        with contextlib.suppress(ValueError):
            if moved and origin_of(moved) == origin_of(base):
                base = moved
        prefix = quote(connection.prefix or said.get("prefix", "").strip("/"), safe="/")
        if {".", ".."} & set(prefix.split("/")):
            raise self._failure("it names a prefix that is no path")
        separator = said.get("namespace-separator", "%1F")
        found = (base, prefix, separator if separator.isprintable() else "%1F")
        with self._lock:
            self._config = (now, *found)
        return found

    def _asked(self, url: str, headers: Mapping[str, str], most: int) -> Answer:
        """The answer, of any status that is no failure of the catalog's."""
        for attempt in (1, 2):
            answer = self._sent("GET", url, {**headers, **self._authorization()}, None, most)
            if answer.status == 401 and attempt == 1 and self._forget_token():
                continue
            break
        if answer.status in (401, 403):
            raise self._failure(
                f"it refuses the login (status {answer.status})",
                hint="check the secret, its expiry, and what it may read there",
            )
        if answer.status not in (200, 304, 404):
            raise self._failure(f"it answered with status {answer.status}", remember=True)
        return answer

    def _authorization(self) -> dict[str, str]:
        kind = self.connection.authentication
        if kind == "none" or self._secret is None:
            return {}
        if kind == "token":
            return {"authorization": f"Bearer {self._secret}"}
        with self._lock:
            known = self._token
        if known is None or time.monotonic() >= known[0]:
            known = self._exchange(self._secret)
            with self._lock:
                self._token = known
        return {"authorization": f"Bearer {known[1]}"}

    def _exchange(self, secret: str) -> tuple[float, str]:
        """OAuth2 client credentials (RFC 6749, section 4.4) into a token."""
        connection = self.connection
        form = {
            "grant_type": "client_credentials",
            "client_id": connection.client_id,
            "client_secret": secret,
            **({"scope": connection.scope} if connection.scope else {}),
        }
        answer = self._sent(
            "POST",
            connection.token_uri or f"{connection.uri}/v1/oauth/tokens",
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
            _MOST,
        )
        if answer.status != 200:
            raise self._failure(
                f"its token endpoint refuses the client (status {answer.status})",
                hint="check client id, secret, scope and token URL",
            )
        body = self._json(answer)
        token, lives = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._failure("its token endpoint gave no token")
        seconds = float(lives) if isinstance(lives, int | float) else _TOKEN_SECONDS
        return time.monotonic() + max(5.0, min(seconds, 86400.0) - 30.0), token

    def _forget_token(self) -> bool:
        with self._lock:
            had, self._token = self._token is not None, None
        return had

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, most: int
    ) -> Answer:
        with self._lock:
            failed = self._failed
        if failed is not None and time.monotonic() < failed[0]:
            raise self._failure(failed[1])
        # A slow catalog must not take all of the server's threads.
        if not self._turns.acquire(timeout=_TURN_SECONDS):
            raise self._failure("too many requests wait for its answers")
        try:
            return send(
                method,
                url,
                headers={"accept": "application/json", "user-agent": "headwater", **headers},
                body=body,
                ca_cert=self.connection.ca_cert or None,
                seconds=SECONDS,
                most=most,
            )
        except HttpError as exc:
            raise self._failure(str(exc), remember=True) from None
        finally:
            self._turns.release()

    def _json(self, answer: Answer) -> Json:
        if answer.status != 200:
            raise self._failure(f"it answered with status {answer.status}")
        try:
            body = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise self._failure("its answer is not JSON") from None
        if not isinstance(body, dict):
            raise self._failure("its answer is not what an Iceberg REST catalog says")
        return body

    def _path(self, namespace: Namespace) -> str:
        # The separator is written encoded: its own per cent sign must stay one.
        _, _, separator = self._configured()
        plain = separator if separator.startswith("%") else quote(separator, safe="")
        return plain.join(quote(level, safe="") for level in namespace)

    def _joined(self, namespace: Namespace) -> str:
        _, _, separator = self._configured()
        return unquote(separator).join(namespace)

    def _failure(
        self, why: str, *, hint: str | None = None, remember: bool = False
    ) -> HeadwaterError:
        if remember:
            with self._lock:
                self._failed = (time.monotonic() + _FAILED_SECONDS, why)
        return failure(self.connection.name, why, hint=hint)


def failure(name: str, why: str, *, hint: str | None = None) -> HeadwaterError:
    """The CONNECTION_FAILED error of a connection."""
    return error(
        ErrorCode.CONNECTION_FAILED,
        f"connection {name}: {why}",
        hint=hint or f"see `headwater connection test {name}`; all else works on",
    )


def _items(page: Mapping[str, Any], key: str) -> list[Any]:
    found = page.get(key)
    return found if isinstance(found, list) else []


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}
