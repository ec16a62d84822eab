"""The catalog: namespaces, tables and views, change events, request receipts, metrics reports."""

import sqlalchemy as sa
from alembic import op

from headwater.store.metadata import JsonValue, Sequence64

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the catalog's tables."""
    op.create_table(
        "catalog_namespace",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("properties", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_namespace"),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["catalog_namespace.id"], name="fk_catalog_namespace_parent_id"
        ),
        sa.UniqueConstraint("folded", name="uq_catalog_namespace_folded"),
    )
    op.create_index("ix_catalog_namespace_parent_id", "catalog_namespace", ["parent_id"])
    op.create_table(
        "catalog_object",
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("namespace_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("metadata_location", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_catalog_object"),
        sa.ForeignKeyConstraint(
            ["namespace_id"], ["catalog_namespace.id"], name="fk_catalog_object_namespace_id"
        ),
        sa.UniqueConstraint("namespace_id", "folded", name="uq_catalog_object_namespace_id_folded"),
        sa.UniqueConstraint("location", name="uq_catalog_object_location"),
    )
    op.create_table(
        "catalog_retired_location",
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("purge", sa.Boolean, nullable=False),
        sa.Column("retired_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location", name="pk_catalog_retired_location"),
    )
    op.create_table(
        "catalog_event",
        sa.Column("sequence", Sequence64, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("details", JsonValue, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_catalog_event_object_id", "catalog_event", ["object_id"])
    op.create_table(
        "catalog_receipt",
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "key", name="pk_catalog_receipt"),
    )
    op.create_index("ix_catalog_receipt_at_ms", "catalog_receipt", ["at_ms"])
    op.create_table(
        "catalog_metrics_report",
        sa.Column("id", Sequence64, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("report", JsonValue, nullable=False),
        sqlite_autoincrement=True,
    )
