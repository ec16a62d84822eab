"""Who gets in, and what of other sessions is anybody's: by real clients and by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import grpc
import pytest
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from headwater.gateway.spark_connect.protocol import SERVICE, messages
from headwater.settings import child_environment

pb = messages()


@pytest.fixture
def stub(door):
    """Calls methods with messages by hand, as a user or with any metadata."""
    channels = []

    def call(method, request, user="admin", metadata=None):
        url = door.endpoint.removeprefix("sc://")
        channel = grpc.secure_channel(url, grpc.ssl_channel_credentials(door.authority))
        channels.append(channel)
        if metadata is None:
            metadata = (("authorization", f"Bearer {door.lake.tokens[user]}"),)
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        streams = method in ("ExecutePlan", "ReattachExecute")
        make = channel.unary_stream if streams else channel.unary_unary
        return make(f"/{SERVICE}/{method}")(raw, metadata=metadata, timeout=20)

    yield call
    for channel in channels:
        channel.close()


def config(session_id: str):
    request = pb.ConfigRequest(session_id=session_id)
    request.operation.get_all.SetInParent()
    return request


def test_the_connection_string_of_ready_json_works(door, tmp_path):
    """In a process of its own, as a user would: nothing but the string and one variable."""
    ready = json.loads((door.lake.home / "ready.json").read_text())
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.remote(os.environ['URL']).getOrCreate()\n"
        "print(spark.sql('select 40 + 2 as x').collect()[0].x)\n"
    )
    environment = child_environment(
        URL=ready["spark_connect"],
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=ready["ca_cert"],
        HOME=os.environ["HOME"],
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "42", done.stderr


def test_a_client_that_exits_is_not_kept(stub):
    """PySpark's last words, for ML, while its interpreter ends: a response would be its to read on,
    and gRPC's thread can then die with a lock that the exit waits for, for ever.
    """
    request = pb.ExecutePlanRequest(session_id=str(uuid.uuid4()))
    request.plan.command.ml_command.clean_cache.SetInParent()
    request.request_options.add().reattach_options.reattachable = True
    answers = stub("ExecutePlan", request)
    with pytest.raises(grpc.RpcError) as failure:
        next(answers)
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert "Spark ML" in failure.value.details()


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 5000])
def test_a_bad_token(door, token):
    spark = door.open(f"{door.endpoint}/;use_ssl=true;token={token}")
    with pytest.raises(SparkConnectGrpcException) as failure:
        spark.sql("SELECT 1")
    assert failure.value.getGrpcStatusCode() is grpc.StatusCode.UNAUTHENTICATED


def test_an_expired_token(door):
    command = [sys.executable, "-m", "headwater", "token", "--user", "ellen", "--ttl", "1s"]
    environment = child_environment(HEADWATER_HOME=str(door.lake.home))
    token = subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()
    # A token is taken for a minute after its end (skew between clocks); so a forged end is tried.
    head, body, signature = token.split(".")
    forged = f"{head}.{body[:-4]}AAAA.{signature}"
    spark = door.open(f"{door.endpoint}/;use_ssl=true;token={forged}")
    with pytest.raises(SparkConnectGrpcException) as failure:
        spark.sql("SELECT 1")
    assert failure.value.getGrpcStatusCode() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Basic YTpi"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer x"), ("authorization", "Bearer y")),
    ],
)
def test_no_token(stub, metadata):
    with pytest.raises(grpc.RpcError) as failure:
        stub("Config", config(str(uuid.uuid4())), metadata=metadata)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_plain_text_is_not_served(door):
    with grpc.insecure_channel(door.endpoint.removeprefix("sc://")) as channel:
        call = channel.unary_unary(f"/{SERVICE}/Config")
        with pytest.raises(grpc.RpcError) as failure:
            call(config(str(uuid.uuid4())).SerializeToString(), timeout=10)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_claimed_user_is_ignored(door):
    claimed = door.connect("ellen", user_id="admin")
    assert claimed.sql("SELECT current_user() AS me").collect()[0].me == "ellen"
    assert claimed.table("shop.orders").count() == 2


def test_a_session_is_its_owners_alone(door, stub):
    shared = str(uuid.uuid4())
    mine = door.connect("admin", session_id=shared)
    mine.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    theirs = door.connect("ellen", session_id=shared)
    assert theirs.conf.get("spark.sql.session.timeZone") == "UTC"
    observed = mine.client._server_session_id
    for method, message in (
        ("ReattachExecute", pb.ReattachExecuteRequest),
        ("ReleaseExecute", pb.ReleaseExecuteRequest),
        ("CloneSession", pb.CloneSessionRequest),
        ("FetchErrorDetails", pb.FetchErrorDetailsRequest),
        ("GetStatus", pb.GetStatusRequest),
    ):
        request = message(session_id=str(uuid.uuid4()))
        with pytest.raises(grpc.RpcError) as failure:
            list(stub(method, request, user="ellen"))
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND, method
        assert "INVALID_HANDLE.SESSION_NOT_FOUND" in failure.value.details()
    request = config(shared)
    request.client_observed_server_side_session_id = observed
    with pytest.raises(grpc.RpcError) as failure:
        stub("Config", request, user="ellen")
    assert "INVALID_HANDLE.SESSION_CHANGED" in failure.value.details()


def test_an_operation_is_its_owners_alone(door, stub):
    spark = door.connect()
    spark.sql("SELECT 1").collect()
    operation = str(uuid.uuid4())
    plan = pb.Plan(root=pb.Relation(sql=pb.SQL(query="SELECT 1")))
    request = pb.ExecutePlanRequest(session_id=spark.session_id, operation_id=operation, plan=plan)
    request.request_options.add().reattach_options.reattachable = True
    assert list(stub("ExecutePlan", request))
    foreign = door.connect("ellen", session_id=spark.session_id)
    foreign.sql("SELECT 1").collect()
    again = pb.ReattachExecuteRequest(session_id=spark.session_id, operation_id=operation)
    with pytest.raises(grpc.RpcError) as failure:
        list(stub("ReattachExecute", again, user="ellen"))
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    assert "INVALID_HANDLE.OPERATION_NOT_FOUND" in failure.value.details()
    assert list(stub("ReattachExecute", again))


@pytest.mark.parametrize("session_id", ["", "x", "../../etc", "0" * 36, "a" * 5000])
def test_ids_are_uuids(stub, session_id):
    with pytest.raises(grpc.RpcError) as failure:
        stub("Config", config(session_id))
    assert "INVALID_HANDLE.FORMAT" in failure.value.details()


@pytest.mark.parametrize("method", ["Config", "AnalyzePlan", "Interrupt", "ReleaseSession"])
def test_garbage_is_refused(stub, method):
    for garbage in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x00", os.urandom(1000)):
        with pytest.raises(grpc.RpcError) as failure:
            stub(method, garbage)
        assert failure.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INTERNAL,
        )


def test_a_released_session_is_closed(door):
    spark = door.connect()
    spark.sql("SELECT 1").collect()
    again = door.connect(session_id=spark.session_id)
    spark.client.release_session()
    with pytest.raises(Exception, match="SESSION_CLOSED"):
        again.sql("SELECT 1")


def test_a_cloned_session_has_its_settings(door):
    spark = door.connect()
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    spark.sql("USE shop")
    copy = spark.cloneSession() if hasattr(spark, "cloneSession") else None
    if copy is None:
        pytest.skip("this client has no cloneSession")
    assert copy.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert copy.catalog.currentDatabase() == "shop"
    copy.conf.set("spark.sql.session.timeZone", "UTC")
    assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"


@pytest.mark.parametrize("version", ["3.4.4", "2.4.8"])
def test_a_client_that_is_too_old_is_told(stub, version):
    request = config(str(uuid.uuid4()))
    request.client_type = f"_SPARK_CONNECT_PYTHON spark/{version} os/linux python/3.8"
    with pytest.raises(grpc.RpcError) as failure:
        stub("Config", request)
    assert "clients of PySpark 3.5 and later" in failure.value.details()


def test_global_views_are_the_users_and_no_session_else_has_them(door):
    first, second = door.connect("ellen"), door.connect("ellen")
    first.range(3).createOrReplaceGlobalTempView("three")
    assert second.sql("SELECT count(*) AS n FROM global_temp.three").collect()[0].n == 3
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        door.connect("admin").table("global_temp.three").collect()
    assert second.catalog.dropGlobalTempView("three")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        first.table("global_temp.three").collect()
