"""The query history: one row a statement."""

import sqlalchemy as sa
from alembic import op

from headwater.store.metadata import JsonValue

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Creates `query_history`."""
    op.create_table(
        "query_history",
        sa.Column("id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("state", "principal_id", "principal_name")
        ),
        sa.Column("role", sa.Text),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("session_id", "client", "source", "dialect")
        ),
        sa.Column("schema_name", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Text)
            for name in ("update_type", "engine", "error_code", "error_message")
        ),
        sa.Column("decisions", JsonValue, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("finished_ms", sa.BigInteger),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                "peak_memory_bytes",
                "scanned_bytes",
                "scanned_rows",
                "result_rows",
                "result_bytes",
            )
        ),
    )
    op.create_index(
        "ix_query_history_principal_id_created_ms",
        "query_history",
        ["principal_id", "created_ms"],
    )
    op.create_index("ix_query_history_created_ms", "query_history", ["created_ms"])
