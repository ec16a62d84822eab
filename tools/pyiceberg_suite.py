"""Runs PyIceberg's own catalog tests against a Headwater of its own: `make test-pyiceberg`.

The tests are in PyIceberg's source distribution, which is downloaded (or `--sources FOLDER`, an
unpacked one), never part of this repository. They run in an environment of their own with what
they need. What they create and drop is in a temporary home.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from headwater.cli.bench.lake import running_server

VERSION = "0.12.0"
REQUIREMENTS = (
    f"pyiceberg[pyarrow,sql-sqlite,s3fs,hive,glue,dynamodb]=={VERSION}",
    *("pytest", "pytest-lazy-fixtures", "pytest-mock", "requests-mock", "responses"),
    *("moto[server]", "datafusion", "pyiceberg-core", "thrift", "fastavro"),
)
SELECTED = "rest_test_catalog"
"""The fixture that PyIceberg offers for somebody else's catalog."""


def download(folder: Path) -> Path:
    """PyIceberg's source distribution, unpacked below the folder."""
    command = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pyiceberg"]
    subprocess.run(
        [sys.executable, *command, "--dest", str(folder), f"pyiceberg=={VERSION}"], check=True
    )
    with tarfile.open(next(folder.glob("pyiceberg-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"pyiceberg-{VERSION}"


def environment(folder: Path) -> Path:
    """The Python of a fresh environment with what the tests need."""
    uv = str(Path(sys.executable).parent / "uv")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", str(folder / "venv")], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS], check=True
    )
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, help="an unpacked source distribution")
    parser.add_argument("--python", type=Path, help="a Python that has what the tests need")
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="headwater-pyiceberg-") as name:
        folder = Path(name)
        python = options.python or environment(folder)
        sources = options.sources or download(folder)
        with running_server() as server:
            settings = {
                "PYICEBERG_TEST_CATALOG": "hw",
                "PYICEBERG_CATALOG__HW__TYPE": "rest",
                "PYICEBERG_CATALOG__HW__URI": server.ready["iceberg_uri"],
                "PYICEBERG_CATALOG__HW__TOKEN": server.ready["token"],
                "PYICEBERG_CATALOG__HW__WAREHOUSE": "lake",
            }
            return subprocess.run(
                [
                    *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default"),
                    *("tests/integration/test_catalog.py", "-k", SELECTED, *more),
                ],
                cwd=sources,
                env={**os.environ, **settings},
                check=False,
            ).returncode


if __name__ == "__main__":
    sys.exit(main())
