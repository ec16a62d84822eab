"""The OpenAPI document as one page to read, without scripts and without anything from elsewhere."""

from __future__ import annotations

import html
from base64 import b64encode
from hashlib import sha256
from itertools import groupby
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0a66c2; --quiet: #6b7280 }
@media (prefers-color-scheme: dark) { :root { --link: #6cb2ff; --quiet: #9aa4b2 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem }
body { padding: 2rem 1.25rem }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem }
p { margin: .4rem 0 } a { color: var(--link) }
code, pre { font: 13px/1.5 ui-monospace, monospace }
pre { background: var(--soft); border-radius: 6px; overflow-x: auto; padding: .75rem 1rem }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0 }
summary { align-items: baseline; cursor: pointer; display: flex; gap: .75rem }
summary { padding: .5rem .75rem }
summary span { color: var(--quiet); margin-left: auto; text-align: right }
.body { border-top: 1px solid var(--line); padding: .5rem .75rem }
.verb { font-weight: 600; min-width: 4.2rem } table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid var(--line); padding: .3rem .5rem .3rem 0; vertical-align: top }
"""

STYLE_SOURCE = "'sha256-" + b64encode(sha256(_STYLE.encode()).digest()).decode() + "'"
"""What a content security policy must allow for the page to look as meant."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headwater API</title><style>{style}</style></head><body>
<h1>Headwater API {version}</h1>
<p>Machines read the <a href="/api/openapi.json">OpenAPI document</a>. Every request but health and
version needs a token; <code>headwater token --user NAME</code> makes one.</p>
<pre>curl -H "Authorization: Bearer $TOKEN" --json '{{"sql": "SELECT 1"}}' \\
  {url}/api/v1/statements</pre>
<nav>{links}</nav>{groups}</body></html>
"""


def render(document: dict[str, Any], url: str) -> str:
    """The page for an OpenAPI 3.1 document of the server at `url`."""
    operations = sorted(
        (path, verb.upper(), operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    )
    grouped = [
        (name, list(found)) for name, found in groupby(operations, lambda one: _noun(one[0]))
    ]
    return _PAGE.format(
        style=_STYLE,
        version=html.escape(document["info"]["version"]),
        url=html.escape(url),
        links="".join(f'<a href="#{name}">{name}</a>' for name, _ in grouped),
        groups="".join(
            f'<h2 id="{name}">{name}</h2>' + "".join(_operation(document, *one) for one in found)
            for name, found in grouped
        ),
    )


def _noun(path: str) -> str:
    return html.escape(path.removeprefix("/api/v1/").split("/")[0])


def _operation(document: dict[str, Any], path: str, verb: str, operation: dict[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary", "")
    first, _, rest = text.partition("\n\n")
    short = first.split(";")[0].split(". ")[0].rstrip(".")
    rows = [
        (one["name"], one["in"], one.get("description", ""), one.get("required", False))
        for one in operation.get("parameters", [])
    ]
    rows += _body(document, operation)
    fields = "".join(
        f"<tr><td><code>{html.escape(name)}</code>{' *' if needed else ''}</td>"
        f"<td>{html.escape(where)}</td><td>{html.escape(about)}</td></tr>"
        for name, where, about, needed in rows
    )
    return (
        f'<details><summary><code class="verb">{verb}</code><code>{html.escape(path)}</code>'
        f"<span>{html.escape(short)}</span></summary>"
        f'<div class="body"><p>{html.escape(first)}</p><p>{html.escape(rest)}</p>'
        + (f"<table>{fields}</table>" if fields else "")
        + "</div></details>"
    )


def _body(document: dict[str, Any], operation: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """The fields of the request's body: name, type, meaning, whether needed."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = {}
    for form in content.values():
        schema = form["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return [
        (
            name,
            f"body: {_type(about)}",
            about.get("description", ""),
            name in schema.get("required", []),
        )
        for name, about in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    kind = str(schema.get("type", "any"))
    return f"list of {_type(schema['items'])}" if kind == "array" and "items" in schema else kind
