"""The only doors to tables: a request of one caller that scans, writes, checks, and is audited.

    request = access.begin(identity, request_id="…", statement=sql)
    scan = request.scan(TableIdentifier(("sample",), "flights"))
    request.seal()                      # the audit rows are on disk; only now may anything run
    …
    request.finish(outcome="done", error_code=None, rows=10)

Every decision is an audit event; `Decision.id` is its id. A refusal is written at once.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedTable, ObjectKind
from headwater.catalog.names import check_name
from headwater.catalog.schema import current_schema, resolve_snapshot
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.audit import AuditLog
from headwater.governance.browse import Browser, view_columns
from headwater.governance.decide import EXISTS_BY, Path, Rights, rights
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.locations import location_path
from headwater.governance.redact import redacted, statement_hash
from headwater.governance.resolve import (
    CATALOG_NODE,
    Paths,
    may_impersonate,
    schema_not_found,
    schema_read,
    table_not_found,
)
from headwater.governance.restrict import Restriction, restrict
from headwater.governance.sealing import sealed_by
from headwater.governance.state import PolicyStore, State, Subject
from headwater.governance.writes import check_columns, refuse_restricted, writable
from headwater.model.identifiers import CURRENT, SnapshotRef, TableIdentifier
from headwater.model.principal import Actor, Identity
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.model.scan import (
    Decision,
    GovernedScan,
    GovernedView,
    GovernedWrite,
    WriteOperation,
)

_CACHE_SIZE = 4096
_KNOWN_TO_ALL = (SecurableKind.CATALOG, SecurableKind.PRINCIPAL, SecurableKind.LOCATION)


@dataclass(frozen=True, slots=True)
class _Target:
    """A table as decided on: its state, its rights for the caller, and what is left of it."""

    loaded: LoadedTable
    rights: Rights
    restriction: Restriction
    snapshot_id: int | None


class Access:
    """Begins requests; remembers what policies make of a table until either changes."""

    def __init__(self, catalog: Catalog, store: PolicyStore, audit: AuditLog, paths: Paths) -> None:
        self.catalog = catalog
        self.store = store
        self.audit = audit
        self.paths = paths
        self.browser = Browser(catalog, store, paths)
        self._lock = threading.Lock()
        self._restrictions: dict[Any, Restriction] = {}
        self._epoch = -1

    def begin(
        self,
        identity: Identity,
        *,
        request_id: str,
        client: str = "",
        statement: str | None = None,
        query_id: str = "",
    ) -> AccessRequest:
        """A request of the caller, decided by the policies as they are now.

        Raises UNAUTHENTICATED for a principal that may not log in, PERMISSION_DENIED for a role it
        does not hold.
        """
        state = self.store.current()
        subject = state.subject(identity)
        facts = {
            "request_id": request_id,
            "query_id": query_id,
            "session_id": identity.session_id,
            "principal": subject.principal.name,
            "principal_id": subject.principal.id,
            "role": identity.role,
            "purpose": identity.purpose,
            "client": client or identity.client,
            "policy_epoch": state.epoch,
            **({"impersonator": identity.owner.name} if identity.impersonator else {}),
        }
        return AccessRequest(self, state, subject, identity, facts, statement)

    def impersonate(self, identity: Identity, user: str, *, request_id: str) -> Identity:
        """The identity of another user for a caller that holds IMPERSONATE; audited.

        Of that user or on the catalog. Raises PERMISSION_DENIED, also for a user that does not
        exist: who may not impersonate learns no names.
        """
        request = self.begin(identity, request_id=request_id)
        found = request.state.find(user)
        securable = Securable(SecurableKind.PRINCIPAL, name=user)
        if found is not None and found.id == identity.principal.id:
            return identity
        if found is None or not may_impersonate(request.state, request.subject, found):
            raise request.refusal("IMPERSONATE", securable, f"needs IMPERSONATE on user {user}")
        request.state.subject(Identity(found))
        request.allow("IMPERSONATE", securable, reasons=["IMPERSONATE granted"])
        request.seal()
        return replace(identity, principal=found, role=None, impersonator=identity.owner)

    def restriction(
        self,
        state: State,
        subjects: tuple[Subject, ...],
        loaded: LoadedTable,
        path: Path,
        fields: list[dict[str, Any]],
        by: tuple[Privilege, ...],
    ) -> Restriction:
        """`restrict`, remembered for this policy epoch and these fields of the table."""
        callers = tuple((s.principal.id, s.role, s.active, s.held) for s in subjects)
        # By the fields and not by the table's state, which every commit changes.
        key = (loaded.uuid, orjson.dumps(fields), path, callers, by)
        with self._lock:
            if state.epoch != self._epoch or len(self._restrictions) > _CACHE_SIZE:
                self._restrictions, self._epoch = {}, state.epoch
            known = self._restrictions.get(key)
        if known is None:
            known = restrict(state, subjects, loaded.uuid, path, fields, by)
            with self._lock:
                if state.epoch == self._epoch:
                    self._restrictions[key] = known
        return known


class AccessRequest:
    """The decisions of one caller for one statement; used by one thread."""

    def __init__(
        self,
        access: Access,
        state: State,
        subject: Subject,
        identity: Identity,
        facts: Mapping[str, Any],
        statement: str | None,
    ) -> None:
        self.identity = identity
        self.subject = subject
        self.state = state
        self._access = access
        self._facts = dict(facts)
        self._statement = statement
        self._pending: list[dict[str, Any]] = []
        self.decision_ids: list[str] = []
        self._views: dict[TableIdentifier, tuple[Subject, ...]] = {}
        self._started_ms = now_ms()

    def scan(
        self,
        identifier: TableIdentifier,
        at: SnapshotRef = CURRENT,
        *,
        via: TableIdentifier | None = None,
    ) -> GovernedScan:
        """What the caller may read of a table; `via` is the view whose text names it.

        Raises TABLE_NOT_FOUND when the table does not exist for the caller, PERMISSION_DENIED when
        it does but may not be read, SNAPSHOT_NOT_FOUND.
        """
        target = self._read(identifier, at, via)
        restriction = target.restriction
        decision = self.allow(
            "SELECT",
            Securable.table(identifier),
            reasons=[target.rights.reasons.get(Privilege.SELECT, "SELECT on columns")]
            if via is None
            else [f"SELECT through view {via}"],
            object_id=target.loaded.uuid,
            snapshot_id=target.snapshot_id,
            columns=[column.name for column in restriction.columns],
            policies=list(restriction.policies),
        )
        scan = self._scan_of(identifier, at, target, decision)
        return scan if via is None else replace(scan, through_view=True)

    def view(
        self, identifier: TableIdentifier, *, via: TableIdentifier | None = None
    ) -> GovernedView:
        """A view that the caller may read; `via` is the view whose text names it.

        Raises TABLE_NOT_FOUND as `scan` does.
        """
        entry = self._access.catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.VIEW:
            raise self._missing(identifier)
        path = self._access.paths.object(entry, self.state.epoch)
        readers = self._readers(via)
        for reader in readers:
            seen = rights(self.state, reader, path)
            if reader is readers[-1]:
                self._require(seen, Privilege.SELECT, identifier, SecurableKind.VIEW, via)
            elif Privilege.SELECT in seen.denied or Privilege.DESCRIBE in seen.denied:
                raise self.refusal("SELECT", Securable.view(identifier), "a deny covers the view")
        loaded = self._access.catalog.view(identifier)
        owner = self.state.owners.get(entry.uuid)
        definer = self.state.principals.get(owner or "")
        decision = self.allow(
            "SELECT",
            Securable.view(identifier),
            reasons=["SELECT on the view"],
            object_id=entry.uuid,
        )
        version = loaded.current
        text = next(r for r in version["representations"] if r.get("type", "sql") == "sql")
        if definer is not None and definer.id not in self.state.disabled:
            self._views[identifier] = (*readers, self.state.subject(Identity(definer)))
        return GovernedView(
            identifier=identifier,
            view_uuid=entry.uuid,
            sql=text["sql"],
            dialect=text["dialect"],
            default_namespace=tuple(version.get("default-namespace") or ()),
            columns=view_columns(loaded),
            definer=definer.name if definer else None,
            decision=decision,
            comment=(loaded.metadata.get("properties") or {}).get("comment"),
        )

    def write(
        self,
        identifier: TableIdentifier,
        operation: WriteOperation,
        *,
        columns: Iterable[str] | None = None,
    ) -> GovernedWrite:
        """What the caller may write to a table; `columns` are those that the statement assigns.

        Raises TABLE_NOT_FOUND, COLUMN_NOT_FOUND or PERMISSION_DENIED.
        """
        if operation is WriteOperation.CREATE:
            return self._create(identifier)
        entry = self._access.catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            raise self._missing(identifier)
        path = self._access.paths.object(entry, self.state.epoch)
        seen = rights(self.state, self.subject, path)
        for privilege in operation.privileges:
            self._require(seen, privilege, identifier, SecurableKind.TABLE)
        self._access.catalog.linked.require_own(identifier.namespace, identifier.name)
        by = (*EXISTS_BY, *operation.privileges)
        target = self._target(identifier, CURRENT, (self.subject,), path, seen, by)
        fields = current_schema(target.loaded.metadata)["fields"]
        securable = Securable.table(identifier)
        try:
            refuse_restricted(operation, target.restriction, identifier)
            assignable = writable(operation, seen, target.restriction, fields)
            check_columns(operation, columns, assignable, target.restriction, fields, identifier)
        except HeadwaterError as exc:
            self._record_refusal(operation.value, securable, exc.message)
            raise
        decision = self.allow(
            operation.value.upper(),
            securable,
            reasons=[seen.reasons.get(p, str(p)) for p in operation.privileges],
            object_id=target.loaded.uuid,
            columns=[column.name for column in assignable],
            policies=list(target.restriction.policies),
        )
        read = None
        if Privilege.SELECT in operation.privileges:
            read = self._target(identifier, CURRENT, (self.subject,), path, seen)
        return GovernedWrite(
            identifier=target.loaded.identifier,
            table_uuid=target.loaded.uuid,
            operation=operation,
            columns=assignable,
            row_filter=target.restriction.row_filter,
            decision=decision,
            scan=self._scan_of(identifier, CURRENT, read, decision) if read else None,
            masked_columns=frozenset(
                column.name for column in target.restriction.columns if column.mask
            ),
        )

    def check(self, privilege: Privilege, securable: Securable) -> Decision:
        """Allows a definition, or raises.

        TABLE_NOT_FOUND or SCHEMA_NOT_FOUND when the securable does not exist for the caller,
        PERMISSION_DENIED when it does.
        """
        path = self.path(securable)
        seen = rights(self.state, self.subject, path)
        if seen.allows(privilege):
            reason = seen.reasons.get(privilege, f"{privilege} on {path[0].label}")
            return self.allow(str(privilege), securable, reasons=[reason], object_id=path[0].id)
        if not self.sees(securable, seen):
            raise self.not_found(securable)
        raise self.refusal(str(privilege), securable, f"needs {privilege} on {path[0].label}")

    def allows(self, privilege: Privilege, securable: Securable) -> bool:
        """True when `check` would allow it; not audited, for deciding what to show."""
        try:
            path = self.path(securable)
        except HeadwaterError:
            return False
        return rights(self.state, self.subject, path).allows(privilege)

    def path(self, securable: Securable) -> Path:
        """The securable's path; raises TABLE_NOT_FOUND or SCHEMA_NOT_FOUND when there is none."""
        if securable.kind is SecurableKind.CATALOG:
            return (CATALOG_NODE,)
        if securable.kind is SecurableKind.SCHEMA:
            found = self._access.paths.namespace(securable.namespace, self.state.epoch)
            if found is None:
                raise self.not_found(securable)
            return found
        if securable.kind is SecurableKind.LOCATION:
            return location_path(securable.name or "")
        if securable.kind is SecurableKind.PRINCIPAL:
            raise error(ErrorCode.INVALID_ARGUMENT, "principals have no place in the catalog")
        entry = self._access.catalog.entry(
            TableIdentifier(securable.namespace, securable.name or "")
        )
        if entry is None:
            raise self.not_found(securable)
        return self._access.paths.object(entry, self.state.epoch)

    def sees(self, securable: Securable, seen: Rights) -> bool:
        """True when the securable exists for the caller."""
        if securable.kind in _KNOWN_TO_ALL:
            return True
        if securable.kind is SecurableKind.SCHEMA:
            return self._access.browser.sees_schema(self.identity, securable.namespace)
        return seen.visible

    def seal(self) -> None:
        """Writes the audit events of all decisions so far; raises when they cannot be written."""
        if self._pending:
            self._access.audit.write(self._pending)
            self._pending = []

    def sealed_by(self) -> AbstractContextManager[Callable[[Connection], None]]:
        """As `seal`, for a block whose transaction carries the events; see `governance.sealing`."""
        events, self._pending = self._pending, []
        return sealed_by(self._access.audit, events)

    def forget(self) -> None:
        """Drops the decisions not yet sealed, when they will be taken again."""
        dropped = {event["id"] for event in self._pending}
        self.decision_ids = [found for found in self.decision_ids if found not in dropped]
        self._pending = []

    def finish(
        self,
        *,
        outcome: str,
        error_code: str | None = None,
        rows: int | None = None,
        scanned_bytes: int | None = None,
        engine: str | None = None,
    ) -> None:
        """Adds the event that says how the statement ended (`outcome`: done, failed, canceled).

        It is written a moment later: no caller waits for it.
        """
        self.seal()
        completion = {
            **self._facts,
            "id": uuid7(),
            "kind": "completion",
            "outcome": outcome,
            "securable": "",
            "error_code": error_code,
            "rows": rows,
            "scanned_bytes": scanned_bytes,
            "engine": engine,
            "duration_ms": now_ms() - self._started_ms,
        }
        self._access.audit.write_later([completion])

    def actor(self) -> Actor:
        """Who catalog changes of this request are recorded for."""
        return Actor(
            principal_id=self.subject.principal.id,
            principal_name=self.subject.principal.name,
            request_id=self._facts["request_id"],
            decision_id=self.decision_ids[-1] if self.decision_ids else None,
            client=self._facts["client"],
            impersonator=self._facts.get("impersonator"),
        )

    def _read(
        self, identifier: TableIdentifier, at: SnapshotRef, via: TableIdentifier | None
    ) -> _Target:
        entry = self._access.catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            raise self._missing(identifier)
        path = self._access.paths.object(entry, self.state.epoch)
        readers = self._readers(via)
        seen = rights(self.state, readers[-1], path)
        self._require(seen, Privilege.SELECT, identifier, SecurableKind.TABLE, via)
        target = self._target(identifier, at, readers, path, seen)
        if not target.restriction.columns:
            raise self.refusal(
                "SELECT",
                Securable.table(identifier),
                f"no column of table {identifier} is left",
                public=None if via is None else f"nothing that view {via} names is left to you",
            )
        return target

    def _target(
        self,
        identifier: TableIdentifier,
        at: SnapshotRef,
        subjects: tuple[Subject, ...],
        path: Path,
        seen: Rights,
        by: tuple[Privilege, ...] = (Privilege.SELECT,),
    ) -> _Target:
        loaded = self._access.catalog.table(identifier)
        if loaded.uuid != path[0].id:
            raise error(
                ErrorCode.COMMIT_CONFLICT,
                f"table {identifier} was replaced a moment ago",
                hint="try again",
            )
        snapshot_id = resolve_snapshot(loaded.metadata, at)
        schema = schema_read(loaded.metadata, None if at.is_current else snapshot_id)
        try:
            restriction = self._access.restriction(
                self.state, subjects, loaded, path, schema["fields"], by
            )
        except HeadwaterError as exc:
            self._record_refusal("SELECT", Securable.table(identifier), exc.message)
            raise
        return _Target(loaded, seen, restriction, snapshot_id)

    def _scan_of(
        self, identifier: TableIdentifier, at: SnapshotRef, target: _Target, decision: Decision
    ) -> GovernedScan:
        restriction = target.restriction
        return GovernedScan(
            identifier=target.loaded.identifier,
            table_uuid=target.loaded.uuid,
            metadata_location=self._access.catalog.linked.readable(
                target.loaded, target.snapshot_id
            ),
            snapshot_id=target.snapshot_id,
            columns=restriction.columns,
            row_filter=restriction.row_filter,
            level=restriction.level,
            decision=decision,
            hidden_columns=restriction.hidden,
            policies=restriction.policies,
            is_current=at.is_current,
        )

    def _create(self, identifier: TableIdentifier) -> GovernedWrite:
        decision = self.check(Privilege.CREATE_TABLE, Securable.schema(identifier.namespace))
        check_name(identifier.name, "table")
        self._access.catalog.linked.require_own(identifier.namespace, identifier.name)
        return GovernedWrite(
            identifier=identifier,
            table_uuid=None,
            operation=WriteOperation.CREATE,
            columns=(),
            row_filter=None,
            decision=decision,
        )

    def _readers(self, via: TableIdentifier | None) -> tuple[Subject, ...]:
        """The caller, or through a view the caller and the definers down to that view's own."""
        if via is None:
            return (self.subject,)
        readers = self._views.get(via)
        if readers is None:
            raise self.refusal(
                "SELECT",
                Securable.view(via),
                f"view {via} was not opened, or its definer is gone or disabled",
                hint="an administrator can create the view again",
            )
        return readers

    def _require(
        self,
        seen: Rights,
        privilege: Privilege,
        identifier: TableIdentifier,
        kind: SecurableKind,
        via: TableIdentifier | None = None,
    ) -> None:
        if seen.some(privilege):
            return
        securable = Securable(kind, identifier.namespace, identifier.name)
        if via is not None:
            raise self.refusal(
                str(privilege),
                securable,
                f"the definer of view {via} may no longer read what the view names",
                public=f"view {via} cannot be read: its definer lacks a privilege on a table of it",
            )
        if not seen.visible:
            raise self._missing(identifier)
        raise self.refusal(str(privilege), securable, f"needs {privilege} on {kind} {identifier}")

    def allow(
        self, action: str, securable: Securable, *, reasons: list[str], **facts: Any
    ) -> Decision:
        """The decision of something that was found to be allowed; audited by `seal`."""
        decision = Decision(uuid7(), True, tuple(reasons))
        self._pending.append(
            self._event(decision.id, "allow", action, securable, reasons=reasons, **facts)
        )
        self.decision_ids.append(decision.id)
        return decision

    def refusal(
        self,
        action: str,
        securable: Securable,
        reason: str,
        *,
        public: str | None = None,
        hint: str | None = None,
    ) -> HeadwaterError:
        """The audited PERMISSION_DENIED, to be raised; the caller reads `public`, if given."""
        self._record_refusal(action, securable, reason)
        return error(
            ErrorCode.PERMISSION_DENIED,
            public or f"{self.subject.principal.name}: {reason}",
            hint=hint or "ask an administrator for it; SHOW GRANTS lists what you have",
        )

    def _record_refusal(self, action: str, securable: Securable, reason: str) -> None:
        self._access.audit.write(
            [self._event(uuid7(), "deny", action, securable, reasons=[reason])]
        )

    def _missing(self, identifier: TableIdentifier) -> HeadwaterError:
        exists = self._access.catalog.entry(identifier) is not None
        reason = "it exists, but not for the caller" if exists else "it does not exist"
        self._record_refusal("SELECT", Securable.table(identifier), reason)
        return table_not_found(identifier, self._access.browser.suggest(self.identity, identifier))

    def not_found(self, securable: Securable) -> HeadwaterError:
        """The audited error, to be raised, for what does not exist for the caller."""
        if securable.kind is SecurableKind.SCHEMA:
            self._record_refusal("DESCRIBE", securable, "not found or not visible")
            return schema_not_found(
                securable.namespace,
                self._access.browser.suggest_schema(self.identity, securable.namespace),
            )
        return self._missing(TableIdentifier(securable.namespace, securable.name or ""))

    def _event(
        self, event_id: str, outcome: str, action: str, securable: Securable, **facts: Any
    ) -> dict[str, Any]:
        event = {
            **self._facts,
            "id": event_id,
            "kind": "decision",
            "outcome": outcome,
            "action": action,
            "securable": str(securable),
            "time_ms": now_ms(),
            **facts,
        }
        if self._statement is not None:
            event |= self._statement_facts
        return event

    @functools.cached_property
    def _statement_facts(self) -> dict[str, str]:
        text = self._statement or ""
        return {"statement_hash": statement_hash(text), "statement": redacted(text)}
