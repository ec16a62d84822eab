"""Vended credentials against a real S3: what they reach, and that nothing else is reached."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from headwater.errors import ErrorCode, HeadwaterError
from headwater.storage.credentials import EngineStorage, VendedCredentials
from headwater.storage.open import Storage
from headwater.storage.seaweed import EmbeddedS3
from headwater.storage.seaweed_config import load_keys

pytestmark = pytest.mark.s3


def client(credentials: VendedCredentials, service: str = "s3") -> Any:
    config = credentials.config
    return boto3.client(
        service,
        endpoint_url=config["s3.endpoint"],
        region_name=config["s3.region"],
        aws_access_key_id=config["s3.access-key-id"],
        aws_secret_access_key=config["s3.secret-access-key"],
        aws_session_token=config["s3.session-token"],
    )


class Scope:
    """One table's location with a file, its sibling's, and a client with vended keys."""

    def __init__(self, storage: Storage, *, write: bool) -> None:
        warehouse = storage.warehouse
        self.own = warehouse.new_location("aaa")
        self.sibling = warehouse.new_location("aaab")
        self.bucket = "lake"
        for location in (self.own, self.sibling):
            if not warehouse.io.exists(f"{location}/data/f"):
                warehouse.io.write_bytes(f"{location}/data/f", b"rows")
        vended = storage.vendor.vend(self.own, write=write, session_name="alice")
        assert vended is not None
        self.vended = vended
        self.s3 = client(vended)

    def key(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self.bucket}/")


def refused(call: Any, **arguments: Any) -> bool:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"] in ("AccessDenied", "403", "InvalidRequest")


def test_read_only_credentials_read_their_table(s3_storage: Storage) -> None:
    scope = Scope(s3_storage, write=False)
    own = scope.key(scope.own)
    assert scope.s3.get_object(Bucket="lake", Key=f"{own}/data/f")["Body"].read() == b"rows"
    assert scope.s3.head_object(Bucket="lake", Key=f"{own}/data/f")["ContentLength"] == 4
    assert scope.s3.list_objects_v2(Bucket="lake", Prefix=f"{own}/")["KeyCount"] == 1


def test_read_only_credentials_change_nothing(s3_storage: Storage) -> None:
    scope = Scope(s3_storage, write=False)
    key = scope.key(scope.own) + "/data/f"
    assert refused(scope.s3.put_object, Bucket="lake", Key=key, Body=b"")
    assert refused(scope.s3.delete_object, Bucket="lake", Key=key)
    assert refused(scope.s3.create_multipart_upload, Bucket="lake", Key=key)
    many = scope.s3.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": key}]})
    assert "Deleted" not in many
    assert s3_storage.warehouse.io.read_bytes(f"{scope.own}/data/f") == b"rows"


def test_write_credentials_write_their_table(s3_storage: Storage) -> None:
    scope = Scope(s3_storage, write=True)
    key = scope.key(scope.own) + "/data/g"
    scope.s3.put_object(Bucket="lake", Key=key, Body=b"more")
    assert s3_storage.warehouse.io.read_bytes(f"{scope.own}/data/g") == b"more"
    scope.s3.delete_object(Bucket="lake", Key=key)
    assert not s3_storage.warehouse.io.exists(f"{scope.own}/data/g")


@pytest.mark.parametrize("write", [False, True])
def test_no_other_table_is_reached(s3_storage: Storage, write: bool) -> None:
    scope = Scope(s3_storage, write=write)
    s3, own, other = scope.s3, scope.key(scope.own), scope.key(scope.sibling)
    assert refused(s3.get_object, Bucket="lake", Key=f"{other}/data/f")
    assert refused(s3.head_object, Bucket="lake", Key=f"{other}/data/f")
    assert refused(s3.put_object, Bucket="lake", Key=f"{other}/data/x", Body=b"")
    assert refused(s3.get_object, Bucket="lake", Key=f"{own}/../{other}/data/f")
    assert refused(s3.get_object_acl, Bucket="lake", Key=f"{other}/data/f")
    stolen = {"Bucket": "lake", "Key": f"{own}/data/stolen", "CopySource": f"lake/{other}/data/f"}
    assert refused(s3.copy_object, **stolen)
    pushed = {"Bucket": "lake", "Key": f"{other}/data/p", "CopySource": f"lake/{own}/data/f"}
    assert refused(s3.copy_object, **pushed)
    many = s3.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": f"{other}/data/f"}]})
    assert "Deleted" not in many
    names = {found.uri for found in s3_storage.warehouse.io.list(scope.sibling)}
    assert names == {f"{scope.sibling}/data/f"}


@pytest.mark.parametrize("write", [False, True])
def test_nothing_else_is_listed(s3_storage: Storage, write: bool) -> None:
    scope = Scope(s3_storage, write=write)
    own, other = scope.key(scope.own), scope.key(scope.sibling)
    for prefix in ("", "warehouse", own, f"{other}/", own[:-1]):
        assert refused(scope.s3.list_objects_v2, Bucket="lake", Prefix=prefix), prefix
    assert refused(scope.s3.list_objects, Bucket="lake")
    assert refused(scope.s3.list_object_versions, Bucket="lake")
    assert refused(scope.s3.list_multipart_uploads, Bucket="lake")
    assert scope.s3.list_buckets()["Buckets"] == []


def test_the_bucket_itself_is_out_of_reach(s3_storage: Storage) -> None:
    s3 = Scope(s3_storage, write=True).s3
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    assert refused(s3.put_bucket_policy, Bucket="lake", Policy=policy)
    assert refused(s3.get_bucket_policy, Bucket="lake")
    assert refused(s3.create_bucket, Bucket="another")
    assert refused(s3.delete_bucket, Bucket="lake")


def test_a_session_cannot_assume_the_role_again(
    s3_storage: Storage, embedded_s3: EmbeddedS3
) -> None:
    sts = client(Scope(s3_storage, write=True).vended, "sts")
    role = {"RoleArn": embedded_s3.role_arn, "RoleSessionName": "again"}
    assert refused(sts.assume_role, **role)


def test_the_engine_keys_reach_the_bucket_and_assume_nothing(embedded_s3: EmbeddedS3) -> None:
    engine: EngineStorage = embedded_s3.engine_storage("s3://lake/warehouse")
    options = {
        "endpoint_url": engine.endpoint,
        "region_name": engine.region,
        "aws_access_key_id": engine.access_key_id,
        "aws_secret_access_key": engine.secret_access_key,
    }
    s3 = boto3.client("s3", **options)
    s3.put_object(Bucket="lake", Key="warehouse/e", Body=b"e")
    assert s3.get_object(Bucket="lake", Key="warehouse/e")["Body"].read() == b"e"
    s3.delete_object(Bucket="lake", Key="warehouse/e")
    assert refused(s3.create_bucket, Bucket="another")
    role = {"RoleArn": embedded_s3.role_arn, "RoleSessionName": "engine"}
    assert refused(boto3.client("sts", **options).assume_role, **role)


def test_changed_credentials_are_refused(s3_storage: Storage) -> None:
    scope = Scope(s3_storage, write=True)
    key = scope.key(scope.own) + "/data/f"
    token = scope.vended.config["s3.session-token"]
    head, _, tail = token.rpartition(".")
    for changed in (f"{head}.{tail[:-6]}AAAAAA", f"{head}.", ""):
        assert refused_or_invalid(with_token(scope.vended, changed), key)


def test_expired_credentials_are_refused(s3_storage: Storage, embedded_s3: EmbeddedS3) -> None:
    scope = Scope(s3_storage, write=True)
    key = scope.key(scope.own) + "/data/f"
    left = scope.vended.expires_at_ms / 1000 - time.time()
    assert 800 < left <= 901
    # The shortest life is 15 minutes. Nobody waits for that here: the token is signed anew with
    # the storage's own key, once as it was (and works) and once with an end in the past.
    same = signed_anew(scope.vended.config["s3.session-token"], embedded_s3)
    found = client(with_token(scope.vended, same)).get_object(Bucket="lake", Key=key)
    assert found["Body"].read() == b"rows"
    past = signed_anew(scope.vended.config["s3.session-token"], embedded_s3, exp=time.time() - 60)
    assert refused_or_invalid(with_token(scope.vended, past), key)


def with_token(credentials: VendedCredentials, token: str) -> VendedCredentials:
    config = credentials.config | {"s3.session-token": token}
    return VendedCredentials(credentials.prefix, config, credentials.expires_at_ms)


def signed_anew(token: str, embedded_s3: EmbeddedS3, exp: float | None = None) -> str:
    head, payload, signature = token.split(".")
    signing = base64.b64decode(load_keys(embedded_s3.folder / "config").sts_signing)

    def sign(text: str) -> str:
        digest = hmac.new(signing, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    assert sign(f"{head}.{payload}") == signature
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] > time.time()
    if exp is not None:
        claims["exp"] = int(exp)
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{head}.{changed}." + sign(f"{head}.{changed}")


def refused_or_invalid(credentials: VendedCredentials, key: str) -> bool:
    with pytest.raises(ClientError) as caught:
        client(credentials).get_object(Bucket="lake", Key=key)
    status: int = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status in (400, 401, 403)


def test_the_same_keys_are_given_until_half_of_their_life(s3_storage: Storage) -> None:
    location = s3_storage.warehouse.new_location("ccc")
    first = s3_storage.vendor.vend(location, write=False, session_name="a")
    assert s3_storage.vendor.vend(location, write=False, session_name="a") is first
    assert s3_storage.vendor.vend(location, write=True, session_name="a") is not first
    assert s3_storage.vendor.vend(location, write=False, session_name="b") is not first


@pytest.mark.parametrize("tail", ["/../aaab", "/*", "/?", "/${aws:username}", '/"', "//x", "/%2e"])
def test_nothing_is_vended_for_a_location_that_is_not_plain(s3_storage: Storage, tail: str) -> None:
    location = s3_storage.warehouse.root + tail
    with pytest.raises(HeadwaterError) as caught:
        s3_storage.vendor.vend(location, write=False, session_name="alice")
    assert caught.value.code is ErrorCode.INVALID_LOCATION
