"""Operations on tables, but for commits."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import orjson

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedTable, ObjectKind
from headwater.catalog.objects import no_object
from headwater.catalog.updates import apply_updates
from headwater.gateway.iceberg_rest.permits import Permit, Permits
from headwater.gateway.iceberg_rest.wire import (
    NOTHING,
    Call,
    Reply,
    identifier_in,
    json_reply,
    loaded_reply,
    need,
)
from headwater.model.identifiers import TableIdentifier
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import WriteOperation
from headwater.storage.credentials import CredentialVendor, VendedCredentials

_ETAG_SECONDS = 300
_AGO_MS = 1000


class TableOperations:
    """Lists, makes, loads, drops, renames and registers tables; vends credentials."""

    def __init__(
        self,
        catalog: Catalog,
        permits: Permits,
        vendor: CredentialVendor,
        client_config: dict[str, str],
    ) -> None:
        self._catalog = catalog
        self._permits = permits
        self._vendor = vendor
        self._client_config = client_config

    def list(self, call: Call) -> Reply:
        """GET the tables of a namespace that the caller may see."""
        return list_objects(call, self._permits, ObjectKind.TABLE)

    def create(self, call: Call) -> Reply:
        """POST a table; with `stage-create` nothing is recorded until its commit."""
        body = call.json()
        identifier = TableIdentifier(call.namespace, need(body, "name", str))
        actor = self._permits.create(call, identifier)
        seal(call)
        if body.get("stage-create") is True:
            staged = self._catalog.stage_table(identifier, body)
            return self._reply(call, staged, Permit(actor, True))
        if call.outcome is not None:
            return self.replayed(call, identifier)
        made = self._catalog.create_table(identifier, body, actor, call.receipt)
        return self._reply(call, made, Permit(actor, True))

    def register(self, call: Call) -> Reply:
        """POST an existing metadata file as a table.

        It may be of a table that was dropped, whose policies are gone: so it takes the right to
        manage grants, too.
        """
        body = call.json()
        identifier = TableIdentifier(call.namespace, need(body, "name", str))
        call.user.write(identifier, WriteOperation.CREATE)
        call.user.check(Privilege.MANAGE_GRANTS, Securable.catalog())
        call.user.seal()
        if call.outcome is not None:
            return self.replayed(call, identifier)
        overwrite = body.get("overwrite") is True
        location, actor = need(body, "metadata-location", str), call.user.actor()
        made = self._catalog.register_table(identifier, location, overwrite, actor, call.receipt)
        return self._reply(call, made, Permit(actor, True))

    def load(self, call: Call) -> Reply:
        """GET a table, with credentials when they are asked for and there are some to give."""
        identifier = call.identifier
        permit = self._permits.load(call, identifier)
        loaded = self._catalog.table(identifier)
        laid = self._permits.groundwork(call, identifier)
        if laid is not None:
            seal(call)
            after = apply_updates(loaded.metadata, laid.updates)
            # The time of the change would be later than DuckDB's transaction: see _for_duckdb.
            after["last-updated-ms"] = loaded.metadata["last-updated-ms"]
            shown = _for_duckdb(after) or orjson.dumps(after)
            return self._reply(call, loaded, permit, metadata=shown)
        etag = self._etag(call, loaded)
        seal(call)
        if etag in [tag.strip() for tag in call.headers.get("if-none-match", "").split(",")]:
            return Reply(304, None, {"etag": etag})
        metadata = None
        if call.query.get("snapshots") == "refs":
            metadata = orjson.dumps(_with_referenced_snapshots(loaded.metadata))
        elif call.identity.engine_worker is not None:
            metadata = _for_duckdb(loaded.metadata)
        return self._reply(call, loaded, permit, metadata=metadata, etag=etag)

    def exists(self, call: Call) -> Reply:
        """HEAD a table."""
        self._permits.see(call, call.identifier, ObjectKind.TABLE)
        self._require(call.identifier)
        return NOTHING

    def drop(self, call: Call) -> Reply:
        """DELETE a table; with `purgeRequested` its files, too, some time later."""
        if call.outcome is None:
            call.user.write(call.identifier, WriteOperation.DROP)
            call.user.seal()
            purge = call.flag("purgeRequested")
            self._catalog.drop_table(call.identifier, purge, call.user.actor(), call.receipt)
        return NOTHING

    def rename(self, call: Call) -> Reply:
        """POST a table's new name."""
        body = call.json()
        source, target = identifier_in(body, "source"), identifier_in(body, "destination")
        if call.outcome is None:
            call.user.check(Privilege.ALTER, Securable.table(source))
            call.user.check(Privilege.CREATE_TABLE, Securable.schema(target.namespace))
            call.user.seal()
            self._catalog.rename_table(source, target, call.user.actor(), call.receipt)
        return NOTHING

    def credentials(self, call: Call) -> Reply:
        """GET fresh credentials for a table."""
        permit = self._permits.load(call, call.identifier)
        loaded = self._catalog.table(call.identifier)
        seal(call)
        vended = self._vend(call, loaded, permit)
        found = [] if vended is None else [_credentials(vended)]
        return json_reply({"storage-credentials": found})

    def metrics(self, call: Call) -> Reply:
        """POST a report of a scan or commit."""
        self._permits.see(call, call.identifier, ObjectKind.TABLE)
        entry = self._require(call.identifier)
        body = call.json()
        need(body, "report-type", str)
        if call.access is not None:
            call.user.seal()
            self._catalog.add_metrics(entry, body, call.user.actor())
        return NOTHING

    def replayed(self, call: Call, identifier: TableIdentifier) -> Reply:
        """The answer to a repeated request: the table as it became then."""
        assert call.outcome is not None
        permit = self._permits.load(call, identifier)
        seal(call)
        now = self._catalog.table(identifier)
        location = call.outcome.metadata_location or now.metadata_location
        content = self._catalog.warehouse.io.read_bytes(location)
        then = LoadedTable(identifier, now.uuid, orjson.loads(content), content, location, 0)
        return self._reply(call, then, permit)

    def committed(self, call: Call, loaded: LoadedTable) -> Reply:
        """The answer to a commit."""
        return loaded_reply(loaded, etag=self._etag(call, loaded))

    def _reply(
        self,
        call: Call,
        loaded: LoadedTable,
        permit: Permit,
        *,
        metadata: bytes | None = None,
        etag: str | None = None,
    ) -> Reply:
        linked = self._catalog.linked.holds(loaded.identifier.namespace)
        config: dict[str, str] = {} if linked else dict(self._client_config)
        vended = self._vend(call, loaded, permit) if call.delegated else None
        rest: dict[str, Any] = {}
        if vended is not None:
            config |= vended.config
            rest["storage_credentials"] = [_credentials(vended)]
        return loaded_reply(loaded, metadata=metadata, etag=etag, config=config, **rest)

    def _vend(self, call: Call, loaded: LoadedTable, permit: Permit) -> VendedCredentials | None:
        if call.access is None:
            # An engine worker has the storage's keys already.
            return None
        if self._catalog.linked.holds(loaded.identifier.namespace):
            # What its catalog gave us may reach further than this caller may, to write included.
            return None
        name = call.identity.principal.name
        return self._vendor.vend(loaded.location, write=permit.writable, session_name=name)

    def _etag(self, call: Call, loaded: LoadedTable) -> str:
        """Changes with the table, the caller, and the policies; and before credentials expire."""
        policies = 0 if call.access is None else call.access.state.epoch
        fresh = int(time.time()) // _ETAG_SECONDS if call.delegated else 0
        seen = (
            loaded.metadata_location,
            loaded.uuid,
            call.identity.principal.id,
            call.identity.role,
            policies,
            call.query.get("snapshots", "all"),
            call.delegated,
            fresh,
        )
        return f'"{hashlib.sha256(repr(seen).encode()).hexdigest()[:32]}"'

    def _require(self, identifier: TableIdentifier) -> Any:
        entry = self._catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            raise no_object(identifier, ObjectKind.TABLE)
        return entry


