"""Writes the list of functions into docs/reference/sql.md; --check only compares."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from headwater.model.statement import Dialect
from headwater.sql.functions import function_names

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "sql.md"
START, END = "<!-- functions -->", "<!-- end of functions -->"


def rendered(page: str) -> str:
    """The page with the functions that the allow-list holds now."""
    parts = [START]
    for dialect in Dialect:
        names = ", ".join(f"`{name}`" for name in function_names(dialect))
        parts += ["", f"### {dialect.title()}", ""]
        parts += textwrap.wrap(names, 120, break_long_words=False, break_on_hyphens=False)
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + "\n".join(parts) + f"\n\n{END}" + after


def main() -> int:
    """Writes the page, or says whether it is up to date."""
    page = PAGE.read_text()
    new = rendered(page)
    if "--check" in sys.argv:
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
