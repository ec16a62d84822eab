"""The tables of runs; times in Unix milliseconds UTC, sizes in bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from headwater.store.metadata import JsonValue, Sequence64, metadata

run = Table(
    "run",
    metadata,
    Column("id", Text, nullable=False),
    Column("driver", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("principal_name", Text, nullable=False),
    Column("role", Text),
    Column("idempotency_key", Text),
    Column("request_hash", Text, nullable=False),
    Column("spec", JsonValue, nullable=False),
    Column("tags", JsonValue, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("cancelled_by", Text),
    Column("failure", Text),
    Column("error_code", Text),
    Column("reason", Text),
    PrimaryKeyConstraint("id", name="pk_run"),
    UniqueConstraint("principal_id", "idempotency_key", name="uq_run_principal_id"),
    Index("ix_run_state", "state"),
    Index("ix_run_principal_id_created_ms", "principal_id", "created_ms"),
    Index("ix_run_created_ms", "created_ms"),
)
"""One run; `driver` is the home whose server drives it, `request_hash` what was asked for."""

run_attempt = Table(
    "run_attempt",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("exit_status", Integer),
    Column("failure", Text),
    Column("reason", Text),
    Column("sandbox", Text),
    Column("release", Text),
    Column("session_id", Text, nullable=False),
    Column("progress", JsonValue, nullable=False),
    Column("wall_seconds", Float, nullable=False),
    Column("vcpu_seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("engine_cpu_seconds", Float, nullable=False),
    Column("memory_gb_seconds", Float, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("bytes_read", BigInteger, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    Column("queries", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "number", name="pk_run_attempt"),
    ForeignKeyConstraint(["run_id"], ["run.id"], "fk_run_attempt_run_id", ondelete="CASCADE"),
    Index("ix_run_attempt_session_id", "session_id"),
)
"""One attempt with what it used; `session_id` is the session of its token."""

run_event = Table(
    "run_event",
    metadata,
    Column("sequence", Sequence64, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", JsonValue, nullable=False),
    PrimaryKeyConstraint("sequence", name="pk_run_event"),
    ForeignKeyConstraint(["run_id"], ["run.id"], "fk_run_event_run_id", ondelete="CASCADE"),
    Index("ix_run_event_run_id_sequence", "run_id", "sequence"),
)
"""What happened to a run: changes of state, notes, in the transaction that made them."""
