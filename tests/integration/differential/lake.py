"""The same tables twice: governed for a restricted user, and copies that hold only what he may see.

The copies are computed here, in plain Python, from the meaning of each filter and mask.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from headwater.model.principal import PrincipalKind
from platform_fixture import Platform

SECRET = "SENTINEL"
"""Part of every text in hidden rows and columns; no answer or error may hold it."""

Row = tuple[Any, ...]

_BIG = 9223372036854775807

PEOPLE_COLUMNS = (
    "id bigint, team bigint, bonus bigint, name varchar, ssn varchar, code varchar, "
    "email varchar, digits varchar, born date"
)
ORDERS_COLUMNS = (
    "order_id bigint, person bigint, amount bigint, status varchar, note varchar, placed timestamp"
)
PLAIN_COLUMNS = "k bigint, v varchar"


def people() -> list[Row]:
    """All people with their hidden columns `salary` and `level` at the end."""
    names = ("ann", "Bob", "eve", "mallory", "trent", "olga", "xavier")
    rows: list[Row] = []
    for n in range(1, 31):
        name = None if n % 11 == 0 else names[n % len(names)]
        rows.append(
            (
                n,
                n % 4 if n % 9 else None,
                n * 7,
                name,
                None if n % 13 == 0 else f"{100 + n}-{n:02d}-{1000 + n}",
                f"{'ab'[n % 2]}-{n}",
                f"{name}@x.org",
                str(n * 3),
                f"{1960 + n}-{n % 12 + 1:02d}-{n % 28 + 1:02d}",
                n * 1000,
                n % 3,
            )
        )
    for n, (key, team, digits) in enumerate(
        ((0, 0, "zero"), (_BIG, 1, "(["), (-_BIG, -1, "{"), (31, None, None), (5, _BIG, "1e999"))
    ):
        rows.append(
            (
                key,
                team,
                _BIG - n,
                f"{SECRET}_name{n}",
                f"{SECRET}_ssn{n}",
                f"{SECRET}_code{n}",
                f"{SECRET}_email{n}",
                digits,
                None,
                -n,
                9,
            )
        )
    return rows


def visible_people() -> list[Row]:
    """What `level < 3` and the masks leave, without `salary` and `level`."""
    return [
        (
            key,
            team,
            None if bonus is None else 0,
            name,
            None if ssn is None else "*" * max(0, len(ssn) - 4) + ssn[-4:],
            re.sub(r"\d", "n", re.sub(r"[a-z]", "x", code)),
            None if email is None else "user of " + email.upper(),
            digits,
            f"{born[:4]}-01-01",
        )
        for key, team, bonus, name, ssn, code, email, digits, born, _, level in people()
        if level < 3
    ]


def orders() -> list[Row]:
    """All orders."""
    states = ("open", "paid", None, "sent")
    rows: list[Row] = [
        (
            n,
            n % 12 or None,
            n * 10,
            states[n % 4],
            f"note {n % 5}",
            f"{2019 + n % 4}-{n % 12 + 1:02d}-11 10:{n:02d}:00",
        )
        for n in range(1, 41)
    ]
    for n, (key, person) in enumerate(((0, 1), (_BIG, 2), (41, 0), (-_BIG, _BIG))):
        rows.append((key, person, -_BIG, f"{SECRET}_{n}", f"{SECRET}_note", None))
    return rows


def visible_orders() -> list[Row]:
    """What the filter on `status` leaves, notes hashed, dates cut to the month."""
    return [
        (
            key,
            person,
            amount,
            status,
            hashlib.sha256(note.encode()).hexdigest(),
            f"{placed[:7]}-01 00:00:00",
        )
        for key, person, amount, status, note, placed in orders()
        if status in ("open", "paid")
    ]


def plain() -> list[Row]:
    """A table without restrictions."""
    return [(n, f"v{n % 3}" if n % 5 else None) for n in range(16)]


POLICIES = (
    "CREATE ROW FILTER shown ON people USING (level < 3) TO {user}",
    "CREATE COLUMN MASK ssn ON people (ssn) USING show-last-4 TO {user}",
    "CREATE COLUMN MASK code ON people (code) USING mask-alphanum TO {user}",
    "CREATE COLUMN MASK bonus ON people (bonus) USING mask-to-fixed-value TO {user}",
    "CREATE COLUMN MASK born ON people (born) USING truncate-to-year TO {user}",
    "CREATE COLUMN MASK email ON people (email) USING (concat('user of ', upper(email))) TO {user}",
    "CREATE ROW FILTER known ON orders USING (status IN ('open', 'paid')) TO {user}",
    "CREATE COLUMN MASK note ON orders (note) USING sha-256-global TO {user}",
    "CREATE COLUMN MASK placed ON orders (placed) USING truncate-to-month TO {user}",
    (
        "GRANT SELECT (id, team, bonus, name, ssn, code, email, digits, born), DELETE ON people "
        "TO {user}"
    ),
    "GRANT UPDATE (team, name, digits) ON people TO {user}",
    "GRANT SELECT, DELETE, UPDATE (amount) ON orders TO {user}",
    "GRANT SELECT ON plain TO {user}",
)


@dataclass(frozen=True)
class Twins:
    """The schemas with the governed tables and with their copies, and the restricted user."""

    governed: str = "governed"
    copies: str = "copies"
    user: str = "restricted"


def make(platform: Platform) -> Twins:
    """Both sets of tables."""
    twins = Twins()
    platform.directory.create(PrincipalKind.USER, twins.user, platform.actor)
    hidden = ", salary bigint, level bigint"
    for schema, tables in (
        (
            twins.governed,
            (
                ("people", PEOPLE_COLUMNS + hidden, people()),
                ("orders", ORDERS_COLUMNS, orders()),
                ("plain", PLAIN_COLUMNS, plain()),
            ),
        ),
        (
            twins.copies,
            (
                ("people", PEOPLE_COLUMNS, visible_people()),
                ("orders", ORDERS_COLUMNS, visible_orders()),
                ("plain", PLAIN_COLUMNS, plain()),
            ),
        ),
    ):
        platform.run(platform.session(), f"CREATE SCHEMA {schema}")
        session = platform.session(schema=schema)
        for name, columns, rows in tables:
            platform.run(session, f"CREATE TABLE {name} ({columns})")
            kinds = [column.split()[1] for column in columns.split(", ")]
            values = ", ".join(
                "(" + ", ".join(_literal(*item) for item in zip(row, kinds, strict=True)) + ")"
                for row in rows
            )
            platform.run(session, f"INSERT INTO {name} VALUES {values}")
    for policy in POLICIES:
        platform.run(platform.session(schema=twins.governed), policy.format(user=twins.user))
    return twins


def _literal(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    if kind == "bigint":
        return str(value)
    quoted = f"'{value}'"
    return quoted if kind == "varchar" else f"{kind.upper()} {quoted}"
