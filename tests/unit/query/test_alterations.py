"""ALTER TABLE as metadata updates, on plain metadata dicts."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.catalog.creation import new_table
from headwater.catalog.updates import apply_updates
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Dialect
from headwater.query.alterations import partition_spec, updates
from headwater.query.creation import table_request, with_column_names
from headwater.sql.statements import (
    AddColumn,
    AlterAction,
    AlterColumnType,
    ColumnDefinition,
    DropColumn,
    PartitionField,
    RenameColumn,
    SetColumnNullable,
    SetComment,
    SetPartitioning,
    SetProperties,
    SetRef,
    SortField,
    TableOptions,
)

COLUMNS = (
    ColumnDefinition("id", "int", required=True),
    ColumnDefinition("name", "string"),
    ColumnDefinition(
        "r",
        {"type": "struct", "fields": [{"name": "x", "required": False, "type": "float"}]},
    ),
    ColumnDefinition(
        "xs",
        {
            "type": "list",
            "element": {
                "type": "map",
                "key": "string",
                "value": "decimal(5, 2)",
                "value-required": False,
            },
            "element-required": False,
        },
    ),
)


def table(**options: Any) -> dict[str, Any]:
    request = table_request("t", COLUMNS, TableOptions(**options))
    return new_table(request, "uuid", "file:///lake/t")


def altered(metadata: dict[str, Any], *actions: AlterAction) -> dict[str, Any]:
    found: dict[str, Any] = apply_updates(metadata, updates(metadata, actions))
    return found


def schema(metadata: dict[str, Any]) -> dict[str, Any]:
    wanted = metadata["current-schema-id"]
    found: dict[str, Any] = next(s for s in metadata["schemas"] if s["schema-id"] == wanted)
    return found


def test_a_new_column_gets_an_id_that_was_never_used() -> None:
    before = table()
    once = altered(before, AddColumn(ColumnDefinition("new", "long", comment="c")))
    dropped = altered(once, DropColumn(("new",)))
    again = altered(dropped, AddColumn(ColumnDefinition("new", "string")))
    first, second = schema(once)["fields"][-1], schema(again)["fields"][-1]
    assert first == {"id": 9, "name": "new", "required": False, "type": "long", "doc": "c"}
    assert second["id"] == 10
    assert schema(dropped)["fields"] == schema(before)["fields"]


def test_several_actions_are_one_new_schema() -> None:
    changed = altered(
        table(),
        RenameColumn(("NAME",), "label"),
        AlterColumnType(("id",), "long"),
        AlterColumnType(("r", "x"), "double"),
        SetColumnNullable(("id",)),
        AddColumn(ColumnDefinition("r.y", "date")),
    )
    ids = {field["name"]: field["id"] for field in schema(changed)["fields"]}
    assert ids == {"id": 1, "label": 2, "r": 3, "xs": 4}
    first, _, row, _ = schema(changed)["fields"]
    assert (first["type"], first["required"]) == ("long", False)
    assert [(f["name"], f["type"]) for f in row["type"]["fields"]] == [
        ("x", "double"),
        ("y", "date"),
    ]
    assert len(changed["schemas"]) == 2


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (AlterColumnType(("name",), "long"), ErrorCode.NOT_SUPPORTED),
        (AlterColumnType(("nope",), "long"), ErrorCode.COLUMN_NOT_FOUND),
        (SetColumnNullable(("name",), nullable=False), ErrorCode.NOT_SUPPORTED),
        (AddColumn(ColumnDefinition("Name", "long")), ErrorCode.DUPLICATE_COLUMN_NAME),
        (AddColumn(ColumnDefinition("n", "long", required=True)), ErrorCode.NOT_SUPPORTED),
        (RenameColumn(("id",), "NAME"), ErrorCode.DUPLICATE_COLUMN_NAME),
        (DropColumn(("r", "x")), ErrorCode.NOT_SUPPORTED),
        (SetProperties({"uuid": "x"}), ErrorCode.INVALID_ARGUMENT),
        (SetProperties({"format-version": "9"}), ErrorCode.INVALID_ARGUMENT),
        (SetRef("main", "branch"), ErrorCode.INVALID_ARGUMENT),
        (SetRef("tag", "tag"), ErrorCode.SNAPSHOT_NOT_FOUND),
    ],
)
def test_what_is_refused(action: AlterAction, code: ErrorCode) -> None:
    with pytest.raises(HeadwaterError) as refused:
        updates(table(), [action])
    assert refused.value.code is code


def test_a_column_in_the_partitioning_or_order_stays() -> None:
    by = table(partitioning=(PartitionField("id", "bucket[4]"),), sorting=(SortField("name"),))
    for name in ("id", "name"):
        with pytest.raises(HeadwaterError):
            updates(by, [DropColumn((name,))])
    freed = altered(by, SetPartitioning(()))
    assert schema(altered(freed, DropColumn(("id",))))["fields"][0]["name"] == "name"


def test_nothing_to_do_is_no_update() -> None:
    metadata = table()
    assert updates(metadata, [DropColumn(("nope",), if_exists=True)]) == []
    assert updates(metadata, [AlterColumnType(("id",), "int")]) == []
    assert updates(metadata, [AddColumn(ColumnDefinition("id", "int"), if_not_exists=True)]) == []


def test_properties_are_set_and_removed() -> None:
    metadata = altered(table(comment="old"), SetProperties({"a": "1", "b": "2"}), SetComment(None))
    assert metadata["properties"] == {"a": "1", "b": "2"}
    assert altered(metadata, SetProperties({"a": None}))["properties"] == {"b": "2"}


def test_partition_fields_are_named_as_iceberg_names_them() -> None:
    fields = [
        PartitionField("id", "bucket[16]"),
        PartitionField("name", "truncate[3]"),
        PartitionField("name", "identity"),
        PartitionField("r.x", "identity"),
    ]
    spec = partition_spec(fields, schema(table()))
    names = [field["name"] for field in spec["fields"]]
    assert names == ["id_bucket_16", "name_trunc", "name", "r.x"]
    assert [field["source-id"] for field in spec["fields"]] == [1, 2, 2, 5]


def test_a_views_names_are_part_of_its_text() -> None:
    text = with_column_names("SELECT 1", ["a b", 'c"d'], Dialect.TRINO)
    assert text.startswith('WITH "definition" ("a b", "c""d") AS (')
    assert "`x``y`" in with_column_names("SELECT 1", ["x`y"], Dialect.SPARK)
