"""Spark Connect's messages (`spark/connect/*.proto`), as the installed `pyspark-client` has them.

Importing `pyspark` costs seconds (pandas, numpy) and may end the process when it finds no Spark, so
only the descriptors are taken from its generated modules, which are read and never run. Messages
are of the default descriptor pool: they are the same classes as pyspark's own.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

from headwater.errors import ErrorCode, error

PACKAGE = "spark.connect"
SERVICE = f"{PACKAGE}.SparkConnectService"

# In the order of what they import.
_FILES = (
    "common",
    "types",
    "expressions",
    "ml_common",
    "catalog",
    "relations",
    "ml",
    "pipelines",
    "commands",
    "base",
)


class Messages:
    """Message classes and enums by their short names: `messages().ExecutePlanRequest`."""

    def __init__(self, classes: dict[str, Any]) -> None:
        self._classes = classes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(name) from None


@functools.cache
def messages() -> Messages:
    """The messages; loaded at the first call, in some 50 ms.

    Raises NOT_SUPPORTED when the extra `spark` is not installed.
    """
    try:
        from google.protobuf import any_pb2, descriptor_pool, message_factory, timestamp_pb2
        from google.protobuf.internal import enum_type_wrapper
    except ModuleNotFoundError as exc:
        raise _missing(exc.name or "protobuf") from exc
    assert any_pb2.DESCRIPTOR.name, "the messages below refer to it"
    assert timestamp_pb2.DESCRIPTOR.name, "the messages below refer to it"
    folder = _folder()
    pool = descriptor_pool.Default()
    classes: dict[str, Any] = {}
    for name in _FILES:
        file = folder / f"{name}_pb2.py"
        if not file.exists():
            # A message file of a newer client.
            continue
        pool.AddSerializedFile(_descriptor(file))
        described = pool.FindFileByName(f"spark/connect/{name}.proto")
        for short, message in described.message_types_by_name.items():
            classes[short] = message_factory.GetMessageClass(message)
        for short, enum in described.enum_types_by_name.items():
            classes[short] = enum_type_wrapper.EnumTypeWrapper(enum)
    return Messages(classes)


def _descriptor(file: Path) -> bytes:
    """The serialised file descriptor that a generated module hands to the descriptor pool."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "AddSerializedFile"
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, bytes)
        ):
            return node.args[0].value
    raise error(ErrorCode.INTERNAL_ERROR, f"{file.name} of pyspark-client holds no descriptor")


def _folder() -> Path:
    """The folder of the client's generated modules, found without importing `pyspark`."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise _missing("pyspark-client")
    return Path(spec.submodule_search_locations[0]) / "sql" / "connect" / "proto"


def _missing(package: str) -> Exception:
    return error(
        ErrorCode.NOT_SUPPORTED,
        f"Spark Connect needs a package that is not installed: {package}",
        hint="pip install 'headwater[spark]'",
    )
