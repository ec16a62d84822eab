"""Operations: streams that break and go on, interrupts, limits, large and deep things."""

from __future__ import annotations

import threading
import time
import uuid

import grpc
import pyarrow as pa
import pytest
from pyspark.errors.exceptions.connect import SparkConnectException, SparkConnectGrpcException
from pyspark.sql.connect import functions as F
from pyspark.sql.connect import proto

from headwater.gateway.spark_connect.protocol import SERVICE

# What the system engine answers as Spark does, so that it answers here: no explode, no sequence.
_DIGITS = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))"
_NUMBERS = (
    f"SELECT a.d * 100 + b.d * 10 + c.d AS a FROM {_DIGITS} AS a(d) "
    f"CROSS JOIN {_DIGITS} AS b(d) CROSS JOIN {_DIGITS} AS c(d)"
)
MANY = (
    "SELECT x.a * 1000 + y.a AS n, "
    "concat('row number ', CAST(x.a * 1000 + y.a AS STRING)) AS t "
    f"FROM ({_NUMBERS}) x CROSS JOIN ({_NUMBERS}) y"
)
"""A million rows."""

ENDLESS = f"SELECT count(*) AS n FROM ({MANY}) p JOIN ({MANY}) q ON p.n + q.n > 0 AND p.t < q.t"


class Hand:
    """A client that does what real ones do only when a network fails."""

    def __init__(self, door, spark):
        self.session_id = spark.session_id
        self._token = door.lake.tokens["admin"]
        self._channel = grpc.secure_channel(
            door.endpoint.removeprefix("sc://"),
            grpc.ssl_channel_credentials(door.authority),
            options=[("grpc.max_receive_message_length", -1)],
        )

    def call(self, method, request, *, streams=False):
        return self.raw(method, request.SerializeToString(), streams=streams)

    def raw(self, method, request, *, streams=False):
        make = self._channel.unary_stream if streams else self._channel.unary_unary
        metadata = (("authorization", f"Bearer {self._token}"),)
        return make(f"/{SERVICE}/{method}")(request, metadata=metadata)

    def execute(self, sql, operation, *, reattachable=True):
        request = proto.ExecutePlanRequest(
            session_id=self.session_id,
            operation_id=operation,
            plan=proto.Plan(root=proto.Relation(sql=proto.SQL(query=sql))),
        )
        request.request_options.add().reattach_options.reattachable = reattachable
        return self.call("ExecutePlan", request, streams=True)

    def reattach(self, operation, after=None):
        request = proto.ReattachExecuteRequest(session_id=self.session_id, operation_id=operation)
        if after is not None:
            request.last_response_id = after
        return self.call("ReattachExecute", request, streams=True)

    def close(self):
        self._channel.close()


@pytest.fixture
def hand(door, spark):
    made = Hand(door, spark)
    yield made
    made.close()


def read(raw):
    return proto.ExecutePlanResponse.FromString(raw)


def rows_of(responses):
    return sum(response.arrow_batch.row_count for response in responses)


def test_a_broken_stream_goes_on_where_it_broke(hand):
    operation = str(uuid.uuid4())
    call = hand.execute(MANY, operation)
    seen = [read(next(call)) for _ in range(3)]
    call.cancel()
    rest = [read(raw) for raw in hand.reattach(operation, seen[-1].response_id)]
    assert rest[-1].WhichOneof("response_type") == "result_complete"
    everything = [*seen, *rest]
    assert rows_of(everything) == 1_000_000
    assert len({response.response_id for response in everything}) == len(everything)
    starts = [r.arrow_batch.start_offset for r in everything if r.HasField("arrow_batch")]
    assert starts == sorted(starts)
    # From the start again, as long as nothing was released.
    again = [read(raw) for raw in hand.reattach(operation)]
    assert rows_of(again) == 1_000_000


def test_released_responses_are_gone(hand):
    operation = str(uuid.uuid4())
    seen = [read(raw) for raw in hand.execute(MANY, operation)]
    until = proto.ReleaseExecuteRequest(session_id=hand.session_id, operation_id=operation)
    until.release_until.response_id = seen[2].response_id
    hand.call("ReleaseExecute", until)
    with pytest.raises(grpc.RpcError, match="INVALID_CURSOR"):
        list(hand.reattach(operation, seen[0].response_id))
    done = proto.ReleaseExecuteRequest(session_id=hand.session_id, operation_id=operation)
    done.release_all.SetInParent()
    hand.call("ReleaseExecute", done)
    with pytest.raises(grpc.RpcError, match="OPERATION_NOT_FOUND"):
        list(hand.reattach(operation))


def test_an_operation_id_is_used_once(hand):
    operation = str(uuid.uuid4())
    list(hand.execute("SELECT 1", operation))
    with pytest.raises(grpc.RpcError, match="OPERATION_ALREADY_EXISTS"):
        list(hand.execute("SELECT 1", operation))


@pytest.mark.parametrize("how", ["all", "tag", "operation"])
def test_interrupts(spark, how):
    failures: list[BaseException] = []
    client = spark.client

    def run():
        spark.addTag("slow")
        try:
            spark.sql(ENDLESS).collect()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 30
    stopped: list[str] = []
    while not stopped and time.monotonic() < deadline:
        time.sleep(0.3)
        if how == "all":
            stopped = client.interrupt_all()
        elif how == "tag":
            stopped = client.interrupt_tag("slow")
        else:
            for operation in list(client._get_operation_statuses().operation_statuses):
                stopped += client.interrupt_operation(operation.operation_id)
    thread.join(30)
    assert not thread.is_alive()
    assert len(stopped) == 1
    assert isinstance(failures[0], SparkConnectGrpcException)
    assert failures[0].getCondition() == "OPERATION_CANCELED"
    assert spark.sql("SELECT 1 AS x").collect()[0].x == 1


