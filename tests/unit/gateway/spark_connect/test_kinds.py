"""Every message of the installed client is judged: a newer one fails closed and is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headwater.gateway.spark_connect.plans import functions, options, settings
from headwater.gateway.spark_connect.plans.kinds import ALLOWED, PACKAGE, REFUSED
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.names import FILE_FORMATS


def reached(descriptor: Any, seen: set[str]) -> Iterator[Any]:
    """Every message that a plan can hold without holding something refused."""
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    kind = descriptor.full_name.removeprefix(PACKAGE)
    if not descriptor.GetOptions().map_entry:
        yield descriptor
    for field in descriptor.fields:
        if field.message_type is not None and field.name not in REFUSED.get(kind, {}):
            yield from reached(field.message_type, seen)


def test_every_field_is_allowed_or_refused() -> None:
    unjudged = []
    for descriptor in reached(messages().Plan.DESCRIPTOR, set()):
        kind = descriptor.full_name.removeprefix(PACKAGE)
        judged = ALLOWED.get(kind, frozenset()) | REFUSED.get(kind, {}).keys()
        unjudged += [f"{kind}.{f.name}" for f in descriptor.fields if f.name not in judged]
        if kind not in ALLOWED:
            unjudged.append(kind)
    assert unjudged == []


def test_the_lists_name_nothing_that_is_not_there() -> None:
    known = {
        descriptor.full_name.removeprefix(PACKAGE): {field.name for field in descriptor.fields}
        for descriptor in reached(messages().Plan.DESCRIPTOR, set())
    }
    for kind, fields in ALLOWED.items():
        assert fields <= known[kind], kind
    for kind, refused in REFUSED.items():
        assert refused.keys() <= known[kind], kind
        assert not refused.keys() & ALLOWED[kind], kind


def test_all_kinds_of_the_protocol_are_counted() -> None:
    """As many as client 4.2 has; another number is a client that nobody has judged."""
    for name, oneof, count in (
        ("Relation", "rel_type", 61),
        ("Expression", "expr_type", 22),
        ("Command", "command_type", 20),
        ("Catalog", "cat_type", 36),
    ):
        fields = getattr(messages(), name).DESCRIPTOR.oneofs_by_name[oneof].fields
        judged = {f.name for f in fields} & (ALLOWED[name] | REFUSED.get(name, {}).keys())
        assert len(judged) == len(fields) == count


def test_the_lists_are_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "spark-plans.md").read_text()
    listed = (
        functions.FUNCTIONS,
        functions.TABLE_FUNCTIONS,
        functions.SESSION_FUNCTIONS,
        settings.SETTINGS,
        settings.PREFIXES,
        FILE_FORMATS,
        options.OPTIONS,
        options.COMPRESSIONS,
    )
    assert [word for words in listed for word in words if f"`{word}`" not in page] == []
