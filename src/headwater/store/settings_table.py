"""Small facts that the metastore keeps about itself, by name."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Table, Text, select

from headwater.store.metadata import metadata

metastore_setting = Table(
    "metastore_setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def get_setting(connection: Connection, name: str) -> str | None:
    """The value kept under a name, or None."""
    query = select(metastore_setting.c.value).where(metastore_setting.c.name == name)
    return connection.execute(query).scalar()


def set_setting(connection: Connection, name: str, value: str) -> None:
    """Keeps a value under a name; replaces an older one."""
    connection.execute(metastore_setting.delete().where(metastore_setting.c.name == name))
    connection.execute(metastore_setting.insert().values(name=name, value=value))
