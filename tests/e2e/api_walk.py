"""Calls every operation of the OpenAPI document, so that a new route is covered by construction."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2

SAFE = ("get", "head")
"""Methods that change nothing."""

_MOST_PATHS = 12


@dataclass(frozen=True)
class Call:
    """One request: `operation` is its method and path as the document has them."""

    operation: str
    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None

    def send(self, client: httpx2.Client, **options: Any) -> httpx2.Response:
        """The answer, at most two seconds of it when it streams."""
        if self.body is not None:
            options["json"] = self.body
        elif self.method not in ("GET", "HEAD"):
            options["headers"] = {"content-type": "application/json"}
        streams = "follow" in self.query or self.path.endswith("/stream")
        with client.stream(
            self.method, self.path, params=self.query, timeout=2 if streams else 30, **options
        ) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
                return answer
            parts: list[bytes] = []
            with contextlib.suppress(httpx2.TimeoutException):
                parts.append(next(answer.iter_raw(), b""))
            text = b"".join(parts)
            return httpx2.Response(answer.status_code, headers=answer.headers, content=text)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            if method in ("get", "post", "put", "patch", "delete"):
                yield method, path, operation


def calls(
    document: dict[str, Any], values: dict[str, list[Any]], *, only: tuple[str, ...] | None = None
) -> Iterator[Call]:
    """Calls of all operations, with these values for parameters and properties of these names.

    Each with what it requires, then with one more parameter at a time.
    """
    for method, path, operation in operations(document):
        if only is not None and method not in only:
            continue
        parameters = operation.get("parameters", [])
        inside = re.findall(r"\{([^}:]+)", path)
        kinds = {p["name"]: _resolved(document, p.get("schema", {})) for p in parameters}
        choices = [values.get(n) or kinds.get(n, {}).get("enum") or ["x"] for n in inside]
        for chosen in itertools.islice(itertools.product(*choices), _MOST_PATHS):
            concrete = path
            for name, value in zip(inside, chosen, strict=True):
                concrete = re.sub(r"\{" + name + r"[^}]*\}", quote(str(value), safe=""), concrete)
            required = {
                p["name"]: _value(document, p["name"], p.get("schema", {}), values, 0)
                for p in parameters
                if p["in"] == "query" and p.get("required")
            }
            optional = [p for p in parameters if p["in"] == "query" and not p.get("required")]
            name = f"{method.upper()} {path}"
            for body in _bodies(document, operation, values):
                yield Call(name, method.upper(), concrete, dict(required), body)
            for parameter in optional:
                for number in range(len(values.get(parameter["name"], [None]))):
                    value = _value(
                        document, parameter["name"], parameter.get("schema", {}), values, number
                    )
                    if value is not None:
                        query = {**required, parameter["name"]: value}
                        body = next(iter(_bodies(document, operation, values)))
                        yield Call(name, method.upper(), concrete, query, body)


def _bodies(
    document: dict[str, Any], operation: dict[str, Any], values: dict[str, list[Any]]
) -> list[Any]:
    content = (operation.get("requestBody") or {}).get("content", {})
    if "application/json" not in content:
        return [{}] if "requestBody" in operation else [None]
    schema = content["application/json"].get("schema", {})
    made = [_made(document, schema, values, number) for number in range(_MOST_PATHS)]
    return [json.loads(text) for text in dict.fromkeys(json.dumps(body) for body in made)]


def _made(
    document: dict[str, Any],
    schema: dict[str, Any],
    values: dict[str, list[Any]],
    number: int,
    depth: int = 0,
) -> Any:
    schema = _resolved(document, schema)
    if depth > 5:
        return None
    if "properties" in schema:
        required = schema.get("required", [])
        return {
            name: _value(document, name, part, values, number, depth + 1)
            for name, part in schema["properties"].items()
            if name in required or name in values
        }
    return _plain(document, schema, values, number, depth)


def _value(
    document: dict[str, Any],
    name: str,
    schema: dict[str, Any],
    values: dict[str, list[Any]],
    number: int,
    depth: int = 0,
) -> Any:
    schema = _resolved(document, schema)
    if values.get(name):
        found = values[name][number % len(values[name])]
        return [found] if schema.get("type") == "array" and not isinstance(found, list) else found
    if schema.get("enum"):
        return schema["enum"][number % len(schema["enum"])]
    return _made(document, schema, values, number, depth)


def _plain(
    document: dict[str, Any],
    schema: dict[str, Any],
    values: dict[str, list[Any]],
    number: int,
    depth: int,
) -> Any:
    if schema.get("enum"):
        return schema["enum"][number % len(schema["enum"])]
    if "default" in schema and schema["default"] is not None:
        return schema["default"]
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    if kind == "array":
        return [_made(document, schema.get("items", {}), values, number, depth + 1)]
    if kind == "object":
        return {}
    return "x" if kind == "string" else None


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(choice, []):
            if part.get("type") != "null":
                return _resolved(document, part)
    return schema
