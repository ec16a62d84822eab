"""The reference page lists the functions that there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_list_of_functions_is_up_to_date() -> None:
    tool = ROOT / "tools" / "sql_reference.py"
    done = subprocess.run([sys.executable, tool, "--check"], check=False)
    assert done.returncode == 0, "run python tools/sql_reference.py"
