"""Connections to other catalogs, and what they show here."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Creates `connection`, `connection_schema` and `connection_table`."""
    op.create_table(
        "connection",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_connection"),
        sa.UniqueConstraint("name", name="uq_connection_name"),
    )
    op.create_table(
        "connection_schema",
        sa.Column("namespace_id", sa.Text, nullable=False),
        sa.Column("connection_id", sa.Text, nullable=False),
        sa.Column("remote", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("namespace_id", name="pk_connection_schema"),
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["catalog_namespace.id"],
            name="fk_connection_schema_namespace_id",
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name="fk_connection_schema_connection_id"
        ),
    )
    op.create_index("ix_connection_schema_connection_id", "connection_schema", ["connection_id"])
    op.create_table(
        "connection_table",
        sa.Column("object_uuid", sa.Text, nullable=False),
        sa.Column("namespace_id", sa.Text, nullable=False),
        sa.Column("table_uuid", sa.Text),
        sa.PrimaryKeyConstraint("object_uuid", name="pk_connection_table"),
    )
    op.create_index("ix_connection_table_namespace_id", "connection_table", ["namespace_id"])
    op.create_index("ix_connection_table_table_uuid", "connection_table", ["table_uuid"])
