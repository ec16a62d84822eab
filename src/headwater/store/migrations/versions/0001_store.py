"""The metastore's own table: a random id, so that a home can tell its metastore from another's."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates `metastore_setting`."""
    op.create_table(
        "metastore_setting",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
