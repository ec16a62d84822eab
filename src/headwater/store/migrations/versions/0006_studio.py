"""Saved queries, and who ran a statement in another's name."""

import sqlalchemy as sa
from alembic import op

from headwater.store.metadata import JsonValue

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Creates `saved_query`; gives `query_history` its impersonator."""
    op.add_column("query_history", sa.Column("impersonator_id", sa.Text))
    op.add_column("query_history", sa.Column("impersonator_name", sa.Text))
    op.create_index(
        "ix_query_history_impersonator_id_created_ms",
        "query_history",
        ["impersonator_id", "created_ms"],
    )
    op.create_table(
        "saved_query",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("schema_name", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("chart", JsonValue),
        sa.Column("share_role_id", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_saved_query_owner_id", "saved_query", ["owner_id"])
    op.create_index("ix_saved_query_share_role_id", "saved_query", ["share_role_id"])
