"""Every SQL example of the reference runs, in order."""

from __future__ import annotations

import re
from pathlib import Path

from headwater.model.scan import MaskAction
from headwater.model.statement import Dialect
from headwater.sql.parse import parse
from unit.governance.conftest import EMP, Lake

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "governance-sql.md"


def test_the_examples_run(lake: Lake) -> None:
    examples = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 5
    for example in examples:
        lake.script(example)
    scan = lake.begin("nora").scan(EMP)
    assert scan.row_filter == """("region" IN ('EU', 'UK'))"""
    assert [c.name for c in scan.columns if c.mask] == ["salary"]


def test_the_examples_parse_in_all_dialects() -> None:
    for example in re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for text in filter(None, (line.strip() for line in example.split(";"))):
            assert len({type(parse(text, dialect)) for dialect in Dialect}) == 1


def test_every_mask_action_is_documented() -> None:
    page = PAGE.read_text()
    for action in MaskAction:
        assert action is MaskAction.EXPRESSION or f"`{action}`" in page
