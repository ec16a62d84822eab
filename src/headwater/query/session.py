"""Session properties that clients may set, and what a statement changes in its client's session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect, Limits, Session
from headwater.settings import LimitSettings
from headwater.sql.hints import did_you_mean

PREPARED_PREFIX = "prepared:"
"""`Session.properties["prepared:<name>"]` holds the text of a client's prepared statement."""

PARTITION_OVERWRITE_MODE = "partition_overwrite_mode"
"""The session property that says what INSERT OVERWRITE replaces."""

ALL_ROLES = "ALL"
"""What `SessionChanges.role` says when every role held is active again."""


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """What a finished statement changes in its client's session; the server keeps no session.

    `role` is a role's name or `ALL_ROLES`; None leaves it. `added_prepared` maps names to texts.
    """

    catalog: str | None = None
    schema: str | None = None
    set_properties: dict[str, str] = field(default_factory=dict)
    reset_properties: tuple[str, ...] = ()
    role: str | None = None
    added_prepared: dict[str, str] = field(default_factory=dict)
    removed_prepared: tuple[str, ...] = ()
    started_transaction: str | None = None
    cleared_transaction: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """One session property: its name, default as SHOW SESSION prints it, type and meaning."""

    name: str
    default: str
    type: str
    description: str
    check: Callable[[str], object]


def parse_seconds(text: str) -> float:
    """Seconds of a duration as Trino writes it (`90s`, `1.5m`, `2h`, `500ms`) or a bare number."""
    return _scaled(text, {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1})


def parse_bytes(text: str) -> int:
    """Bytes of a data size as Trino writes it (`512MB`, `4GB`; powers of 1024) or a number."""
    sizes = {"": 1, "b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40}
    return int(_scaled(text, sizes))


def _scaled(text: str, units: Mapping[str, float]) -> float:
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(digits) :].strip().lower()
    try:
        value = float(digits) * units[unit]
    except (ValueError, KeyError):
        value = -1
    if not 0 < value < 2**62:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"'{text}' is not a positive amount",
            hint="write a number with a unit: " + ", ".join(u for u in units if u),
        )
    return value


def parse_dialect(text: str) -> Dialect:
    """The dialect of that name."""
    try:
        return Dialect(text.lower())
    except ValueError:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"'{text}' is not a dialect",
            hint="use " + ", ".join(Dialect),
        ) from None


def parse_overwrite_mode(text: str) -> str:
    """`static` or `dynamic`."""
    if text.lower() not in ("static", "dynamic"):
        raise error(ErrorCode.INVALID_ARGUMENT, f"'{text}' is neither static nor dynamic")
    return text.lower()


PROPERTIES: tuple[Property, ...] = (
    Property(
        "query_max_run_time",
        "",
        "varchar",
        "Wall time after which a statement fails; can only lower the server's limit",
        parse_seconds,
    ),
    Property(
        "query_max_memory",
        "",
        "varchar",
        "Engine memory of a statement; can only lower the server's limit",
        parse_bytes,
    ),
    Property(
        "query_max_result_size",
        "",
        "varchar",
        "Arrow bytes of a result; can only lower the server's limit",
        parse_bytes,
    ),
    Property(
        "query_max_scan_physical_bytes",
        "",
        "varchar",
        "Bytes that a statement may scan; can only lower the server's limit",
        parse_bytes,
    ),
    Property("dialect", "trino", "varchar", "SQL dialect: trino, spark or duckdb", parse_dialect),
    Property(
        PARTITION_OVERWRITE_MODE,
        "static",
        "varchar",
        "What INSERT OVERWRITE replaces: the table (static), or partitions with new rows (dynamic)",
        parse_overwrite_mode,
    ),
)
"""Every session property, in the order of SHOW SESSION."""


_SPARK_NAMES = {
    "spark.sql.sources.partitionoverwritemode": PARTITION_OVERWRITE_MODE,
}
"""Spark's names of properties, folded."""


def find_property(name: str) -> Property:
    """The property of that name, or INVALID_ARGUMENT with the names there are."""
    name = _SPARK_NAMES.get(name.lower(), name)
    for candidate in PROPERTIES:
        if candidate.name == name:
            return candidate
    raise error(
        ErrorCode.INVALID_ARGUMENT,
        f"there is no session property '{name}'",
        hint="SHOW SESSION lists them",
    )


def with_properties(session: Session) -> Session:
    """The session with its `dialect` property applied, when it has one."""
    dialect = session.properties.get("dialect")
    return replace(session, dialect=parse_dialect(dialect)) if dialect else session


def effective_limits(session: Session, settings: LimitSettings) -> Limits:
    """The bounds of a statement: each the least of server setting, session and property."""
    given = session.properties

    def least(*values: float | None) -> float | None:
        return min((value for value in values if value), default=None)

    def prop(name: str, parse: Callable[[str], float]) -> float | None:
        return parse(given[name]) if given.get(name) else None

    def whole(value: float | None) -> int | None:
        return None if value is None else int(value)

    limits = session.limits
    return Limits(
        seconds=least(settings.seconds, limits.seconds, prop("query_max_run_time", parse_seconds)),
        memory_bytes=whole(
            least(
                settings.memory_bytes,
                limits.memory_bytes,
                prop("query_max_memory", parse_bytes),
            )
        ),
        result_bytes=whole(
            least(
                settings.result_bytes,
                limits.result_bytes,
                prop("query_max_result_size", parse_bytes),
            )
        ),
        scan_bytes=whole(
            least(
                settings.scan_bytes,
                limits.scan_bytes,
                prop("query_max_scan_physical_bytes", parse_bytes),
            )
        ),
    )


def prepared_text(session: Session, name: str) -> str:
    """The text of the session's prepared statement of that name."""
    text = session.properties.get(PREPARED_PREFIX + name)
    if text is None:
        names = [
            key.removeprefix(PREPARED_PREFIX)
            for key in session.properties
            if key.startswith(PREPARED_PREFIX)
        ]
        raise error(
            ErrorCode.PREPARED_STATEMENT_NOT_FOUND,
            f"there is no prepared statement '{name}'",
            hint=did_you_mean(name, names) or f"PREPARE {name} FROM … makes it",
        )
    return text
