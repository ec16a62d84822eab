"""Statements about the session: the server keeps none, it tells the client what changes."""

from __future__ import annotations

import uuid

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, namespace_text, parse_namespace
from headwater.query.names import (
    INFORMATION_SCHEMA,
    SYSTEM_CATALOG,
    existing_schema,
    split_schema,
)
from headwater.query.session import ALL_ROLES, PREPARED_PREFIX, SessionChanges, find_property
from headwater.query.system_tables import SYSTEM_SCHEMAS
from headwater.query.work import Outcome, Task, Work
from headwater.sql.parse import parse
from headwater.sql.statements import (
    Deallocate,
    Prepare,
    SetRole,
    SetSession,
    TransactionControl,
    Use,
)

TRANSACTION_PROPERTY = "transaction"
"""`Session.properties` key that gateways set while their client is inside a transaction."""


def _changes(update_type: str, changes: SessionChanges) -> Task:
    return lambda: Outcome(update_type=update_type, changes=changes)


def use(work: Work, statement: Use) -> Task:
    """USE [catalog.]schema, for a schema that exists for the caller."""
    catalog, schema = split_schema(statement.name, work.session)
    if len(statement.name.parts) == 1 and schema.lower() in (CATALOG_NAME, SYSTEM_CATALOG):
        hint = f"write USE {schema}.schema"
    else:
        hint = None
    if catalog == SYSTEM_CATALOG:
        known = schema in SYSTEM_SCHEMAS
    elif catalog == CATALOG_NAME:
        name = existing_schema(work.parts.catalog, parse_namespace(schema))
        schema = namespace_text(name)
        known = schema == INFORMATION_SCHEMA or work.parts.browser.sees_schema(
            work.session.identity, name
        )
    else:
        raise error(ErrorCode.CATALOG_NOT_FOUND, f"catalog {catalog} does not exist")
    if not known:
        raise error(
            ErrorCode.SCHEMA_NOT_FOUND,
            f"schema {catalog}.{schema} does not exist",
            hint=hint or "SHOW SCHEMAS lists them",
            position=statement.name.position,
        )
    return _changes("USE", SessionChanges(catalog=catalog, schema=schema))


def set_session(_work: Work, statement: SetSession) -> Task:
    """SET SESSION and RESET SESSION of a known property with a value that it can take."""
    known = find_property(statement.name.lower())
    if statement.value is None:
        return _changes("RESET SESSION", SessionChanges(reset_properties=(known.name,)))
    known.check(statement.value)
    changes = SessionChanges(set_properties={known.name: statement.value})
    return _changes("SET SESSION", changes)


def set_role(work: Work, statement: SetRole) -> Task:
    """SET ROLE, for a role that the caller holds."""
    if statement.role is None:
        return _changes("SET ROLE", SessionChanges(role=ALL_ROLES))
    state = work.request.state
    role = state.role(statement.role)
    if role is None or role.id not in work.request.subject.held:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"you do not hold the role {statement.role}",
            hint="SHOW ROLE GRANTS lists the roles that you hold",
        )
    return _changes("SET ROLE", SessionChanges(role=role.name))


def prepare(work: Work, statement: Prepare) -> Task:
    """PREPARE: the text is checked for syntax now, and bound when it is executed."""
    parse(statement.text, work.session.dialect)
    return _changes("PREPARE", SessionChanges(added_prepared={statement.name: statement.text}))


def deallocate(work: Work, statement: Deallocate) -> Task:
    """DEALLOCATE PREPARE."""
    if PREPARED_PREFIX + statement.name not in work.session.properties:
        raise error(
            ErrorCode.PREPARED_STATEMENT_NOT_FOUND,
            f"there is no prepared statement '{statement.name}'",
        )
    return _changes("DEALLOCATE", SessionChanges(removed_prepared=(statement.name,)))


def refuse_in_transaction(work: Work) -> None:
    """Raises NOT_SUPPORTED for a change inside an explicit transaction: it could not be undone."""
    if TRANSACTION_PROPERTY in work.session.properties:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a transaction can only read: every change commits by itself",
            hint="turn autocommit on, or COMMIT first",
        )


def transaction(_work: Work, statement: TransactionControl) -> Task:
    """START TRANSACTION, COMMIT, ROLLBACK.

    A transaction only reads: `refuse_in_transaction` keeps writes out of it, so that ROLLBACK never
    promises what it cannot do. Each statement of it sees the newest state.
    """
    if statement.action == "start":
        changes = SessionChanges(started_transaction=uuid.uuid4().hex)
        return _changes("START TRANSACTION", changes)
    if statement.action == "commit":
        return _changes("COMMIT", SessionChanges(cleared_transaction=True))
    return _changes("ROLLBACK", SessionChanges(cleared_transaction=True))
