"""The schema `default` of a new lake: what Spark's and Trino's clients take where none is named."""

from __future__ import annotations

from headwater.model.principal import Identity
from headwater.model.statement import Session, Statement
from headwater.server.parts import Parts
from headwater.store.settings_table import get_setting, set_setting

_MARK = "default_schema"


def ensure_default_schema(parts: Parts, admin: Identity) -> None:
    """Makes it once, in a lake without schemas; one that was dropped stays dropped.

    Only its owner, the administrator, may do anything in it until grants say otherwise.
    """
    with parts.database.read() as connection:
        if get_setting(connection, _MARK) is not None:
            return
    if not parts.catalog.namespaces():
        text = "CREATE SCHEMA \"default\" COMMENT 'Where tables go that name no schema'"
        query = parts.queries.submit(Session(admin, source="start"), Statement(text))
        query.finish()
        if query.error is not None:
            raise query.error
    with parts.database.write() as connection:
        set_setting(connection, _MARK, "1")
