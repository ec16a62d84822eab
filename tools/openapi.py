"""Writes web/openapi.json from the API's routes; `--check` fails when it has drifted.

The studio's types are generated from that file (`npm run types` in web/), so that building the
studio needs no Python packages, and a changed answer breaks the type check of who reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from headwater.server.app import make_api

DOCUMENT = Path(__file__).resolve().parent.parent / "web" / "openapi.json"


def main() -> int:
    """Writes or checks the document; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the document has drifted")
    check = parser.parse_args().check
    text = json.dumps(make_api().openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if check:
        if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
            print("web/openapi.json has drifted from the API: run `make api`", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
