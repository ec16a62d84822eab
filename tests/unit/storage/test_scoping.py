"""Session policies, session names, and the embedded storage's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ErrorCode, HeadwaterError
from headwater.settings import S3Settings, Settings
from headwater.storage import seaweed_config
from headwater.storage.credentials import EngineStorage, S3Endpoint, VendedCredentials
from headwater.storage.open import open_storage
from headwater.storage.s3 import S3FileIO, s3_client
from headwater.storage.sts import POLICY_LIMIT, role_session_name, session_policy

LOCATION = "s3://lake/warehouse/0a1b"


def test_a_policy_names_one_prefix() -> None:
    policy = json.loads(session_policy(LOCATION, write=False))
    objects, listing = policy["Statement"]
    assert objects["Action"] == ["s3:GetObject"]
    assert objects["Resource"] == "arn:aws:s3:::lake/warehouse/0a1b/*"
    assert listing["Action"] == "s3:ListBucket"
    assert listing["Resource"] == "arn:aws:s3:::lake"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "warehouse/0a1b/*"}}


def test_only_writers_may_write_and_nobody_may_do_more() -> None:
    policy = json.loads(session_policy(LOCATION, write=True, partition="aws-cn"))
    actions: set[str] = set()
    for statement in policy["Statement"]:
        found = statement["Action"]
        actions |= {found} if isinstance(found, str) else set(found)
        assert statement["Resource"].startswith("arn:aws-cn:s3:::lake")
    assert actions == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
        "s3:ListBucket",
    }


@pytest.mark.parametrize("character", list("*?${}\\\"'%"))
def test_no_policy_is_made_with_a_special_character(character: str) -> None:
    with pytest.raises(HeadwaterError) as caught:
        session_policy(f"{LOCATION}{character}x", write=False)
    assert caught.value.code is ErrorCode.INVALID_LOCATION


@pytest.mark.parametrize("location", ["s3://lake", "s3://lake/", "s3://lake/" + "a" * 2000])
def test_no_policy_is_made_for_a_whole_bucket_or_past_the_limit(location: str) -> None:
    with pytest.raises(HeadwaterError) as caught:
        session_policy(location, write=True)
    assert caught.value.code is ErrorCode.INVALID_LOCATION
    assert len(session_policy("s3://lake/" + "a" * 400, write=True)) <= POLICY_LIMIT


@given(st.text(max_size=100))
def test_session_names_have_the_form_that_sts_wants(name: str) -> None:
    found = role_session_name(name)
    assert 2 <= len(found) <= 64
    assert found.isascii()
    assert not set(found) & set(" /\\*:;\"'\n")


def test_secrets_are_not_shown() -> None:
    endpoint = S3Endpoint("http://127.0.0.1:1", "r", "KEYID", "SECRET")
    engine = EngineStorage("s3", "s3://a", "http://x", "r", "KEYID", "SECRET")
    vended = VendedCredentials("s3://a/", {"s3.secret-access-key": "SECRET"}, 1)
    keys = seaweed_config.Keys.generate()
    for shown in (repr(endpoint), repr(engine), repr(vended)):
        assert "SECRET" not in shown
        assert "KEYID" not in shown
    assert keys.server_secret not in repr(keys)
    assert "secret" not in " ".join(endpoint.client_config()).lower()


def test_the_embedded_storage_keeps_its_secrets_in_private_files(tmp_path: Path) -> None:
    keys = seaweed_config.load_keys(tmp_path)
    assert seaweed_config.load_keys(tmp_path) == keys
    seaweed_config.write_configuration(tmp_path, keys, "lake")
    ports = seaweed_config.choose_ports(tmp_path)
    assert len(set(ports.values())) == len(ports) == 10
    assert seaweed_config.choose_ports(tmp_path) == ports
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    command = seaweed_config.arguments("weed", tmp_path, tmp_path / "data", ports)
    secrets = [keys.server_secret, keys.engine_secret, keys.sts_signing, *keys.jwt]
    assert not any(secret in argument for secret in secrets for argument in command)
    assert "-disableHttp=true" in command
    assert "-ip.bind=127.0.0.1" in command
    assert "-master.telemetry=false" in command


def test_the_role_is_assumed_by_the_server_alone(tmp_path: Path) -> None:
    keys = seaweed_config.load_keys(tmp_path)
    seaweed_config.write_configuration(tmp_path, keys, "lake")
    roles: dict[str, Any] = json.loads((tmp_path / "iam.json").read_text())
    (trust,) = roles["roles"][0]["trustPolicy"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::000000000000:user/server"}
    (policy,) = roles["policies"][0]["document"]["Statement"]
    assert policy["Resource"] == ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"]


def test_a_port_in_use_is_replaced(tmp_path: Path) -> None:
    import socket

    ports = seaweed_config.choose_ports(tmp_path)
    with socket.create_server(("127.0.0.1", ports["s3.port"])):
        assert seaweed_config.choose_ports(tmp_path) != ports


def test_an_s3_that_does_not_answer_is_said(tmp_path: Path) -> None:
    endpoint = S3Endpoint("http://127.0.0.1:9", "us-east-1", "id", "SECRETKEY")
    io = S3FileIO(s3_client(endpoint), "s3://lake/warehouse")
    with pytest.raises(HeadwaterError) as caught:
        io.read_bytes("s3://lake/warehouse/t/x")
    assert caught.value.code is ErrorCode.STORAGE_UNAVAILABLE
    assert caught.value.hint
    assert "SECRETKEY" not in str(caught.value)


def test_an_s3_needs_keys(tmp_path: Path) -> None:
    settings = Settings(storage="s3", s3=S3Settings(endpoint="http://127.0.0.1:9"))
    with pytest.raises(HeadwaterError) as caught:
        open_storage(settings, tmp_path)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/warehouse/a",
        "s3://lake/other/a",
        "s3://lake/warehouse2/a",
        "file:///a",
        "s3://lake/warehouse/../a",
        "s3://lake/warehouse//a",
        "s3://lake/warehouse/a\n",
    ],
)
def test_s3_keys_outside_the_root_are_refused(uri: str) -> None:
    endpoint = S3Endpoint("http://127.0.0.1:9", "us-east-1", "id", "secret")
    io = S3FileIO(s3_client(endpoint), "s3://lake/warehouse")
    for call in (io.read_bytes, io.exists, io.remove_location, io.prepare_table):
        with pytest.raises(HeadwaterError) as caught:
            call(uri)
        assert caught.value.code is ErrorCode.INVALID_LOCATION
