"""A schema with secrets in everything that `analyst` may not see, and what it may see around them.

Each secret is a text found nowhere else, so that one look for it in any answer tells a leak.
"""

from __future__ import annotations

from typing import Any

import httpx2

FILTERED = "SENTINEL-filtered-row"
MASKED = "SENTINEL-masked-cell"
UNGRANTED = "SENTINEL-ungranted-column"
HIDDEN = "SENTINEL-hidden-table"
POLICY = "SENTINEL-policy-literal"
COMMENT = "SENTINEL-comment-of-a-hidden-column"
QUERY = "SENTINEL-query-of-another"
SAVED = "SENTINEL-saved-by-another"
RUN = "SENTINEL-run-of-another"
BEHIND = "SENTINEL-behind-a-view"

CELLS = (FILTERED, MASKED, UNGRANTED, HIDDEN, BEHIND)
"""Those that are values of tables."""

SECRETS = (*CELLS, POLICY, COMMENT, QUERY, SAVED, RUN)

HIDDEN_ROWS = 7919
VISIBLE_ROWS = 3
SMALLEST_HIDDEN = -918273645
LARGEST_HIDDEN = 918273645
"""Numbers that only the hidden rows have, or only counting them gives."""

NUMBERS = (
    HIDDEN_ROWS,
    HIDDEN_ROWS + VISIBLE_ROWS,
    SMALLEST_HIDDEN,
    LARGEST_HIDDEN,
)

PEOPLE = "vault.people"
TOP_SECRET = "vault.top_secret"
NAMES = ("unnamed_table", "unnamed_schema", "unnamed_column")
"""What does not exist for `analyst`, and what it never asks for by name."""

_TARGET = "vault.people (id, owner, note, phone, secret_place)"

STATEMENTS = (
    "CREATE SCHEMA vault",
    "CREATE SCHEMA unnamed_schema",
    "CREATE TABLE vault.unnamed_table (a BIGINT)",
    "CREATE SCHEMA inner_only",
    (
        "CREATE TABLE vault.people (id BIGINT, owner VARCHAR, note VARCHAR, phone VARCHAR, "
        f"secret_place VARCHAR COMMENT '{COMMENT}', unnamed_column INTEGER)"
    ),
    (
        f"INSERT INTO {_TARGET} VALUES (1, 'ours', 'hello', '{MASKED}', '{UNGRANTED}'), "
        f"(2, 'ours', 'hello', '{MASKED}', '{UNGRANTED}'), "
        f"(3, 'ours', 'hello', '{MASKED}', '{UNGRANTED}')"
    ),
    (
        f"INSERT INTO {_TARGET} SELECT {LARGEST_HIDDEN} - n, '{POLICY}', '{FILTERED}', '{MASKED}', "
        f"'{UNGRANTED}' FROM UNNEST(sequence(0, {HIDDEN_ROWS - 2})) AS t(n)"
    ),
    (
        f"INSERT INTO {_TARGET} VALUES ({SMALLEST_HIDDEN}, '{POLICY}', '{FILTERED}', '{MASKED}', "
        f"'{UNGRANTED}')"
    ),
    f"CREATE TABLE vault.top_secret AS SELECT '{HIDDEN}' AS a",
    f"CREATE TABLE inner_only.source AS SELECT '{BEHIND}' AS a, 1 AS b",
    "CREATE VIEW vault.counted AS SELECT count(*) AS n FROM inner_only.source",
    "GRANT SELECT (id, owner, note, phone) ON TABLE vault.people TO USER analyst",
    "GRANT SELECT ON VIEW vault.counted TO USER analyst",
    f"CREATE ROW FILTER ours_only ON vault.people USING (owner <> '{POLICY}') TO USER analyst",
    "CREATE COLUMN MASK no_phone ON vault.people (phone) USING replace-with-null TO USER analyst",
    f"SELECT '{QUERY}', note FROM vault.people WHERE note = '{QUERY}'",
)


def plant(admin: httpx2.Client) -> None:
    """Makes all of it, as the administrator."""
    for statement in STATEMENTS:
        run(admin, statement)
    body = {"name": SAVED, "sql": f"SELECT '{SAVED}'"}
    assert admin.post("/api/v1/saved-queries", json=body).status_code == 201
    program = {"text": f"SELECT '{RUN}'"}
    submitted = admin.post(
        "/api/v1/job-runs",
        json={"kind": "sql", "name": RUN, "program": program, "dialect": "trino"},
    )
    assert submitted.status_code in (201, 202), submitted.text


def run(client: httpx2.Client, sql: str, **options: Any) -> str:
    """Runs a statement to its end; its id."""
    answer = client.post("/api/v1/statements", json={"sql": sql, **options})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    while made["state"] not in ("FINISHED", "FAILED", "CANCELED"):
        made = client.get(f"/api/v1/statements/{made['id']}", params={"wait": 30}).json()
    assert made["state"] == "FINISHED", (sql, made["error"])
    return str(made["id"])
