"""Saved queries: each has one owner, may be shared with a role to read, and never loses a change.

Every save names the version that it builds on. A save on an older version changes nothing and gets
the stored one back, so that two tabs cannot overwrite each other unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Row,
    Table,
    Text,
    delete,
    func,
    or_,
    select,
)

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import PolicyStore
from headwater.model.principal import Identity
from headwater.model.statement import Dialect
from headwater.store.database import Database
from headwater.store.metadata import JsonValue, metadata

MOST_QUERIES = 10_000
"""Saved queries of one owner."""

saved_query = Table(
    "saved_query",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sql", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("schema_name", Text),
    Column("description", Text, nullable=False),
    Column("chart", JsonValue),
    Column("share_role_id", Text),
    Column("version", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_saved_query_owner_id", "owner_id"),
    Index("ix_saved_query_share_role_id", "share_role_id"),
)
"""One saved query; times in Unix milliseconds UTC. Its text is kept whole, literals included."""


@dataclass(frozen=True, slots=True)
class QueryContent:
    """What its owner writes: `chart` is any JSON value, `share` the name of a role or None."""

    name: str
    sql: str
    dialect: Dialect = Dialect.TRINO
    schema: str | None = None
    description: str = ""
    chart: Any = None
    share: str | None = None


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A saved query as its reader sees it; only its owner (`mine`) may change it."""

    id: str
    content: QueryContent
    owner: str
    mine: bool
    version: int
    created_ms: int
    updated_ms: int


class SavedQueries:
    """The table `saved_query`, for one caller at a time.

    A caller sees its own queries and those shared with a role that is active for it; of all others
    it learns nothing, not even by an id.
    """

    def __init__(self, database: Database, policies: PolicyStore) -> None:
        self._database = database
        self._policies = policies

    def all(self, identity: Identity) -> list[SavedQuery]:
        """The visible ones, those changed last first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(saved_query)
                .where(self._visible(identity))
                .order_by(saved_query.c.updated_ms.desc(), saved_query.c.id)
            ).all()
        return [self._read(identity, row) for row in rows]

    def get(self, identity: Identity, query_id: str) -> SavedQuery:
        """The query of that id; raises SAVED_QUERY_NOT_FOUND."""
        with self._database.read() as connection:
            row = connection.execute(
                select(saved_query).where(saved_query.c.id == query_id, self._visible(identity))
            ).first()
        if row is None:
            raise _missing(query_id)
        return self._read(identity, row)

    def create(self, identity: Identity, content: QueryContent) -> SavedQuery:
        """A new query of the caller's; PERMISSION_DENIED for a role that it does not hold."""
        now, query_id = now_ms(), uuid7()
        values = self._values(identity, content)
        owner = identity.owner.id
        with self._database.write() as connection:
            count = select(func.count()).where(saved_query.c.owner_id == owner)
            if (connection.execute(count).scalar() or 0) >= MOST_QUERIES:
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"you have {MOST_QUERIES} saved queries",
                    hint="delete some",
                )
            connection.execute(
                saved_query.insert().values(
                    id=query_id, owner_id=owner, version=1, created_ms=now, updated_ms=now, **values
                )
            )
        return self.get(identity, query_id)

    def change(
        self, identity: Identity, query_id: str, version: int, content: QueryContent
    ) -> tuple[SavedQuery, bool]:
        """The query as it is stored now, and whether the change was made.

        It is made when `version` is the stored one. Raises SAVED_QUERY_NOT_FOUND, and
        PERMISSION_DENIED for somebody else's query.
        """
        self._own(identity, query_id)
        values = self._values(identity, content)
        with self._database.write() as connection:
            made = connection.execute(
                saved_query.update()
                .where(
                    saved_query.c.id == query_id,
                    saved_query.c.owner_id == identity.owner.id,
                    saved_query.c.version == version,
                )
                .values(version=version + 1, updated_ms=now_ms(), **values)
            ).rowcount
        return self.get(identity, query_id), bool(made)

    def drop(self, identity: Identity, query_id: str, version: int | None) -> SavedQuery | None:
        """Deletes a query of the caller's; the stored one when `version` is not its version."""
        found = self._own(identity, query_id)
        change = delete(saved_query).where(
            saved_query.c.id == query_id, saved_query.c.owner_id == identity.owner.id
        )
        if version is not None:
            change = change.where(saved_query.c.version == version)
        with self._database.write() as connection:
            made = connection.execute(change).rowcount
        return None if made else found

    def _own(self, identity: Identity, query_id: str) -> SavedQuery:
        found = self.get(identity, query_id)
        if not found.mine:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"this saved query is {found.owner}'s",
                hint="save a copy of your own",
            )
        return found

    def _visible(self, identity: Identity) -> Any:
        active = self._policies.current().subject(identity).active
        return or_(
            saved_query.c.owner_id == identity.owner.id, saved_query.c.share_role_id.in_(active)
        )

    def _values(self, identity: Identity, content: QueryContent) -> dict[str, Any]:
        share = None
        if content.share is not None:
            state = self._policies.current()
            role = state.role(content.share)
            if role is None or role.id not in state.subject(identity).held:
                raise error(
                    ErrorCode.PERMISSION_DENIED,
                    f"you do not hold the role {content.share}",
                    hint="share it with a role that you hold",
                )
            share = role.id
        return {
            "name": content.name,
            "sql": content.sql,
            "dialect": content.dialect,
            "schema_name": content.schema,
            "description": content.description,
            "chart": content.chart,
            "share_role_id": share,
        }

    def _read(self, identity: Identity, row: Row[Any]) -> SavedQuery:
        state = self._policies.current()
        return SavedQuery(
            id=row.id,
            content=QueryContent(
                name=row.name,
                sql=row.sql,
                dialect=Dialect(row.dialect),
                schema=row.schema_name,
                description=row.description,
                chart=row.chart,
                share=state.name(row.share_role_id) if row.share_role_id else None,
            ),
            owner=state.name(row.owner_id),
            mine=row.owner_id == identity.owner.id,
            version=row.version,
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
        )


def _missing(query_id: str) -> HeadwaterError:
    return error(ErrorCode.SAVED_QUERY_NOT_FOUND, f"there is no saved query {query_id[:80]}")
