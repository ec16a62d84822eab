"""Which state of a table a query asks for: FOR VERSION | TIMESTAMP AS OF, in three dialects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlglot import exp

from headwater.errors import ErrorCode, Position, error
from headwater.model.identifiers import CURRENT, SnapshotRef
from headwater.model.statement import Session
from headwater.sql.trees import node_position


def snapshot_of(table: exp.Table, session: Session) -> SnapshotRef:
    """The state that a table's version clause names; the clause is taken off the tree."""
    version = table.args.get("version") or table.args.get("when")
    if version is None:
        return CURRENT
    position = node_position(table)
    table.set("version", None)
    table.set("when", None)
    if isinstance(version, exp.HistoricalData):
        kind, value = str(version.args.get("kind")).upper(), version.expression
    else:
        kind, value = version.name.upper(), version.expression
        if str(version.args.get("kind")).upper() != "AS OF":
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "ranges of versions are not supported",
                hint="FOR VERSION AS OF … reads one version",
                position=position,
            )
    if kind == "VERSION":
        if isinstance(value, exp.Literal) and value.is_string:
            text = str(value.this)
            return SnapshotRef(snapshot_id=int(text)) if text.isdigit() else SnapshotRef(ref=text)
        if isinstance(value, exp.Literal) and value.this.isdigit():
            return SnapshotRef(snapshot_id=int(value.this))
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "a version is a snapshot id, or the name of a branch or tag as a string",
            position=position,
        )
    moment = _moment(value, session, position)
    return SnapshotRef(timestamp_ms=int(moment.timestamp() * 1000))


def _moment(value: exp.Expr, session: Session, position: Position | None) -> datetime:
    if isinstance(value, exp.Paren):
        return _moment(value.this, session, position)
    if isinstance(value, exp.Add | exp.Sub) and isinstance(value.expression, exp.Interval):
        shift = _interval(value.expression)
        if shift is not None:
            start = _moment(value.this, session, position)
            return start + shift if isinstance(value, exp.Add) else start - shift
    if isinstance(value, exp.CurrentTimestamp | exp.CurrentDate | exp.Localtimestamp):
        return datetime.now(UTC)
    if isinstance(value, exp.Cast):
        value = value.this
    if isinstance(value, exp.Literal):
        parsed = parse_moment(str(value.this), session.time_zone)
        if parsed is not None:
            return parsed
    raise error(
        ErrorCode.INVALID_ARGUMENT,
        "the time of a version must be a constant timestamp",
        hint="FOR TIMESTAMP AS OF TIMESTAMP '2026-01-31 12:00:00 UTC'",
        position=position,
    )


def parse_moment(text: str, time_zone: str) -> datetime | None:
    """The moment that a timestamp's text names; without a zone it is local to `time_zone`."""
    stamp, _, zone = text.strip().partition(" ")
    if zone and not zone[0].isdigit():
        candidates = [(stamp, zone)]
    else:
        clock, _, zone = zone.partition(" ")
        candidates = [(f"{stamp} {clock}".strip(), zone or time_zone)]
    for moment, name in candidates:
        try:
            parsed = datetime.fromisoformat(moment)
        except ValueError:
            return None
        if parsed.tzinfo is not None:
            return parsed
        try:
            return parsed.replace(tzinfo=ZoneInfo(name))
        except (KeyError, ValueError, OSError):
            return None
    return None


def _interval(node: exp.Interval) -> timedelta | None:
    unit = str(node.unit.name if node.unit else "").lower().rstrip("s")
    if not isinstance(node.this, exp.Literal):
        return None
    try:
        amount = float(node.this.this)
    except ValueError:
        return None
    if unit not in ("second", "minute", "hour", "day", "week"):
        return None
    return timedelta(**{f"{unit}s": amount})
