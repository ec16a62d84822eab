"""Session tokens, and the ways in which others forge them."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from headwater.errors import ErrorCode, HeadwaterError, UserError
from headwater.governance.tokens import AUDIENCE, ENGINE_AUDIENCE, Tokens
from headwater.model.principal import SYSTEM
from unit.governance.conftest import Lake


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def key_of(lake: Lake) -> OKPKey:
    return OKPKey.import_key(json.loads(lake.key_path.read_text()))


def claims(lake: Lake, **changed: Any) -> dict[str, Any]:
    admin = lake.directory.find_login("admin")
    good = {
        "iss": "headwater",
        "sub": admin.id,
        "aud": AUDIENCE,
        "sid": "s",
        "exp": int(time.time()) + 60,
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def sign(lake: Lake, payload: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    header = {"alg": "Ed25519", **(header or {})}
    return jwt.encode(header, payload, key_of(lake), algorithms=["Ed25519"])


def refused(lake: Lake, token: str, audience: str = AUDIENCE) -> None:
    with pytest.raises(UserError) as caught:
        lake.tokens.verify(token, audience)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert len(token) < 8 or token not in str(caught.value)


def test_a_token_names_principal_role_and_session(lake: Lake) -> None:
    lake.run("GRANT analyst TO ellen")
    ellen = lake.directory.find_login("ellen")
    identity = lake.tokens.verify(lake.tokens.issue(ellen, role="analyst"))
    assert (identity.principal, identity.role) == (ellen, "analyst")
    assert identity.session_id
    with pytest.raises(UserError):
        lake.tokens.issue(ellen, role="admin")


def test_the_control_of_the_attacks_is_accepted(lake: Lake) -> None:
    assert lake.tokens.verify(sign(lake, claims(lake))).principal.name == "admin"


class SecondsFromNow(int):
    """A time after the test's start; parameters are made long before, when tests are collected."""


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "other"},
        {"aud": ["headwater", "other"]},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": 1},
        {"exp": SecondsFromNow(-61)},
        {"nbf": SecondsFromNow(600)},
        {"iss": "elsewhere"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
        {"sub": "no such principal"},
        {"sid": None},
    ],
)
def test_wrong_claims_are_refused(lake: Lake, changed: dict[str, Any]) -> None:
    now = int(time.time())
    changed = {k: now + v if isinstance(v, SecondsFromNow) else v for k, v in changed.items()}
    refused(lake, sign(lake, claims(lake, **changed)))


def test_clocks_may_differ_by_a_minute(lake: Lake) -> None:
    assert lake.tokens.verify(sign(lake, claims(lake, exp=int(time.time()) - 30)))


def test_other_algorithms_and_keys_are_refused(lake: Lake) -> None:
    payload = claims(lake)
    refused(lake, f"{part({'alg': 'none'})}.{part(payload)}.")
    refused(lake, f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(payload)}.AAAA")
    public = key_of(lake).as_dict(private=False)
    # joserfc itself would not sign with a public key as an HMAC secret; an attacker does.
    for secret in (json.dumps(public).encode(), key_of(lake).as_pem(private=False)):
        signed = f"{part({'alg': 'HS256'})}.{part(payload)}"
        digest = hmac.digest(secret, signed.encode(), "sha256")
        refused(lake, f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}")
    stranger = OKPKey.generate_key("Ed25519")
    refused(lake, jwt.encode({"alg": "Ed25519"}, payload, stranger, algorithms=["Ed25519"]))
    embedded = {"alg": "Ed25519", "jwk": stranger.as_dict(private=False), "kid": "../../etc/passwd"}
    refused(lake, jwt.encode(embedded, payload, stranger, algorithms=["Ed25519"]))


def test_a_changed_or_broken_token_is_refused(lake: Lake) -> None:
    head, body, signature = sign(lake, claims(lake)).split(".")
    other = part(claims(lake, role="admin"))
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-4]}",
        "",
        "a.b.c",
        "x" * 5000,
        "\x00",
        f"{head}.{body}.{signature}.{signature}.{signature}",
    ):
        refused(lake, token)


def test_disabling_and_dropping_end_tokens_at_once(lake: Lake) -> None:
    token = lake.tokens.issue(lake.directory.find_login("ellen"))
    lake.run("ALTER USER ellen DISABLE")
    refused(lake, token)
    lake.run("ALTER USER ellen ENABLE")
    assert lake.tokens.verify(token)
    lake.run("DROP USER ellen")
    refused(lake, token)
    lake.run("CREATE USER ellen")
    refused(lake, token)


