"""Statements that run with every request, compiled once.

SQLAlchemy spends several times longer on a small statement than SQLite does. These go to SQLite's
driver as they are; to Postgres they go through SQLAlchemy like all others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Executable
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql import ClauseElement

Parameters = Mapping[str, Any]


class Prepared:
    """One statement with named parameters; rows are tuples in the order of its columns.

    Values go in and come out unconverted, so only text, numbers and NULL may be among them.
    `columns` names those that an INSERT sets, `json` those of them that take a JSON value.
    """

    def __init__(
        self,
        statement: Executable,
        columns: Sequence[str] | None = None,
        *,
        json: Sequence[str] = (),
    ) -> None:
        self._statement = statement
        self._json = frozenset(json)
        compiled: Any = cast(ClauseElement, statement).compile(
            dialect=SQLiteDialect_pysqlite(), column_keys=None if columns is None else [*columns]
        )
        self._text = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup)

    def rows(self, connection: Connection, parameters: Parameters) -> Sequence[Sequence[Any]]:
        """All rows that it finds or returns, in the connection's transaction."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return self.driver_rows(driver, parameters)
        return connection.execute(self._statement, parameters).all()

    def change(self, connection: Connection, parameters: Parameters) -> int:
        """Carries it out in the connection's transaction; how many rows it changed."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return driver.execute(self._text, self._values(parameters)).rowcount
        return connection.execute(self._statement, parameters).rowcount

    def change_all(self, connection: Connection, parameters: Sequence[Parameters]) -> None:
        """Carries it out once for each of the parameters."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.executemany(self._text, [self._values(each) for each in parameters])
        else:
            connection.execute(self._statement, [*parameters])

    def driver_rows(
        self, driver: sqlite3.Connection, parameters: Parameters
    ) -> Sequence[Sequence[Any]]:
        """All rows that it finds on a connection of SQLite's driver."""
        return driver.execute(self._text, self._values(parameters)).fetchall()

    def _values(self, parameters: Parameters) -> list[Any]:
        if not self._json:
            return [parameters[name] for name in self._names]
        return [
            orjson.dumps(parameters[name]).decode() if name in self._json else parameters[name]
            for name in self._names
        ]
