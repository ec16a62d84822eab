"""The `headwater` command: `commands` holds its subcommands; here are its exit statuses.

Errors go to stderr as `CODE: message (hint)`. Exit status: 0 done, 1 the user can mend it, 2 wrong
usage, 3 the server, its surroundings or a defect.
"""

from __future__ import annotations

import sys

import headwater
from headwater.errors import ErrorKind, HeadwaterError


def main() -> None:
    """Runs the command line and exits."""
    if sys.argv[1:] in (["version"], ["--version"]):
        # Scripts ask for it often; reading parameters would take half a second of imports.
        print(f"headwater {headwater.__version__}")
        return
    from headwater.cli.commands import app

    try:
        app(prog_name="headwater")
    except HeadwaterError as exc:
        print(exc, file=sys.stderr)
        sys.exit(1 if exc.code.kind is ErrorKind.USER else 3)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
