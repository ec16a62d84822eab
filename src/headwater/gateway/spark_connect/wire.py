"""Reads what clients send: size, depth and compression are bounded before anything is parsed.

Protobuf parses messages up to 100 deep, which a loop of `withColumn` exceeds; beyond that it can be
told to take any depth, which overflows the C stack and ends the process. So deep messages are
measured first, by walking their wire format, and parsed without the limit if they are sane.
"""

from __future__ import annotations

import threading
from typing import Any

from headwater.gateway.spark_connect.failures import invalid_plan

DEEPEST = 1000
"""Messages inside each other: Spark's own server takes 1024."""

LARGEST_PLAN = 256 * 2**20
"""Bytes of a plan once it is decompressed."""

_MOST_MESSAGES = 500_000
_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)

# Guards the switch of the depth limit, which is one for the process.
_parsing = threading.Lock()


def parse(kind: Any, raw: bytes) -> Any:
    """The message in some bytes; raises CONNECT_INVALID_PLAN."""
    from google.protobuf.message import DecodeError

    try:
        with _parsing:
            return kind.FromString(raw)
    except DecodeError:
        _measure(kind.DESCRIPTOR, raw)
    allow = _depth_switch()
    if allow is None:
        raise _unreadable()
    try:
        with _parsing:
            allow(True)
            try:
                return kind.FromString(raw)
            finally:
                allow(False)
    except DecodeError as exc:
        raise _unreadable() from exc


def fields_of(raw: bytes) -> frozenset[int]:
    """The numbers of a message's own fields, found without parsing what is in them."""
    found, place, end = set(), 0, len(raw)
    while place < end:
        key, place = _varint(raw, place, end)
        found.add(key >> 3)
        shape = key & 7
        if shape == _BYTES:
            size, place = _varint(raw, place, end)
            place += size
        elif shape == _VARINT:
            _, place = _varint(raw, place, end)
        elif shape in (_FIXED32, _FIXED64):
            place += 4 if shape == _FIXED32 else 8
        else:
            raise _unreadable()
    return frozenset(found)


def unpacked(plan: Any, pb: Any) -> Any:
    """The plan itself, decompressed if the client compressed it."""
    if plan.WhichOneof("op_type") != "compressed_operation":
        return plan
    packed = plan.compressed_operation
    codec = pb.CompressionCodec.Name(packed.compression_codec)
    if codec != "COMPRESSION_CODEC_ZSTD":
        raise invalid_plan("The plan is compressed in a way that is not supported.")
    import zstandard

    # The stream reader stops at the limit, whatever size the frame claims.
    reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed.data)
    try:
        raw = reader.read(LARGEST_PLAN + 1)
    except zstandard.ZstdError as exc:
        raise invalid_plan("The compressed plan cannot be read.") from exc
    if len(raw) > LARGEST_PLAN:
        raise invalid_plan(f"The plan has more than {LARGEST_PLAN} bytes.")
    kinds = type(packed).OpType
    made = pb.Plan()
    if packed.op_type == kinds.Value("OP_TYPE_RELATION"):
        made.root.CopyFrom(parse(pb.Relation, raw))
    elif packed.op_type == kinds.Value("OP_TYPE_COMMAND"):
        made.command.CopyFrom(parse(pb.Command, raw))
    else:
        raise invalid_plan("The compressed plan says not what it is.")
    return made


def _measure(kind: Any, raw: bytes) -> None:
    """Raises for bytes that are no message of that kind, too deep, or too many."""
    fields: dict[str, dict[int, Any]] = {}
    work: list[tuple[Any, int, int, int]] = [(kind, 0, len(raw), 1)]
    messages = 0
    while work:
        described, place, end, depth = work.pop()
        messages += 1
        if depth > DEEPEST:
            raise invalid_plan(f"The plan is more than {DEEPEST} messages deep.")
        if messages > _MOST_MESSAGES:
            raise invalid_plan(f"The plan has more than {_MOST_MESSAGES} parts.")
        known = fields.get(described.full_name)
        if known is None:
            known = {f.number: f.message_type for f in described.fields if f.message_type}
            fields[described.full_name] = known
        while place < end:
            key, place = _varint(raw, place, end)
            shape, inner = key & 7, known.get(key >> 3)
            if shape == _BYTES:
                size, place = _varint(raw, place, end)
                if place + size > end:
                    raise _unreadable()
                if inner is not None:
                    work.append((inner, place, place + size, depth + 1))
                place += size
            elif shape == _VARINT:
                _, place = _varint(raw, place, end)
            elif shape in (_FIXED32, _FIXED64):
                place += 4 if shape == _FIXED32 else 8
            else:
                # Groups are of protobuf 2; Spark Connect has none, and they may nest unseen.
                raise _unreadable()
        if place != end:
            raise _unreadable()


def _varint(raw: bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise _unreadable()


def _depth_switch() -> Any:
    """Protobuf's switch for the depth limit; None in implementations without one."""
    try:
        from google._upb import _message
    except ImportError:
        return None
    return getattr(_message, "SetAllowOversizeProtos", None)


def _unreadable() -> Exception:
    return invalid_plan("The request is no message of Spark Connect.")
