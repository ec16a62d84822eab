"""Governance over HTTP and by command, as the administrator and as people with fewer rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx2
import pytest

from integration.server.conftest import Server

Client = Callable[[str], httpx2.Client]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The table `hr.emp`; ellen may read two of its columns, max nothing."""
    home = tmp_path_factory.mktemp("governance") / "home"
    running = Server(home, "--port", "0", "--no-samples")
    done(running, "sql", "CREATE SCHEMA hr")
    done(running, "sql", "CREATE TABLE hr.emp AS SELECT 1 AS id, 'EU' AS region, '123' AS ssn")
    for name in ("ellen", "max"):
        done(running, "grant", "create", "user", name)
    done(running, "grant", "create", "role", "reader")
    done(running, "grant", "role", "reader", "--to", "user:ellen")
    done(running, "grant", "add", "select", "--on", "hr.emp", "--columns", "id,region",
         "--to", "role:reader")  # fmt: skip
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def client(lake: Server) -> Iterator[Client]:
    made: dict[str, httpx2.Client] = {}

    def of(user: str) -> httpx2.Client:
        if user not in made:
            token = lake.run("token", "--user", user).stdout.strip()
            made[user] = httpx2.Client(
                base_url=f"{lake.ready['url']}/api/v1/",
                headers={"authorization": f"Bearer {token}"},
                timeout=60,
                trust_env=False,
            )
        return made[user]

    yield of
    for each in made.values():
        each.close()


def done(server: Server, *arguments: str) -> str:
    result = server.run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(response: httpx2.Response, *codes: str) -> None:
    assert response.status_code in (403, 404), response.text
    assert response.json()["code"] in codes


def test_grants_are_listed_to_whom_they_concern(lake, client):
    rows = json.loads(done(lake, "grant", "ls", "--on", "hr.emp", "--json"))
    assert {"reader"} <= {row["grantee"] for row in rows}
    assert client("ellen").get("grants", params={"on": "hr.emp"}).status_code == 200
    refused(client("max").get("grants", params={"on": "hr.emp"}), "TABLE_NOT_FOUND")
    assert "emp" not in client("max").get("grants").text


def test_grants_on_a_user_are_listed(lake):
    done(lake, "grant", "add", "impersonate", "--on", "user:max", "--to", "user:ellen")
    rows = json.loads(done(lake, "grant", "ls", "--on", "user:max", "--json"))
    assert [row["grantee"] for row in rows] == ["ellen"]
    done(lake, "grant", "revoke", "impersonate", "--on", "user:max", "--from", "user:ellen")


@pytest.mark.parametrize("user", ["ellen", "max"])
def test_who_manages_nothing_changes_nothing(client, user):
    http = client(user)
    to = [{"name": user}]
    table = {"table": "hr.emp", "to": to}
    denied = ("PERMISSION_DENIED", "TABLE_NOT_FOUND", "PRINCIPAL_NOT_FOUND", "ROLE_NOT_FOUND")
    for path, body in (
        ("principals", {"kind": "user", "name": "eve"}),
        ("principals/user/admin/disable", {}),
        ("role-grants", {"roles": ["admin"], "to": to}),
        (
            "grants",
            {
                "effect": "grant",
                "privileges": [{"privilege": "SELECT"}],
                "on": {"name": "hr.emp"},
                "to": to,
            },
        ),
        ("row-filters", {"name": "f", "predicate": "true", **table}),
        ("column-masks", {"name": "m", "column": "id", "action": "replace-with-null", **table}),
    ):
        refused(http.post(path, json=body), *denied)
    refused(http.delete("principals/user/admin"), *denied)
    refused(http.delete("policies/row_filter/hr.emp/eu"), *denied, "POLICY_NOT_FOUND")
    refused(http.get("audit/verify"), "PERMISSION_DENIED")


def test_a_filter_and_a_mask_are_in_force_until_dropped(lake):
    on = ("--on", "hr.emp")
    done(lake, "grant", "filter", "eu", *on, "--using", "region = 'US'", "--to", "reader")
    count = ("sql", "--user", "ellen", "--format", "csv", "SELECT count(*) AS n FROM hr.emp")
    assert done(lake, *count).split() == ["n", "0"]
    done(lake, "grant", "mask", "m", *on, "--column", "region", "--using", "replace-with-null",
         "--to", "role:reader")  # fmt: skip
    names = {row["policy"] for row in json.loads(done(lake, "grant", "policies", *on, "--json"))}
    assert names == {"eu", "m"}
    for kind, name in (("row-filter", "eu"), ("column-mask", "m")):
        done(lake, "grant", "drop-policy", kind, name, *on)
    assert done(lake, *count).split() == ["n", "1"]


def test_a_disabled_user_is_out_at_once(lake, client):
    http = client("max")
    assert http.get("grants").status_code == 200
    done(lake, "grant", "disable", "user", "max")
    assert http.get("grants").status_code == 401
    done(lake, "grant", "enable", "user", "max")
    assert http.get("grants").status_code == 200


def test_others_see_their_own_audit_events_only(lake, client):
    events = client("ellen").get("audit", params={"principal": "admin"}).json()["events"]
    assert {event["principal"] for event in events} == {"ellen"}
    assert "admin  " in done(lake, "audit", "ls", "--for", "admin", "--limit", "5")


def test_who_takes_over_a_name_does_not_take_over_its_past(lake, client):
    done(lake, "grant", "create", "user", "eve")
    client("eve").get("grants", params={"on": "hr.emp"})
    assert client("eve").get("audit").json()["events"]
    done(lake, "grant", "drop", "user", "eve")
    done(lake, "grant", "create", "user", "eve")
    token = done(lake, "token", "--user", "eve").strip()
    headers = {"authorization": f"Bearer {token}"}
    assert client("max").get("audit", headers=headers).json()["events"] == []


def test_the_chain_is_verified_and_a_wrong_head_noticed(lake):
    found = done(lake, "audit", "verify")
    head = next(line for line in found.splitlines() if line.startswith("head ")).split()[1]
    done(lake, "audit", "verify", "--head", head)
    sequence = head.partition(":")[0]
    assert lake.run("audit", "verify", "--head", f"{sequence}:{'0' * 64}").returncode == 1
