"""Trino's JDBC driver, run by a small Java program; what it prints is asserted here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from headwater.settings import child_environment
from integration.clients.lake import ADMIN_CARDS, ANALYST, ANALYST_CARDS, REQUIRE_ALL, Lake

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".test-cache"

pytestmark = [pytest.mark.java, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def driver() -> Path:
    """The driver's jar, which tests/setup.sh fetches; the tests need a JDK too."""
    jar = next(iter(sorted(CACHE.glob("trino-jdbc-*.jar"))), None)
    if jar is None or shutil.which("javac") is None:
        reason = "no JDK or no Trino JDBC driver: run tests/setup.sh"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return jar


def answers(lake: Lake, driver: Path, user: str, mode: str = "accessToken") -> dict[str, str]:
    """What the program printed, by name."""
    url = f"jdbc:trino://{lake.host}:{lake.port}/lake"
    program = str(HERE / "JdbcCheck.java")
    done = subprocess.run(
        [
            *("java", "-Duser.timezone=UTC", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"),
            *("-cp", str(driver), program, url, str(lake.ca), user, mode),
        ],
        input=lake.tokens[user],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


COLUMNS = " ".join(
    [
        "id|-5|bigint|19|0|1|null",
        "region|12|varchar|2147483647|null|2|where",
        "card|12|varchar|2147483647|null|3|null",
        "amount|3|decimal(10,2)|10|2|4|null",
        "placed|93|timestamp(6)|26|6|5|null",
        "tags|2003|array(varchar)|null|null|6|null",
    ]
)


def test_an_administrator_can_do_everything(lake: Lake, driver: Path) -> None:
    said = answers(lake, driver, "admin")
    assert said["product"] == "Trino"
    assert said["catalogs"] == "lake system"
    assert said["schemas"] == "lake|shop"
    assert said["tables"] == "orders|TABLE|one row an order secret|TABLE|null totals|VIEW|null"
    assert said["only tables"] == "orders secret"
    assert said["table types"] == "TABLE VIEW"
    assert said["columns"] == COLUMNS
    assert said["hidden columns"] == "x"
    assert {"bigint", "varchar", "boolean"} <= set(said["types"].split())
    for empty in (
        *("primary keys", "procedures", "user types"),
        *("super tables", "attributes", "pseudo columns"),
    ):
        assert said[empty] == ""
    assert said["value types"] == (
        "boolean tinyint smallint integer bigint real double double decimal(22,2) varchar "
        "varbinary date timestamp(6) timestamp(6) with time zone array(integer) "
        "map(varchar,integer) varchar uuid interval day to second"
    )
    assert said["boolean"] == "true"
    assert said["integers"] == "1 2 3 4"
    assert said["floats"] == "0.5 1.0 NaN"
    assert said["decimal"] == "12345678901234567890.12"
    assert said["text"] == 'é"\\'
    assert said["bytes"] == "[0, -1]"
    assert said["date"] == "2026-02-28"
    assert said["timestamp"] == "2026-01-01 10:00:00.123456"
    assert said["instant"] == "2026-01-01T10:00:00Z"
    assert said["array"] == "[1, null]"
    assert said["map"] == "{a=1}"
    assert said["null"] == "null true"
    assert said["uuid"] == "12151fd2-7586-11e9-8f9e-2a86e4085a59"
    assert said["interval"] == "3 00:00:00.000"
    assert said["prepared columns"] == "card"
    assert said["over 5.00"] == "1|4000-1111 2|4000-2222 3|4000-3333 4|4000-4444"
    assert said["over 25.00"] == "3|4000-3333 4|4000-4444"
    assert said["parameters"] == "2026-01-02 2026-01-02 03:04:05.0 null"
    assert said["cards"] == " ".join(ADMIN_CARDS)
    assert said["schema after USE"] == "information_schema"
    assert said["long result"] == "200000"
    assert said["answer to SELECT * FROM lake.shop.secret"] == "42"
    assert said["error of SELECT * FROM lake.shop.nothing"] == "46"
    assert said["error of SELEC"] == "1"
    assert said["created"] == "0"
    assert said["inserted"] == "2"
    assert said["batch"] == "[1, 1]"
    assert said["updated"] == "2"
    assert said["written"] == "1|x 2|y 3|z 4|z"


def test_an_analyst_sees_what_is_granted(lake: Lake, driver: Path) -> None:
    said = answers(lake, driver, ANALYST, "password")
    assert said["schemas"] == "lake|shop"
    assert said["tables"] == "orders|TABLE|one row an order"
    assert said["columns"] == COLUMNS
    assert said["hidden columns"] == ""
    assert said["cards"] == " ".join(ANALYST_CARDS)
    assert said["over 5.00"] == "1|*****1111 3|*****3333"
    assert said["error of SELECT * FROM lake.shop.secret"] == "46"
    assert said["error of SELECT * FROM lake.shop.nothing"] == "46"