def list_objects(call: Call, permits: Permits, kind: ObjectKind) -> Reply:
    """The tables or views of a namespace that the caller may see."""
    visible = [
        found.identifier
        for found in permits.access.browser.tables(call.user.identity, call.namespace)
        if found.kind == kind.value
    ]
    page, following = call.page(visible)
    body: dict[str, Any] = {
        "identifiers": [{"namespace": list(i.namespace), "name": i.name} for i in page]
    }
    return json_reply(body | ({} if following is None else {"next-page-token": following}))


def seal(call: Call) -> None:
    """Writes the audit rows of the decisions taken so far, before anything is done or told."""
    if call.access is not None:
        call.access.seal()


def _with_referenced_snapshots(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata with only the snapshots that a branch or tag names (`snapshots=refs`)."""
    named = {ref["snapshot-id"] for ref in (metadata.get("refs") or {}).values()}
    kept = [s for s in metadata.get("snapshots") or () if s["snapshot-id"] in named]
    return {**metadata, "snapshots": kept}


def _for_duckdb(metadata: dict[str, Any]) -> bytes | None:
    """The metadata as DuckDB can write to it; None when that is what it is.

    It refuses a table with a write order, which is advice to writers (Iceberg table spec,
    "Sorting"): files say themselves whether they follow it. And it prefers an older state that it
    remembers when the table's last change is later than its transaction's start, which after a
    clock was set back would be so for long.
    """
    changes: dict[str, Any] = {}
    if metadata["default-sort-order-id"]:
        changes = {"default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}]}
    now_ms = time.time_ns() // 1_000_000
    if metadata["last-updated-ms"] > now_ms:
        changes["last-updated-ms"] = now_ms - _AGO_MS
    return orjson.dumps(metadata | changes) if changes else None


def _credentials(vended: VendedCredentials) -> dict[str, Any]:
    return {"prefix": vended.prefix, "config": vended.config}
