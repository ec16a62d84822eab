"""Principals, grants, policies and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Creates the tables of `headwater.governance.tables`, and their first rows."""
    op.create_table(
        "principal",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_principal"),
        sa.UniqueConstraint("name_key", name="uq_principal_name_key"),
    )
    op.create_table(
        "principal_member",
        sa.Column("role_id", sa.Text, nullable=False),
        sa.Column("member_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("role_id", "member_id", name="pk_principal_member"),
        sa.ForeignKeyConstraint(
            ["role_id"], ["principal.id"], "fk_principal_member_role_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["principal.id"], "fk_principal_member_member_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "privilege_grant",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("privilege", sa.Text, nullable=False),
        sa.Column("object_kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("field_id", sa.Integer, nullable=False),
        sa.Column("column_name", sa.Text),
        sa.Column("grant_option", sa.Boolean, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_privilege_grant"),
        sa.UniqueConstraint(
            "principal_id",
            "effect",
            "privilege",
            "object_id",
            "field_id",
            name="uq_privilege_grant_once",
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["principal.id"],
            "fk_privilege_grant_principal_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_privilege_grant_principal_id", "privilege_grant", ["principal_id"])
    op.create_index("ix_privilege_grant_object_id", "privilege_grant", ["object_id"])
    op.create_table(
        "object_owner",
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("object_id", name="pk_object_owner"),
    )
    op.create_table(
        "policy",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("table_uuid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("field_id", sa.Integer),
        sa.Column("column_name", sa.Text),
        sa.Column("action", sa.Text),
        sa.Column("expression", sa.Text),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy"),
        sa.UniqueConstraint(
            "table_uuid", "kind", "name_key", name="uq_policy_table_uuid_kind_name_key"
        ),
    )
    op.create_table(
        "policy_principal",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("excepted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint(
            "policy_id", "principal_id", "excepted", name="pk_policy_principal"
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policy.id"], "fk_policy_principal_policy_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principal.id"], "fk_policy_principal_principal_id"
        ),
    )
    op.create_table(
        "policy_epoch",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_epoch"),
    )
    op.create_table(
        "audit_event",
        sa.Column("sequence", _BIG, nullable=False, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("securable", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_event"),
        sa.UniqueConstraint("id", name="uq_audit_event_id"),
    )
    op.create_index("ix_audit_event_request_id", "audit_event", ["request_id"])
    op.create_index("ix_audit_event_principal_sequence", "audit_event", ["principal", "sequence"])
    op.create_index("ix_audit_event_securable_sequence", "audit_event", ["securable", "sequence"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
