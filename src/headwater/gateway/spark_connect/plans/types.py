"""Schemas and types that arrive as text: checked to be nothing but types."""

from __future__ import annotations

import json
import re
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.functions import words

_TYPES = words(
    """
    boolean byte tinyint short smallint int integer long bigint float real double decimal dec
    numeric string char character varchar binary date time timestamp timestamp_ltz timestamp_ntz
    interval void null variant array map struct year month day hour minute second to geography
    geometry any
    """
)
_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>`(?:[^`]|``)*`)|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<word>[^\W\d]\w*)|(?P<number>-?\d+)|(?P<mark>[<>():,]))"
)
_LONGEST = 1_000_000
_DEEPEST = 100
_JSON_KINDS = words("struct array map udt")
_JVM_CLASSES = frozenset(
    {
        "org.apache.spark.ml.linalg.VectorUDT",
        "org.apache.spark.ml.linalg.MatrixUDT",
        "org.apache.spark.mllib.linalg.VectorUDT",
        "org.apache.spark.mllib.linalg.MatrixUDT",
        "org.apache.spark.sql.test.ExamplePointUDT",
    }
)
"""Spark's own types of users; it loads and makes whatever class a type names."""


def check_schema(text: str) -> bool:
    """Checks a schema or type, DDL or JSON; True when it names a type of the user's own in Python.

    Raises SYNTAX_ERROR for what is no type, PERMISSION_DENIED for a class of the JVM.
    """
    if len(text) > _LONGEST:
        raise error(ErrorCode.EXCEEDED_STATEMENT_SIZE, "the schema is too large")
    if text.lstrip().startswith(("{", '"')):
        try:
            return _check_json(json.loads(text), 0)
        except (ValueError, RecursionError):
            raise _bad(text) from None
    _check_ddl(text)
    return False


def _check_ddl(text: str) -> None:
    """DDL holds words, types, brackets and comments: no expression can be built from these."""
    place, depth = 0, 0
    stripped = text.rstrip()
    words_seen: list[str] = []
    while place < len(stripped):
        token = _TOKEN.match(stripped, place)
        if token is None:
            raise _bad(text)
        place = token.end()
        mark = token["mark"]
        if mark is not None:
            depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(mark, 0)
            if depth > _DEEPEST or depth < 0:
                raise _bad(text)
            # A bracket opens after a type's name only: `f(…)` is a call.
            if mark in "(<" and (not words_seen or words_seen[-1] not in _TYPES):
                raise _bad(text)
        if token["text"] is not None and (not words_seen or words_seen[-1] != "comment"):
            raise _bad(text)
        word = token["word"]
        if word is not None and word.lower() in ("default", "generated", "as"):
            raise _bad(text)
        words_seen.append(word.lower() if word is not None else "")
    if depth or not words_seen:
        raise _bad(text)


def _check_json(node: Any, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError
    if isinstance(node, str):
        _check_ddl(node)
        return False
    if not isinstance(node, dict) or node.get("type") not in _JSON_KINDS:
        raise ValueError
    match node["type"]:
        case "udt":
            if node.get("class"):
                check_jvm_class(node["class"])
            _check_json(node.get("sqlType", "string"), depth + 1)
            return True
        case "struct":
            fields = node.get("fields")
            if not isinstance(fields, list):
                raise ValueError
            for field in fields:
                _check_keys(field.get("metadata"), depth)
            found = [_check_json(field["type"], depth + 1) for field in fields]
            return any(found)
        case "array":
            return _check_json(node.get("elementType"), depth + 1)
    key = _check_json(node.get("keyType"), depth + 1)
    return _check_json(node.get("valueType"), depth + 1) or key


def check_jvm_class(name: object) -> None:
    """Raises PERMISSION_DENIED for a type of the JVM that is none of Spark's own."""
    if not isinstance(name, str) or name not in _JVM_CLASSES:
        raise error(ErrorCode.PERMISSION_DENIED, "a type cannot name a class of the JVM here")


def check_metadata(text: str) -> None:
    """Raises PERMISSION_DENIED for metadata of a column that Spark would read as SQL."""
    try:
        _check_keys(json.loads(text), 0)
    except (ValueError, RecursionError):
        raise error(ErrorCode.SYNTAX_ERROR, "the metadata of a column is no JSON") from None


_SQL_KEYS = words("current_default exists_default generation_expression")


def _check_keys(node: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError
    if isinstance(node, dict):
        for key, value in node.items():
            if key.lower() in _SQL_KEYS:
                raise error(
                    ErrorCode.PERMISSION_DENIED, f"the metadata {key} of a column cannot be given"
                )
            _check_keys(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            _check_keys(value, depth + 1)


def _bad(text: str) -> Exception:
    return error(
        ErrorCode.SYNTAX_ERROR,
        f"this is no schema: {text[:100]!r}",
        hint="write name type, … with Spark's types",
    )