def test_an_engine_token_is_good_for_the_engine_only(lake: Lake) -> None:
    token = lake.tokens.issue_engine("worker-1")
    identity = lake.tokens.verify(token, ENGINE_AUDIENCE)
    assert identity.engine_worker == "worker-1"
    refused(lake, token)
    refused(lake, lake.tokens.issue(lake.directory.find_login("admin")), ENGINE_AUDIENCE)
    with pytest.raises(UserError) as caught:
        lake.access.begin(identity, request_id="r")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    restarted = Tokens(lake.key_path, lake.store)
    with pytest.raises(UserError):
        restarted.verify(token, ENGINE_AUDIENCE)


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_an_engine_worker_outlives_any_jump_of_the_clock(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    token = lake.tokens.issue_engine("worker-1")
    jump(monkeypatch, days)
    for _ in range(2):
        assert lake.tokens.verify(token, ENGINE_AUDIENCE).engine_worker == "worker-1"


def test_a_session_ends_when_the_clock_says_so_and_survives_one_set_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lake.tokens.issue(lake.directory.find_login("admin"), ttl=3600)
    jump(monkeypatch, -30)
    assert lake.tokens.verify(token).principal.name == "admin"
    jump(monkeypatch, 1)
    refused(lake, token)
    assert lake.tokens.verify(lake.tokens.issue(lake.directory.find_login("admin")))


def jump(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + days * 86400.0)


NOW = time.time()


def test_roles_do_not_log_in(lake: Lake) -> None:
    role = lake.directory.find("analyst")
    with pytest.raises(UserError) as caught:
        lake.tokens.issue(role)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_the_key_is_private_and_survives_a_restart(lake: Lake) -> None:
    assert lake.key_path.stat().st_mode & 0o777 == 0o600
    token = lake.tokens.issue(lake.directory.find_login("ellen"))
    assert Tokens(lake.key_path, lake.store).verify(token)
    lake.key_path.chmod(0o644)
    with pytest.raises(HeadwaterError):
        Tokens(lake.key_path, lake.store)
    assert not Path(f"{lake.key_path}.partial").exists()


def test_impersonation_needs_the_privilege(lake: Lake) -> None:
    max_ = lake.identity("max")
    for user in ("ellen", "nobody"):
        with pytest.raises(UserError) as caught:
            lake.access.impersonate(max_, user, request_id="r")
        assert caught.value.code is ErrorCode.PERMISSION_DENIED
        assert str(caught.value).replace(user, "U") == (
            "PERMISSION_DENIED: max: needs IMPERSONATE on user U "
            "(ask an administrator for it; SHOW GRANTS lists what you have)"
        )
    lake.run("GRANT IMPERSONATE ON USER ellen TO max")
    assert lake.access.impersonate(
        lake.identity("max"), "ellen", request_id="r"
    ).principal.name == ("ellen")
    with pytest.raises(UserError):
        lake.access.impersonate(lake.identity("max"), "admin", request_id="r")
    assert SYSTEM.principal_name not in {p.name for p in lake.directory.all()}


def test_a_token_that_was_good_once_is_judged_anew_at_each_use(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ellen = lake.directory.find_login("ellen")
    token = lake.tokens.issue(ellen, ttl=60)
    assert lake.tokens.verify(token).principal == ellen
    refused(lake, token, ENGINE_AUDIENCE)
    refused(lake, token[:-2] + ("AA" if token[-2:] != "AA" else "BB"))
    lake.run("ALTER USER ellen DISABLE")
    refused(lake, token)
    lake.run("ALTER USER ellen ENABLE")
    assert lake.tokens.verify(token).principal == ellen
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 130)
    refused(lake, token)


def test_remembered_tokens_are_bounded(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.governance.tokens._REMEMBERED", 4)
    ellen = lake.directory.find_login("ellen")
    first = lake.tokens.issue(ellen)
    lake.tokens.verify(first)
    for _ in range(8):
        lake.tokens.verify(lake.tokens.issue(ellen))
    assert len(lake.tokens._verified) == 4
    assert lake.tokens.verify(first).principal == ellen


def test_an_engine_token_is_good_as_long_as_the_server_runs(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lake.tokens.issue_engine("worker-1")
    now = time.time()
    for days in (0, 0, 400):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86400)
        assert lake.tokens.verify(token, ENGINE_AUDIENCE).engine_worker == "worker-1"
