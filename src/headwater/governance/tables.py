"""The tables of principals, grants, policies and audit."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from headwater.store.metadata import Sequence64, metadata

principal = Table(
    "principal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("disabled", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
"""Users, roles and service accounts.

`name_key` is `role:` or `login:` and the name in lower case: users and service accounts share one
set of names, roles have another.
"""

principal_member = Table(
    "principal_member",
    metadata,
    Column("role_id", ForeignKey("principal.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", ForeignKey("principal.id", ondelete="CASCADE"), primary_key=True),
)
"""Who holds a role: users, service accounts and other roles."""

privilege_grant = Table(
    "privilege_grant",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "principal_id", ForeignKey("principal.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("effect", Text, nullable=False),
    Column("privilege", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False, index=True),
    Column("field_id", Integer, nullable=False),
    Column("column_name", Text),
    Column("grant_option", Boolean, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint(
        "principal_id",
        "effect",
        "privilege",
        "object_id",
        "field_id",
        name="uq_privilege_grant_once",
    ),
)
"""Grants and denies, bound to ids; `field_id` 0 is the whole object, else one column."""

object_owner = Table(
    "object_owner",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("owner_id", Text, nullable=False),
)
"""Who made a namespace, table or view; written in the transaction that makes it."""

policy = Table(
    "policy",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("table_uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("field_id", Integer),
    Column("column_name", Text),
    Column("action", Text),
    Column("expression", Text),
    Column("created_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("table_uuid", "kind", "name_key"),
)
"""Row filters and column masks; `expression` names columns by field id: `"#7" = 'EU'`."""

policy_principal = Table(
    "policy_principal",
    metadata,
    Column("policy_id", ForeignKey("policy.id", ondelete="CASCADE"), primary_key=True),
    Column("principal_id", ForeignKey("principal.id"), primary_key=True),
    Column("excepted", Boolean, primary_key=True),
)
"""Whom a policy binds, and whom it spares."""

policy_epoch = Table(
    "policy_epoch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)
"""One row: a number that grows with every change to any table above."""

audit_event = Table(
    "audit_event",
    metadata,
    Column("sequence", Sequence64, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("securable", Text, nullable=False),
    Column("request_id", Text, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index(None, "principal", "sequence"),
    Index(None, "securable", "sequence"),
)
"""The audit log; `body` is canonical JSON of all facts, the columns before it only find it."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the last event's place and hash; its lock orders the writers of the chain."""
