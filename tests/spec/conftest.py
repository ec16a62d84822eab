"""One running platform for all `.test` files, and how a file's records run on it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.principal import PrincipalKind
from headwater.model.statement import Dialect, Session
from headwater.query.session import ALL_ROLES, PREPARED_PREFIX, SessionChanges
from platform_fixture import Platform, in_dialect, running_platform
from spec.records import Record, cell, parse, statements

_numbers = itertools.count(1)

SECRET = "SENTINEL"
"""What hidden values hold in the red team's files; never in an answer to a restricted user."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole real stack, with two engine workers."""
    with running_platform(tmp_path_factory.mktemp("platform"), workers=2) as running:
        yield running


class SpecRun:
    """Runs one file: keeps its session, its variables and what went wrong."""

    def __init__(self, platform: Platform, path: Path) -> None:
        self.platform = platform
        self.path = path
        self.schema = f"{re.sub('[^a-z0-9]', '_', path.stem)}_{next(_numbers)}"
        self.variables = {"schema": self.schema}
        self.problems: list[str] = []
        self.admin = platform.session(schema=self.schema)
        platform.run(self.admin, f"CREATE SCHEMA {self.schema}")
        self.session = self.admin

    def run(self) -> list[str]:
        """What went wrong, as `file:line: …`; nothing when all records hold."""
        for record in parse(self.path.read_text()):
            problem = self._record(replace(record, sql=self._filled(record.sql)))
            if problem is not None:
                self.problems.append(f"{self.path.name}:{record.line}: {problem}")
                if record.kind == "setup":
                    break
        return self.problems

    def _filled(self, sql: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: self.variables[found[1]], sql)

    def _record(self, record: Record) -> str | None:
        if record.kind == "user":
            self.session = self._user(*record.words)
            return None
        if record.kind == "dialect":
            self.session = replace(self.session, dialect=Dialect(record.words[0]))
            return None
        try:
            return self._statement(record)
        except HeadwaterError as exc:
            if record.kind != "error":
                return f"unexpected {exc}"
            code, *rest = record.words
            if self._sees_secret(f"{exc} {exc.hint}"):
                return f"a secret in an error: {exc} ({exc.hint})"
            assert code in {*ErrorCode, "USER"}, f"there is no error code {code}"
            pattern = self._filled(" ".join(rest))
            if code != (exc.code if code in ErrorCode.__members__ else exc.code.kind):
                return f"expected {code}, got {exc}"
            if pattern and not re.search(pattern, str(exc)):
                return f"expected {code} matching {pattern!r}, got {exc}"
            return None

    def _statement(self, record: Record) -> str | None:
        if record.kind == "setup":
            for sql in statements(record.sql):
                self.platform.run(in_dialect(self.admin, record.option("dialect")), sql)
            return None
        session = in_dialect(self.session, record.option("dialect"))
        query = self.platform.run(session, record.sql)
        self._follow(query.session_changes)
        if record.kind == "error":
            return f"expected {record.words[0]}, but the statement succeeded"
        if record.kind == "statement":
            if record.words[0] == "count" and query.update_count != int(record.words[1]):
                return f"expected {record.words[1]} changed rows, got {query.update_count}"
            return None
        table = query.table()
        rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        if record.kind == "let":
            self.variables[record.words[0]] = cell(rows[0][0])
            return None
        got = ["|".join(cell(value) for value in row) for row in rows]
        if self._sees_secret("\n".join(got)):
            return f"a secret in a result: {got}"
        got = "\n".join(got).splitlines()
        expected = [self._filled(row) for row in record.expected or ()]
        if "rowsort" in record.words:
            got, expected = sorted(got), sorted(expected)
        return None if got == expected else f"expected\n  {expected}\ngot\n  {got}"

    def _sees_secret(self, text: str) -> bool:
        """True when anybody but the administrator meets a value that only he may see."""
        return SECRET in text and self.session.identity.principal != self.platform.admin

    def _user(self, name: str, role: str | None = None) -> Session:
        directory, actor = self.platform.directory, self.platform.actor
        for wanted, kind in ((name, PrincipalKind.USER), (role, PrincipalKind.ROLE)):
            if wanted is not None:
                try:
                    directory.find(wanted, kind)
                except HeadwaterError:
                    directory.create(kind, wanted, actor)
        if role is not None:
            directory.grant_role(role, name, actor)
        return self.platform.session(name, role, schema=self.schema, dialect=self.session.dialect)

    def _follow(self, changes: SessionChanges) -> None:
        """Applies what a statement changed in the session, as clients do."""
        properties = dict(self.session.properties) | changes.set_properties
        for name, text in changes.added_prepared.items():
            properties[PREPARED_PREFIX + name] = text
        removed = [PREPARED_PREFIX + name for name in changes.removed_prepared]
        for name in (*changes.reset_properties, *removed):
            properties.pop(name, None)
        if changes.started_transaction is not None:
            properties["transaction"] = changes.started_transaction
        if changes.cleared_transaction:
            properties.pop("transaction", None)
        identity = self.session.identity
        if changes.role is not None:
            role = None if changes.role == ALL_ROLES else changes.role
            identity = replace(identity, role=role)
        self.session = replace(
            self.session,
            identity=identity,
            catalog=changes.catalog or self.session.catalog,
            schema=changes.schema or self.session.schema,
            properties=properties,
        )
