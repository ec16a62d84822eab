"""Reading a metadata file that a client asks to register: nothing in it is trusted unchecked."""

from __future__ import annotations

import uuid
import zlib

import orjson

from headwater.catalog.partitioning import check_order, check_spec
from headwater.catalog.schema import Json, current_schema, default_spec, highest_field_id
from headwater.catalog.schema_rules import check_schema
from headwater.catalog.updates import NEWEST_FORMAT_VERSION
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.warehouse import Warehouse

_LARGEST = 256 * 1024 * 1024
_GZIP = b"\x1f\x8b"


def read_registered(warehouse: Warehouse, metadata_location: str) -> tuple[bytes, Json]:
    """The file's content and metadata, once the location and what is in it are acceptable.

    The location is checked before the file is read, and the file must lie in the table's own
    location. Raises INVALID_LOCATION, FILE_NOT_FOUND or INVALID_METADATA.
    """
    warehouse.check(metadata_location)
    if not metadata_location.endswith((".metadata.json", ".metadata.json.gz")):
        raise error(
            ErrorCode.INVALID_LOCATION,
            "a metadata file's name must end with .metadata.json",
            hint="name the newest file in the table's metadata folder",
        )
    content = _unpacked(warehouse.io.read_bytes(metadata_location))
    try:
        metadata = orjson.loads(content)
        check_metadata(metadata)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise _invalid("the file is not Iceberg table metadata") from exc
    if warehouse.check(metadata["location"]) != metadata["location"]:
        raise error(ErrorCode.INVALID_LOCATION, "the table's location is not in normal form")
    warehouse.check_table(metadata)
    warehouse.check_inside(metadata["location"], metadata_location)
    return content, metadata


def check_metadata(metadata: Json) -> None:
    """Raises INVALID_METADATA for what is no table metadata; also KeyError, TypeError and such."""
    version = metadata["format-version"]
    if type(version) is not int or not 1 <= version <= NEWEST_FORMAT_VERSION:
        raise _invalid(f"unsupported format version: {str(version)[:20]}")
    try:
        uuid.UUID(metadata["table-uuid"])
    except ValueError:
        raise _invalid("table-uuid is not a UUID") from None
    for key in ("schemas", "partition-specs", "sort-orders"):
        if not isinstance(metadata[key], list):
            raise _invalid(f"{key} is not a list")
    for schema in metadata["schemas"]:
        check_schema(schema, version)
    schema = current_schema(metadata)
    if metadata["last-column-id"] < max(map(highest_field_id, metadata["schemas"])):
        raise _invalid("last-column-id is lower than a column's id")
    check_spec(default_spec(metadata), schema, version)
    for order in metadata["sort-orders"]:
        if order["order-id"] == metadata["default-sort-order-id"]:
            check_order(order, schema, version)
    if type(metadata["last-updated-ms"]) is not int:
        raise _invalid("last-updated-ms is not a number")
    known = {snapshot["snapshot-id"] for snapshot in metadata.get("snapshots") or ()}
    for name, ref in (metadata.get("refs") or {}).items():
        if ref["snapshot-id"] not in known:
            raise _invalid(f"ref {str(name)[:80]} names a snapshot that is not there")
    if version >= 2 and type(metadata["last-sequence-number"]) is not int:
        raise _invalid("last-sequence-number is not a number")
    if version >= 3 and type(metadata["next-row-id"]) is not int:
        raise _invalid("next-row-id is not a number")


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(_GZIP):
        return content
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(content, _LARGEST)
    except zlib.error as exc:
        raise _invalid("the metadata file is damaged") from exc
    if not unpacker.eof:
        raise _invalid("the metadata file is truncated or too large")
    return plain


def _invalid(message: str) -> HeadwaterError:
    return error(ErrorCode.INVALID_METADATA, message)
