"""Resolves the releases' Python packages into lock files: names, versions, hashes, no addresses."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src/headwater/runtimes/releases/definitions"
COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header"),
)


def compile_lock(uv: str, source: Path, target: Path) -> None:
    """One lock; what is locked already stays unless the requirements forbid it."""
    subprocess.run((uv, *COMPILE, str(source), "-o", str(target)), check=True)


def main() -> None:
    uv = str(Path(sys.executable).parent / "uv")
    wanted = sys.argv[1:]
    for source in sorted(FOLDER.glob("*.in")):
        if not wanted or source.stem in wanted:
            compile_lock(uv, source, source.with_suffix(".lock"))
    for source in sorted(FOLDER.glob("*.toml")):
        if wanted and source.stem not in wanted:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".in") as requirements:
            requirements.write("\n".join(tomllib.loads(source.read_text())["requirements"]))
            requirements.flush()
            compile_lock(uv, Path(requirements.name), source.with_name(f"{source.stem}.lock"))
        print(f"locked {source.stem}")


if __name__ == "__main__":
    main()
