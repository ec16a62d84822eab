"""Which types Spark gives the columns of a query that the system engine runs.

DuckDB adds decimals, divides and averages with types of its own. Sail types an expression as Spark
does, so its analyser is asked, over empty tables with the columns of the real ones: nothing is
staged for it and nothing runs. What it said is kept by the text and the tables' columns.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.gateway.spark_connect.elsewhere import Elsewhere, UserSide
from headwater.gateway.spark_connect.failures import unsupported
from headwater.gateway.spark_connect.naming import computed_names
from headwater.gateway.spark_connect.plans.sql_text import parse_statement
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.model.identifiers import CATALOG_NAME, SnapshotRef
from headwater.model.statement import Session
from headwater.query.describe import Described, Describer
from headwater.query.needs import EVERYTHING, Columns, Need
from headwater.query.staging import StagedFiles, StagedTable
from headwater.sql.statements import Name
from headwater.sql.types import spark_type

_KEPT = 2048
_INT = 2**31
_PARAMETER = "\0"
"""What the names of parameters begin with in a parsed tree."""


class Oracle:
    """Asks the caller's own Sail; remembers for all."""

    def __init__(self, side: UserSide, describer: Describer) -> None:
        self._side = side
        self._describer = describer
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def schema(self, sql: Any, session: SparkSession, described: Described) -> Any:
        """The Spark schema of a `SQL` message's result.

        Raises SparkFailure where Sail does not understand the text, so does not vouch for it.
        """
        key = _key(sql, session, described)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None:
            known = self._ask(sql, session, described)
            with self._lock:
                self._known[key] = known
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return self._side.pb.DataType.FromString(known)

    def _ask(self, sql: Any, session: SparkSession, described: Described) -> bytes:
        request = self._side.pb.AnalyzePlanRequest()
        request.schema.plan.root.common.plan_id = 0
        request.schema.plan.root.sql.CopyFrom(sql)
        stager = _EmptyTables(described, self._describer)
        answer = Elsewhere(self._side, session).analyze_on_sail(request, stager)
        schema = answer.schema.schema
        names = computed_names(parse_statement(sql.query))
        if len(names) == len(schema.struct.fields):  # no star among them
            for field, name in zip(schema.struct.fields, names, strict=True):
                field.name = name or field.name
        told: bytes = schema.SerializeToString()
        return told


def is_plain(tree: exp.Expr) -> bool:
    """True for a query whose columns are a table's own, or small constants: their types are clear.

    Anything computed is for the oracle.
    """
    if not isinstance(tree, exp.Select) or tree.args.get("with_"):
        return False
    source = tree.args.get("from_")
    tables = [source.this] if source is not None else []
    tables += [join.this for join in tree.args.get("joins") or ()]
    if tree.args.get("laterals") or not all(isinstance(table, exp.Table) for table in tables):
        return False
    return all(_is_clear(each.unalias()) for each in tree.expressions)


def _is_clear(item: exp.Expr) -> bool:
    if isinstance(item, exp.Literal):
        return bool(item.is_string) or (item.is_int and int(item.name) < _INT)
    if isinstance(item, exp.Column) and item.name.startswith(_PARAMETER):
        return False
    return isinstance(item, exp.Column | exp.Star) and not item.args.get("except_")


@dataclass(slots=True)
class _EmptyTables:
    """Stages a table as its columns alone; what a query reads was decided when it was described."""

    described: Described
    describer: Describer

    def columns(self, name: Name, at: SnapshotRef, session: Session) -> Columns:
        """Never asked for: nothing is staged here that could be left out."""
        raise unsupported("only the types of a table are known here")

    def table(
        self, name: Name, at: SnapshotRef, session: Session, need: Need = EVERYTHING
    ) -> StagedTable:
        """A table without rows."""
        schema = self._scanned(name, session) or self._described(name, session)
        key = hashlib.sha256(schema.encode()).hexdigest()
        return StagedTable(str(name), key, "", schema, ())

    def exists(self, name: Name, session: Session) -> bool:
        """True when the caller may see a table or view of that name."""
        try:
            self._described(name, session)
        except HeadwaterError:
            return False
        return True

    def files(
        self, paths: Sequence[str], file_format: str, options: Mapping[str, str], session: Session
    ) -> StagedFiles:
        """Never: the system engine reads no files of users."""
        raise unsupported("files cannot be read here")

    def _scanned(self, name: Name, session: Session) -> str | None:
        parts = [part.casefold() for part in name.parts]
        if len(parts) > 1 and parts[0] == CATALOG_NAME:
            parts = parts[1:]
        if len(parts) == 1:
            parts = [(session.schema or "default").casefold(), *parts]
        found = {
            _ddl((column.name, column.type) for column in scan.columns)
            for scan in self.described.scans
            if not scan.through_view
            and [*map(str.casefold, scan.identifier.namespace), scan.identifier.name.casefold()]
            == parts
        }
        if len(found) > 1:
            raise unsupported("a table is read at states with different columns")
        return found.pop() if found else None

    def _described(self, name: Name, session: Session) -> str:
        """The columns of a view, or of a table that the server makes up."""
        quoted = ".".join("`" + part.replace("`", "``") + "`" for part in name.parts)
        found = self.describer.describe(session, f"SELECT * FROM {quoted}")
        if any(kind is None for _, kind in found.output):
            raise unsupported("a column's type is not known before the query runs")
        return _ddl(found.output)


def _ddl(columns: Any) -> str:
    return ", ".join(
        "`" + name.replace("`", "``") + "` " + spark_type(kind) for name, kind in columns
    )


def _key(sql: Any, session: SparkSession, described: Described) -> bytes:
    digest = hashlib.sha256(sql.SerializeToString(deterministic=True))
    facts = (
        session.schema,
        described.output,
        [(str(s.identifier), [(c.name, c.type) for c in s.columns]) for s in described.scans],
    )
    digest.update(repr(facts).encode())
    return digest.digest()
