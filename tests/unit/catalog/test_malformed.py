"""Whatever a client sends, the engine refuses it by name or makes valid metadata of it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.catalog.creation import new_table, staged_table
from headwater.catalog.requirements import check_requirements
from headwater.catalog.shapes import well_formed
from headwater.catalog.updates import apply_updates
from headwater.catalog.view_updates import apply_view_updates, new_view
from headwater.errors import UserError
from headwater.storage.fileio import LocalFileIO
from headwater.storage.warehouse import Warehouse

HOME = "file:///w/t"
WAREHOUSE = Warehouse("file:///w", LocalFileIO(Path("/w")))
FIELD = {"id": 1, "name": "id", "type": "long", "required": True}
NESTED = {
    "id": 2,
    "name": "m",
    "type": {
        "type": "map",
        "key-id": 3,
        "key": "string",
        "value-id": 4,
        "value": {"type": "list", "element-id": 5, "element": "int"},
    },
}
SCHEMA = {"type": "struct", "schema-id": 0, "fields": [FIELD, NESTED], "identifier-field-ids": [1]}
SNAPSHOT = {
    "snapshot-id": 7,
    "sequence-number": 1,
    "timestamp-ms": 4102444800000,
    "manifest-list": f"{HOME}/metadata/snap.avro",
    "summary": {"operation": "append"},
    "schema-id": 0,
    "first-row-id": 0,
    "added-rows": 1,
}
SPEC = {"fields": [{"source-id": 1, "transform": "bucket[4]", "name": "b", "field-id": 1000}]}
ORDER = {
    "fields": [
        {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-last"}
    ]
}
STATISTICS = {"snapshot-id": 7, "statistics-path": f"{HOME}/metadata/s.puffin"}
REF = {"ref-name": "main", "type": "branch", "snapshot-id": 7, "max-ref-age-ms": 5}
UPDATES: list[dict[str, Any]] = [
    {"action": "assign-uuid", "uuid": "u"},
    {"action": "upgrade-format-version", "format-version": 3},
    {"action": "set-location", "location": HOME},
    {"action": "set-properties", "updates": {"write.metadata.previous-versions-max": "3"}},
    {"action": "remove-properties", "removals": ["a"]},
    {"action": "add-schema", "schema": SCHEMA, "last-column-id": 9},
    {"action": "set-current-schema", "schema-id": -1},
    {"action": "add-spec", "spec": SPEC},
    {"action": "set-default-spec", "spec-id": -1},
    {"action": "add-sort-order", "sort-order": ORDER},
    {"action": "set-default-sort-order", "sort-order-id": -1},
    {"action": "add-snapshot", "snapshot": SNAPSHOT},
    {"action": "set-snapshot-ref", **REF},
    {"action": "set-statistics", "statistics": STATISTICS},
    {"action": "set-partition-statistics", "partition-statistics": STATISTICS},
    {"action": "add-encryption-key", "encryption-key": {"key-id": "k"}},
    {"action": "remove-encryption-key", "key-id": "k"},
    {"action": "remove-statistics", "snapshot-id": 7},
    {"action": "remove-partition-statistics", "snapshot-id": 7},
    {"action": "remove-snapshot-ref", "ref-name": "main"},
    {"action": "remove-snapshots", "snapshot-ids": [7]},
    {"action": "remove-partition-specs", "spec-ids": [5]},
    {"action": "remove-schemas", "schema-ids": [5]},
]
VIEW: dict[str, Any] = {
    "schema": SCHEMA,
    "properties": {"a": "b"},
    "view-version": {
        "version-id": 1,
        "timestamp-ms": 1,
        "summary": {},
        "default-namespace": ["s"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "trino"}],
    },
}
VIEW_UPDATES: list[dict[str, Any]] = [
    {"action": "add-schema", "schema": SCHEMA},
    {"action": "add-view-version", "view-version": VIEW["view-version"] | {"schema-id": -1}},
    {"action": "set-current-view-version", "view-version-id": -1},
    {"action": "set-properties", "updates": {"version.history.num-entries": "1"}},
    {"action": "remove-properties", "removals": ["a"]},
]
REQUIREMENTS: list[dict[str, Any]] = [
    {"type": "assert-table-uuid", "uuid": "u"},
    {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
    {"type": "assert-default-spec-id", "default-spec-id": 0},
]

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "main", "long", "decimal(9,2)", "\ud800", "x" * 5000, "-1"]),
    st.sampled_from([[], {}, [None], [[]], {"type": "struct"}, {"fields": 1}, [{"id": []}]]),
)


@st.composite
def broken(draw: st.DrawFn, template: Any) -> Any:
    """The template with up to three values, anywhere in it, replaced or removed."""
    made = copy.deepcopy(template)
    for _ in range(draw(st.integers(1, 3))):
        node = made
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            child = node[key]
            if isinstance(child, (dict, list)) and child and draw(st.integers(0, 3)):
                node = child
                continue
            if draw(st.booleans()):
                del node[key]
            elif node is not made or isinstance(made, dict):  # a list holds objects: `wire` checks
                node[key] = copy.deepcopy(draw(ODD))
            break
    return made


def refused_or_right(work: Callable[[], dict[str, Any]]) -> None:
    """Nothing but an error that names what the client did wrong comes out, or good metadata."""
    try:
        made = work()
    except UserError:
        return
    with contextlib.suppress(UserError):
        # As `Committer` does before it writes.
        with well_formed("the metadata"):
            WAREHOUSE.check_table(made)
            content = orjson.dumps(made)
        assert orjson.loads(content)["location"] == HOME


MANY = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@MANY
@given(broken(UPDATES), st.sampled_from([1, 2, 3]))
def test_updates(updates: list[dict[str, Any]], version: int) -> None:
    request = {"schema": SCHEMA, "properties": {"format-version": str(version)}}
    base = new_table(request, "u", HOME)
    refused_or_right(lambda: apply_updates(base, updates, metadata_location=f"{HOME}/metadata/0"))
    refused_or_right(lambda: staged_table(updates, "u", HOME))


@MANY
@given(
    broken(
        {"schema": SCHEMA, "partition-spec": SPEC, "write-order": ORDER, "properties": {"a": "b"}}
    )
)
def test_creation(request: dict[str, Any]) -> None:
    refused_or_right(lambda: new_table(request, "u", HOME))


@MANY
@given(broken(VIEW), broken(VIEW_UPDATES))
def test_views(request: dict[str, Any], updates: list[dict[str, Any]]) -> None:
    refused_or_right(lambda: new_view(request, "u", HOME))
    refused_or_right(lambda: apply_view_updates(new_view(VIEW, "u", HOME), updates))


@MANY
@given(broken(REQUIREMENTS))
def test_requirements(requirements: list[dict[str, Any]]) -> None:
    with contextlib.suppress(UserError):
        check_requirements(new_table({"schema": SCHEMA}, "u", HOME), requirements)
