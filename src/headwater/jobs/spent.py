"""What runs' own queries used, read from the query history, and sums of usage for people."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import func, select

from headwater.catalog.catalog import Catalog
from headwater.catalog.manifests import added_bytes
from headwater.errors import HeadwaterError
from headwater.governance.audit import AuditLog
from headwater.jobs.records import total
from headwater.model.run import Attempt, Run, RunUsage
from headwater.query.history import History, query_history
from headwater.store.database import Database
from headwater.telemetry.logs import log

_COMMITS = 10_000
"""How many commits of one attempt are counted."""

_log = log("jobs")

Grouping = Literal["user", "role", "tag", "day", "kind", "run"]


class Books:
    """Reads the queries and commits that belong to an attempt, by the session of its token."""

    def __init__(
        self, database: Database, history: History, audit: AuditLog, catalog: Catalog
    ) -> None:
        self._database = database
        self._history = history
        self._audit = audit
        self._catalog = catalog

    def completed(self, usage: RunUsage, attempt: Attempt, principal: str) -> RunUsage:
        """The usage of an attempt's processes, and of its queries and commits.

        A table's new files count as written by whoever committed them, whichever process wrote
        them; what executors tell of the same bytes does not count again.
        """
        used = self._with_queries(usage, attempt.session_id)
        commits = self._audit.commits(principal, attempt.session_id, since_ms=attempt.created_ms)
        committed = sum(map(self._added_bytes, commits[:_COMMITS]))
        return replace(used, bytes_written=max(used.bytes_written, committed))

    def _added_bytes(self, commit: Mapping[str, Any]) -> int:
        """Bytes of the files of a commit: as its writer says, else by its snapshot's manifests."""
        if "added-bytes" in commit:
            return int(commit["added-bytes"])
        try:
            entry = self._catalog.entry_by_uuid(str(commit["object_id"]))
            if entry is None:
                return 0
            for snapshot in self._catalog.table(entry.identifier).metadata.get("snapshots") or ():
                if snapshot["snapshot-id"] == commit["snapshot-after"]:
                    return added_bytes(self._catalog.warehouse.io, snapshot)
        except HeadwaterError as exc:
            # Dropped or expired meanwhile, or a storage that is away: nothing can be counted.
            _log.info("a commit's bytes are not counted", code=exc.code, why=exc.message)
        return 0

    def _with_queries(self, usage: RunUsage, session_id: str) -> RunUsage:
        """With what the queries used in the engine, as their user may know it."""
        self._history.afterwards.flush()
        columns = query_history.c
        wanted = select(
            func.count(),
            func.coalesce(func.sum(columns.cpu_seconds), 0.0),
            func.coalesce(func.sum(columns.scanned_bytes), 0),
            func.coalesce(func.max(columns.peak_memory_bytes), 0),
        ).where(columns.session_id == session_id)
        with self._database.read() as connection:
            row: Any = connection.execute(wanted).one()
            count, cpu, read, peak = row
        return replace(
            usage,
            queries=usage.queries + int(count),
            engine_cpu_seconds=usage.engine_cpu_seconds + float(cpu),
            bytes_read=usage.bytes_read + int(read),
            peak_memory_bytes=max(usage.peak_memory_bytes, int(peak)),
        )


def grouped(
    pairs: Sequence[tuple[Run, Attempt]], by: Grouping, tag: str | None = None
) -> list[tuple[str, int, RunUsage]]:
    """Usage summed by user, role, tag value, UTC day, kind or run: key, number of runs, sum.

    Every attempt is counted under exactly one key, so the sums add up to the whole.
    """
    keys: dict[str, list[tuple[Run, Attempt]]] = {}
    for run, attempt in pairs:
        keys.setdefault(_key(run, attempt, by, tag), []).append((run, attempt))
    return [
        (key, len({run.id for run, _ in found}), total([a.usage for _, a in found]))
        for key, found in sorted(keys.items())
    ]


def _key(run: Run, attempt: Attempt, by: Grouping, tag: str | None) -> str:
    if by == "user":
        return run.principal_name
    if by == "role":
        return run.spec.role or "(all roles)"
    if by == "kind":
        return run.spec.kind
    if by == "run":
        return run.id
    if by == "day":
        moment = datetime.datetime.fromtimestamp((attempt.finished_ms or 0) / 1000, datetime.UTC)
        return f"{moment:%Y-%m-%d}"
    if tag is not None:
        return run.spec.tags.get(tag, "(none)")
    # Without a tag's name: the whole set of tags, so that nothing is counted twice.
    return ", ".join(f"{k}={v}" for k, v in sorted(run.spec.tags.items())) or "(none)"