def test_a_client_that_leaves_stops_what_it_ran(hand, spark):
    call = hand.execute(ENDLESS, str(uuid.uuid4()), reattachable=False)
    time.sleep(1.0)
    assert spark.client._get_operation_statuses().operation_statuses
    call.cancel()
    deadline = time.monotonic() + 20
    while spark.client._get_operation_statuses().operation_statuses:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_large_result_streams(spark):
    found = spark.sql(MANY).toArrow()
    assert found.num_rows == 1_000_000
    assert pa.compute.sum(found.column("n")).as_py() == 499_999_500_000
    seen = 0
    for row in spark.sql(MANY).toLocalIterator():
        seen += row.n
        if row.n > 1000:
            break
    assert seen


def test_a_plan_too_deep_is_refused_and_a_deep_one_is_not(hand, spark):
    def is_local(depth):
        request = proto.AnalyzePlanRequest(session_id=spark.session_id)
        request.is_local.plan.root.sql.query = "SELECT 1"
        relation = request.is_local.plan.root.SerializeToString()
        # By hand: the client itself gives up at a few hundred.
        for _ in range(depth):
            relation = _field(8, _field(1, relation))
        plan = _field(7, _field(1, _field(1, relation)))
        return hand.raw("AnalyzePlan", _field(1, spark.session_id.encode()) + plan)

    assert not proto.AnalyzePlanResponse.FromString(is_local(400)).is_local.is_local
    for depth in (600, 3000):
        with pytest.raises(grpc.RpcError, match="messages deep"):
            is_local(depth)
    assert spark.sql("SELECT 1 AS x").collect()[0].x == 1


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    size, length = len(value), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def test_two_users_at_once(door):
    problems: list[BaseException] = []

    def run(user, cards):
        try:
            spark = door.connect(user)
            for _ in range(5):
                found = [r.card for r in spark.sql("SELECT card FROM shop.orders").collect()]
                assert sorted(found) == cards
        except BaseException as failure:
            problems.append(failure)

    from integration.clients.lake import ADMIN_CARDS, ANALYST_CARDS

    threads = [
        threading.Thread(target=run, args=pair)
        for pair in (("admin", ADMIN_CARDS), ("ellen", ANALYST_CARDS)) * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not problems


def test_progress_is_told(spark):
    told = []
    spark.registerProgressHandler(lambda **progress: told.append(progress))
    timer = threading.Timer(6.0, spark.interruptAll)
    timer.start()
    with pytest.raises(SparkConnectGrpcException):
        spark.sql(ENDLESS).collect()
    timer.cancel()
    assert told


def endless(spark):
    """A join that Sail does not interrupt: it has no point at which it looks."""
    numbers = spark.range(3_000_000)
    return numbers.alias("a").join(numbers.alias("b"), on=F.expr("a.id + b.id < 0"))


def test_what_an_interrupt_leaves_behind_does_not_block_the_next_statement(door, sail):
    spark = door.connect()
    spark.conf.set("headwater.engine", "sail")
    spark.range(7).createOrReplaceTempView("kept")
    stopped = threading.Timer(3, spark.interruptAll)
    stopped.start()
    with pytest.raises(SparkConnectException, match="OPERATION_CANCELED"):
        endless(spark).count()
    stopped.join()
    started = time.monotonic()
    # What the session held is there in the new process.
    assert spark.table("kept").count() == 7
    spark.conf.set("headwater.engine", "auto")
    found = spark.sql("SELECT sum(cast(id AS decimal(15, 2))) + 1 AS x FROM shop.orders").collect()
    assert found[0].x > 1
    assert time.monotonic() - started < 15


def test_an_interrupt_that_works_keeps_the_process(door, sail):
    spark = door.connect()
    spark.conf.set("headwater.engine", "sail")
    started = time.monotonic()
    stream = spark.range(0, 1 << 40, 1, 4).toLocalIterator()
    next(stream)
    stream.close()
    assert spark.range(3).count() == 3
    assert time.monotonic() - started < 15


def test_others_of_the_same_user_are_told_that_their_process_was_replaced(door, sail):
    stuck, other = door.connect(), door.connect()
    told: list[BaseException] = []

    def wait():
        try:
            endless(other).count()
        except BaseException as failure:
            told.append(failure)

    for each in (stuck, other):
        each.conf.set("headwater.engine", "sail")
    waiting = threading.Thread(target=wait)
    waiting.start()
    stopped = threading.Timer(2, stuck.interruptAll)
    stopped.start()
    with pytest.raises(SparkConnectException, match="OPERATION_CANCELED"):
        endless(stuck).count()
    # A new process serves at once; the other operation goes on, or is told to begin anew.
    assert stuck.range(3).count() == 3
    waiting.join(2)
    if waiting.is_alive():
        other.interruptAll()
        waiting.join(30)
    assert any(word in str(told[0]) for word in ("run the operation again", "OPERATION_CANCELED"))
    assert other.range(3).count() == 3
