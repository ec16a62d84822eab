"""Receipts of requests that carried an Idempotency-Key: the same request again does nothing.

Iceberg REST spec: "Idempotency-Key". A receipt is written in the transaction of the change that it
is for, so there is never one without the other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import orjson
import sqlalchemy
from sqlalchemy import Connection

from headwater.catalog import records

LIFETIME_SECONDS = 30 * 60
"""How long a receipt is kept, and so how late a request may be repeated."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request's key, per principal, and a hash of everything else that it asked for."""

    principal_id: str
    key: str
    request_hash: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished request led to: the metadata file of the table or view, where one is."""

    request_hash: str
    metadata_location: str | None


def write_receipt(
    connection: Connection, receipt: Receipt | None, metadata_location: str | None = None
) -> None:
    """Keeps the receipt of the change that this transaction makes; forgets expired ones."""
    if receipt is None:
        return
    now_ms = int(time.time() * 1000)
    table = records.receipts
    connection.execute(table.delete().where(table.c.at_ms < now_ms - LIFETIME_SECONDS * 1000))
    connection.execute(
        table.insert().values(
            principal_id=receipt.principal_id,
            key=receipt.key,
            request_hash=receipt.request_hash,
            outcome=orjson.dumps({"metadata-location": metadata_location}).decode(),
            at_ms=now_ms,
        )
    )


def find_outcome(connection: Connection, principal_id: str, key: str) -> Outcome | None:
    """The outcome of the principal's earlier request with that key, unless it expired."""
    table = records.receipts
    row = connection.execute(
        sqlalchemy.select(table.c.request_hash, table.c.outcome).where(
            table.c.principal_id == principal_id,
            table.c.key == key,
            table.c.at_ms >= int((time.time() - LIFETIME_SECONDS) * 1000),
        )
    ).first()
    if row is None:
        return None
    return Outcome(row.request_hash, orjson.loads(row.outcome)["metadata-location"])
