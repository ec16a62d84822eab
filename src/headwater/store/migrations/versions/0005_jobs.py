"""Runs, their attempts and their events."""

import sqlalchemy as sa
from alembic import op

from headwater.store.metadata import JsonValue

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Creates `run`, `run_attempt` and `run_event`."""
    op.create_table(
        "run",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("driver", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("principal_name", sa.Text, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("spec", JsonValue, nullable=False),
        sa.Column("tags", JsonValue, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("cancelled_by", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("principal_id", "idempotency_key", name="uq_run_principal_id"),
    )
    op.create_index("ix_run_state", "run", ["state"])
    op.create_index("ix_run_principal_id_created_ms", "run", ["principal_id", "created_ms"])
    op.create_index("ix_run_created_ms", "run", ["created_ms"])
    op.create_table(
        "run_attempt",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("exit_status", sa.Integer),
        sa.Column("failure", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("sandbox", sa.Text),
        sa.Column("release", sa.Text),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("progress", JsonValue, nullable=False),
        *(
            sa.Column(name, sa.Float, nullable=False)
            for name in (
                "wall_seconds",
                "vcpu_seconds",
                "cpu_seconds",
                "engine_cpu_seconds",
                "memory_gb_seconds",
            )
        ),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("peak_memory_bytes", "bytes_read", "bytes_written", "queries")
        ),
        sa.Column("method", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_run_attempt"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], "fk_run_attempt_run_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_run_attempt_session_id", "run_attempt", ["session_id"])
    op.create_table(
        "run_event",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", JsonValue, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_run_event"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], "fk_run_event_run_id", ondelete="CASCADE"),
    )
    op.create_index("ix_run_event_run_id_sequence", "run_event", ["run_id", "sequence"])
