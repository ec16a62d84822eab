"""Statements without their literals, as the audit log and the history keep them."""

from __future__ import annotations

import pytest

from headwater.governance.redact import redacted


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SELECT count(*) FROM a.b WHERE x = 'secret'", "SELECT count(*) FROM a.b WHERE x = ?"),
        ("SELECT 'it''s', 1.5e3,-7", "SELECT ?, ?,-?"),
        ("SELECT a -- 'secret'\n  ,b /* secret */ FROM t", "SELECT a ,b FROM t"),
        ("SELECT $$secret$$, x'5ec2e7', date'2020-01-01'", "SELECT ?, x?, date?"),
        ('GRANT SELECT ON "a b".c TO USER "x"', 'GRANT SELECT ON "a b".c TO USER "x"'),
        ("SELECT 'secret", "(not SQL)"),
    ],
)
def test_what_is_kept(text: str, kept: str) -> None:
    assert redacted(text) == kept
