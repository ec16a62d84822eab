"""Rows that a plan brings along: `createDataFrame` and the answers of commands."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa

from headwater.gateway.spark_connect.ddl import parse_ddl
from headwater.gateway.spark_connect.failures import SparkFailure, invalid_plan
from headwater.gateway.spark_connect.types import arrow_schema, spark_schema

_COLLATED = re.compile(r"__COLLATIONS|\bcollate\b", re.IGNORECASE)
_JSON_NAMES = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}


def local_rows(relation: Any, time_zone: str, pb: Any) -> tuple[Any, pa.Table] | None:
    """Schema and rows of a local relation; None for others, and where an engine must convert it.

    Limits around it are applied.
    """
    kind = relation.WhichOneof("rel_type")
    if kind == "limit":
        inner = local_rows(relation.limit.input, time_zone, pb)
        if inner is None:
            return None
        return inner[0], inner[1].slice(0, max(0, relation.limit.limit))
    if kind != "local_relation" or not relation.local_relation.HasField("data"):
        return None
    try:
        with pa.ipc.open_stream(relation.local_relation.data) as reader:
            rows = reader.read_all()
    except (pa.ArrowInvalid, OSError) as exc:
        raise invalid_plan("The local relation holds no Arrow data.") from exc
    told = relation.local_relation.schema if relation.local_relation.HasField("schema") else ""
    if _COLLATED.search(told):
        return None
    schema = spark_schema(rows.schema, pb) if not told else parse_schema(told, pb)
    if schema is None or len(schema.struct.fields) != rows.num_columns:
        return None
    try:
        target = arrow_schema(schema, time_zone)
    except SparkFailure:
        return None  # a type that engines know
    if any(
        not _alike(one.type, other.type) for one, other in zip(rows.schema, target, strict=True)
    ):
        return None
    if not rows.num_columns:
        return schema, rows  # a cast would lose the number of rows
    return schema, rows.rename_columns(target.names).cast(target)


def parse_schema(text: str, pb: Any) -> Any:
    """A schema as DDL or as Spark's JSON; None when it is neither, or not of columns."""
    try:
        if text.lstrip().startswith("{"):
            made = _from_json(json.loads(text), pb)
        else:
            made = parse_ddl(text, pb)
    except (SparkFailure, ValueError, KeyError, TypeError, RecursionError):
        return None
    return made if made.WhichOneof("kind") == "struct" else None


def _from_json(told: Any, pb: Any) -> Any:
    if isinstance(told, str):
        return parse_ddl(_JSON_NAMES.get(told, told), pb)
    made = pb.DataType()
    match told["type"]:
        case "struct":
            made.struct.SetInParent()
            for field in told["fields"]:
                metadata = field.get("metadata")
                made.struct.fields.add(
                    name=field["name"],
                    data_type=_from_json(field["type"], pb),
                    nullable=bool(field.get("nullable", True)),
                    metadata=json.dumps(metadata) if metadata else None,
                )
        case "array":
            made.array.element_type.CopyFrom(_from_json(told["elementType"], pb))
            made.array.contains_null = bool(told.get("containsNull", True))
        case "map":
            made.map.key_type.CopyFrom(_from_json(told["keyType"], pb))
            made.map.value_type.CopyFrom(_from_json(told["valueType"], pb))
            made.map.value_contains_null = bool(told.get("valueContainsNull", True))
        case other:
            raise ValueError(other)
    return made


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """True when values of one type are those of the other without conversion."""
    if one == other:
        return True
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        return (one.tz is None) == (other.tz is None) and one.unit == other.unit
    texts = (pa.types.is_string, pa.types.is_large_string)
    return any(is_text(one) for is_text in texts) and pa.types.is_string(other)
