"""Arrow types as Trino's: the text that people read and the signature that drivers decode by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

TYPE_KEY = b"headwater.type"
"""Arrow field metadata in which the engine says its own type, for what Arrow cannot tell apart."""

UNBOUNDED_VARCHAR = 2**31 - 1
"""The length that Trino's signature gives for a varchar without one."""

_DATETIME = ("time", "timestamp", "timestamp with time zone")
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


@dataclass(frozen=True, slots=True)
class TrinoType:
    """A Trino type: `raw` name, numeric arguments (length; precision, scale), nested types.

    A row has one name for each nested type; an array has one nested type, a map two.
    """

    raw: str
    numbers: tuple[int, ...] = ()
    types: tuple[TrinoType, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The type as SQL writes it: `timestamp(6) with time zone`, `row("a" integer)`."""
        if self.names:
            fields = zip(self.names, self.types, strict=True)
            return f"row({', '.join(f'{_quoted(name)} {kind.text}' for name, kind in fields)})"
        if self.types:
            return f"{self.raw}({', '.join(kind.text for kind in self.types)})"
        if not self.numbers or self.numbers == (UNBOUNDED_VARCHAR,):
            return self.raw
        head, space, tail = self.raw.partition(" ")
        return f"{head}({','.join(str(number) for number in self.numbers)}){space}{tail}"

    def signature(self) -> dict[str, Any]:
        """The `typeSignature` object (`io.trino.client.ClientTypeSignature`)."""
        arguments: list[dict[str, Any]]
        if self.names:
            arguments = [
                {
                    "kind": "NAMED_TYPE",
                    "value": {"fieldName": {"name": name}, "typeSignature": kind.signature()},
                }
                for name, kind in zip(self.names, self.types, strict=True)
            ]
        elif self.types:
            arguments = [{"kind": "TYPE", "value": kind.signature()} for kind in self.types]
        else:
            arguments = [{"kind": "LONG", "value": number} for number in self.numbers]
        return {"rawType": self.raw, "arguments": arguments}


_SIMPLE: tuple[tuple[Callable[[pa.DataType], bool], TrinoType], ...] = (
    (pt.is_null, TrinoType("unknown")),
    (pt.is_boolean, TrinoType("boolean")),
    (pt.is_int8, TrinoType("tinyint")),
    (pt.is_int16, TrinoType("smallint")),
    (pt.is_int32, TrinoType("integer")),
    (pt.is_int64, TrinoType("bigint")),
    (pt.is_float32, TrinoType("real")),
    (pt.is_float64, TrinoType("double")),
    (pt.is_string, TrinoType("varchar", (UNBOUNDED_VARCHAR,))),
    (pt.is_binary, TrinoType("varbinary")),
    (pt.is_date, TrinoType("date")),
    (pt.is_interval, TrinoType("interval day to second")),
)


_NAMED: dict[str, TrinoType] = {"UUID": TrinoType("uuid"), "JSON": TrinoType("json")}


def field_type(field: pa.Field[Any]) -> TrinoType:
    """The Trino type of one result column."""
    named = (field.metadata or {}).get(TYPE_KEY, b"").decode()
    return _NAMED.get(named) or arrow_type(field.type)


def arrow_type(kind: Any) -> TrinoType:
    """The Trino type of an Arrow type that leaves an engine."""
    if pt.is_decimal(kind):
        return TrinoType("decimal", (kind.precision, kind.scale))
    if pt.is_time(kind):
        return TrinoType("time", (_DIGITS[kind.unit],))
    if pt.is_timestamp(kind):
        raw = "timestamp" if kind.tz is None else "timestamp with time zone"
        return TrinoType(raw, (_DIGITS[kind.unit],))
    if pt.is_map(kind):
        return TrinoType("map", types=(field_type(kind.key_field), field_type(kind.item_field)))
    if pt.is_list(kind):
        return TrinoType("array", types=(field_type(kind.value_field),))
    if pt.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return TrinoType(
            "row",
            types=tuple(field_type(field) for field in fields),
            names=tuple(field.name for field in fields),
        )
    for matches, trino in _SIMPLE:
        if matches(kind):
            return trino
    raise TypeError(f"no Trino type for Arrow's {kind}")


def without_precision(kind: TrinoType) -> TrinoType:
    """The type as clients expect it that do not announce `PARAMETRIC_DATETIME`: times have three
    digits and say nothing of it.
    """
    if kind.raw in _DATETIME:
        return TrinoType(kind.raw)
    return TrinoType(
        kind.raw, kind.numbers, tuple(without_precision(inner) for inner in kind.types), kind.names
    )


def columns(schema: pa.Schema, *, parametric_datetime: bool) -> list[dict[str, Any]]:
    """The `columns` array of a `QueryResults` document; shared, not to be changed."""
    return _columns(schema.serialize().to_pybytes(), parametric_datetime)


@lru_cache(maxsize=256)
def _columns(serialized: bytes, parametric_datetime: bool) -> list[dict[str, Any]]:
    """By the schema's bytes: two schemas count as equal although their metadata differ."""
    result = []
    for field in pa.ipc.read_schema(pa.py_buffer(serialized)):
        kind = field_type(field)
        if not parametric_datetime:
            kind = without_precision(kind)
        result.append({"name": field.name, "type": kind.text, "typeSignature": kind.signature()})
    return result


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
