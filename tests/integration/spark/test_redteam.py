"""The Spark part of the red-team list, by a real client against a running server, on Sail.

Ellen sees the EU's orders with masked cards and nothing else. Each attack is denied or neutral: in
its result, in the text of its error, in counts. A name such as A94 is its number in the list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from pyspark.sql import functions as F

pytestmark = pytest.mark.usefixtures("sail")

HIDDEN = re.compile(r"\bUS\b|5500|60\.00|root:|PRIVATE KEY|headwater-secret")
"""What no answer and no error may hold: rows, masked digits, files of the server."""

Attack = Callable[[Any], Any]


def everything(session: Any) -> Any:
    """What ellen may see."""
    return session.table("shop.orders")


def column(text: str) -> Attack:
    return lambda s: everything(s).selectExpr(text).collect()


def sql(text: str) -> Attack:
    return lambda s: s.sql(text).collect()


DENIED: dict[str, Attack] = {
    "A89 parquet": lambda s: s.read.parquet("/etc").collect(),
    "A89 text": lambda s: s.read.text("/etc/passwd").collect(),
    "A89 proc": lambda s: s.read.text("/proc/self/environ").collect(),
    "A89 inbox": lambda s: s.read.parquet("/inbox").collect(),
    "A89 csv by option": lambda s: s.read.format("csv").option("path", "/etc/passwd").load().collect(),  # noqa: E501
    "A89 jdbc": lambda s: s.read.format("jdbc").option("url", "jdbc:x").load().collect(),
    "A89 a class": lambda s: s.read.format("org.evil.Source").load("/x").collect(),
    "A90": sql("select * from text.`/etc/passwd`"),
    "A90 below": sql("select * from (select * from csv.`/etc/passwd`) where 1 = 1"),
    "A90 CTAS": sql("create table shop.mine using iceberg as select * from text.`/etc/passwd`"),
    "A90 insert": sql("insert into shop.secret select 1 from text.`/etc/passwd`"),
    "A90 view": sql("create temporary view v using text options (path '/etc/passwd')"),
    "A91 table": lambda s: s.table("shop.secret").collect(),
    "A91 sql": sql("select * from shop.secret"),
    "A91 subquery": sql("select * from shop.orders where id in (select x from shop.secret)"),
    "A91 cte": sql("with secret as (select * from shop.secret) select * from secret"),
    "A91 view of it": lambda s: s.table("shop.secret").createTempView("mine"),
    "A91 save": lambda s: everything(s).select("id").write.mode("append").saveAsTable("shop.secret"),  # noqa: E501
    "A91 insertInto": lambda s: s.range(1).write.insertInto("shop.secret"),
    "A91 writeTo": lambda s: s.range(1).writeTo("shop.secret").append(),
    "A91 overwrite": lambda s: s.range(1).write.mode("overwrite").saveAsTable("shop.orders"),
    "A91 new table": lambda s: s.range(1).write.saveAsTable("shop.mine"),
    "A91 delete": sql("delete from shop.orders"),
    "A91 update": sql("update shop.orders set amount = 0"),
    "A91 drop": sql("drop table shop.orders"),
    "A91 policy": sql("drop row filter eu_only on shop.orders"),
    "A91 grant": sql("grant select on shop.secret to ellen"),
    "A92 hadoop": lambda s: s.conf.set("spark.hadoop.fs.s3a.access.key", "x"),
    "A92 extensions": lambda s: s.conf.set("spark.sql.extensions", "a.B"),
    "A92 catalog": lambda s: s.conf.set("spark.sql.catalog.x", "a.B"),
    "A92 warehouse": lambda s: s.conf.set("spark.sql.warehouse.dir", "/tmp/x"),
    "A92 by SQL": sql("set spark.sql.catalog.x=a.B"),
    "A96 java_method": column("java_method('java.lang.System', 'getenv', 'HOME')"),
    "A96 reflect": sql("select reflect('java.lang.System', 'getenv', 'HOME')"),
    "A96 try_reflect": lambda s: everything(s).select(F.try_reflect(F.lit("a"), F.lit("b"))).collect(),  # noqa: E501
    "A96 call_function": lambda s: everything(s).select(F.call_function("java_method", F.lit("a"), F.lit("b"))).collect(),  # noqa: E501
    "A97 input_file_name": lambda s: everything(s).select(F.input_file_name()).collect(),
    "A97 _metadata": lambda s: everything(s).select("_metadata.file_path").collect(),
    "A97 hidden columns": lambda s: everything(s).select("_row_id").collect(),
    "A100 stream": lambda s: s.readStream.format("rate").load().writeStream.format("memory").queryName("q").start(),  # noqa: E501
    "A100 java udf": lambda s: s.udf.registerJavaFunction("f", "a.B"),
    "A101 expr": column("(select max(x) from shop.secret)"),
    "A101 file": column("(select max(value) from text.`/etc/passwd`)"),
    "A101 union": column("1 union select 2 from shop.secret"),
    "A101 filter": lambda s: everything(s).where("exists (select 1 from shop.secret)").collect(),
    "write anywhere": lambda s: s.range(1).write.parquet("/tmp/headwater-redteam"),
    "write the outbox": lambda s: s.range(1).write.parquet("/outbox/x"),
    "write a location": lambda s: s.range(1).write.option("path", "/tmp/x").saveAsTable("shop.mine"),  # noqa: E501
    "load data": sql("load data inpath '/etc/passwd' into table shop.orders"),
    "add jar": sql("add jar '/tmp/x.jar'"),
    "script": sql("select transform(id) using 'cat /etc/passwd' as (x) from shop.orders"),
    "identifier": sql("select * from identifier('shop.secret')"),
    "procedures": sql("call lake.system.rollback_to_snapshot('shop.orders', 1)"),
}  # fmt: skip


@pytest.fixture(params=["sail", pytest.param("spark", marks=pytest.mark.spark)])
def eyes(request: pytest.FixtureRequest, ellen: Any) -> Any:
    """Ellen's session, all of whose plans go to one engine."""
    if request.param == "spark":
        request.getfixturevalue("real_spark")
    ellen.conf.set("headwater.engine", request.param)
    ellen.conf.set("spark.sql.shuffle.partitions", "2")
    return ellen


@pytest.mark.parametrize("attack", DENIED)
def test_denied(ellen: Any, attack: str) -> None:
    with pytest.raises(Exception) as refused:
        DENIED[attack](ellen)
    told = str(refused.value)
    assert not HIDDEN.search(told), told
    assert "Traceback" not in told.partition("JVM stacktrace")[0]
    assert "INTERNAL_ERROR" not in told, told
    assert everything(ellen).count() == 2


def test_what_can_be_seen_is_what_policies_leave(eyes: Any) -> None:
    frame = everything(eyes)
    answers = [
        frame.collect(),
        frame.toPandas().to_string(),
        frame.groupBy("region").count().collect(),
        frame.describe().collect(),
        frame.summary().collect(),
        frame.sample(1.0).collect(),
        frame.select(F.to_json(F.struct("*"))).collect(),
        frame.orderBy(F.desc("card")).limit(5).collect(),
        eyes.sql("select max(region), max(card), sum(amount) from shop.orders").collect(),
        frame.inputFiles(),
        frame._explain_string(extended=True),
    ]
    told = str(answers)
    assert not HIDDEN.search(told), told
    assert frame.count() == frame.where("true").count() == frame.distinct().count() == 2


def test_errors_are_no_oracle(eyes: Any) -> None:
    """An error that only a hidden row would raise: amount 60 is in the US."""
    frame = everything(eyes)
    probes = [
        "1 / (amount - 60.00)",
        "if(amount = 60.00, raise_error(card), 'fine')",
        "assert_true(region <> 'US')",
        "cast(if(region = 'US', card, '1') as int)",
    ]
    for probe in probes:
        assert len(frame.selectExpr(probe).collect()) == 2, probe
    for probe in (probes[0], probes[-1]):
        assert len(eyes.sql(f"select {probe} from shop.orders").collect()) == 2, probe


def test_a94_user_code_finds_nothing(eyes: Any, door: Any) -> None:
    home = str(door.lake.home)
    secret = Path(home) / "headwater-secret"
    secret.write_text("headwater-secret")

    def explore(_):
        import os
        import socket
        import subprocess
        from pathlib import Path

        found = []

        def attempt(name, work):
            try:
                found.append(f"{name}: {work()}")
            except Exception as exc:
                found.append(f"{name}: {type(exc).__name__}")

        def through(link):
            link.unlink(missing_ok=True)
            link.symlink_to(f"{home}/headwater-secret")
            return link.read_text()

        def target(number):
            try:
                return os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                return ""

        attempt("passwd", lambda: Path("/etc/shadow").read_text())
        attempt("secret", lambda: Path(f"{home}/headwater-secret").read_text())
        attempt("home", lambda: os.listdir(home))
        attempt("inbox write", lambda: Path("/inbox/x").write_text("x"))
        attempt("net", lambda: socket.create_connection(("127.0.0.1", 8420), 1))
        attempt("environ", lambda: sorted(os.environ))
        attempt("parent", lambda: Path(f"/proc/{os.getppid()}/environ").read_text())
        attempt("run", lambda: subprocess.run(["cat", f"{home}/ready.json"], capture_output=True))
        attempt("metadata", lambda: socket.create_connection(("169.254.169.254", 80), 1))
        attempt("link", lambda: Path("/outbox/link").hardlink_to(f"{home}/headwater-secret"))
        attempt("through a link", lambda: through(Path("/outbox/sym")))
        attempt("descriptors", lambda: [target(n) for n in os.listdir("/proc/self/fd")])
        attempt("sockets", lambda: [p for p in Path("/run").rglob("*") if p.is_socket()])
        attempt("shm", lambda: os.listdir("/dev/shm"))
        attempt("unshare", lambda: subprocess.run(
            ["unshare", "-Urm", "ls", home], capture_output=True, timeout=5).stdout)  # fmt: skip
        attempt(
            "processes",
            lambda: [
                Path(f"/proc/{n}/cmdline").read_text() for n in os.listdir("/proc") if n.isdigit()
            ],
        )
        return "\n".join(found)

    code = F.udf(explore, "string")
    ((told,),) = eyes.range(1).select(code(F.col("id").cast("int"))).collect()
    lines = dict(line.split(": ", 1) for line in told.splitlines())
    assert "headwater-secret" not in told.replace("headwater-secret'", "")
    assert lines["secret"] in ("FileNotFoundError", "PermissionError")
    assert lines["home"] in ("FileNotFoundError", "PermissionError")
    assert lines["inbox write"] in ("OSError", "PermissionError", "FileNotFoundError")
    assert "Error" in lines["net"] or "Refused" in lines["net"]
    # Spark's own, between its JVM and its Python, both in this sandbox.
    environ = lines["environ"].replace("PYTHON_WORKER_FACTORY_SECRET", "")
    assert not any(word in environ for word in ("TOKEN", "SECRET", "AWS"))
    assert "token" not in lines["run"]
    assert "Error" in lines["metadata"] or "timeout" in lines["metadata"]
    for name in ("link", "through a link"):
        assert lines[name] in ("FileNotFoundError", "PermissionError", "OSError"), name
    for name in ("descriptors", "sockets", "shm", "unshare"):
        assert home not in lines[name], name
        assert "ready.json" not in lines[name], name
    assert "PosixPath" not in lines["sockets"]
    assert "headwater up" not in lines["processes"]
    secret.unlink()


def test_a94_user_code_sees_masked_rows_alone(eyes: Any) -> None:
    def look(folder):
        import os

        import pyarrow.parquet as pq

        tables = []
        for top, _, names in os.walk(folder):
            tables += [str(pq.read_table(os.path.join(top, name)).to_pylist()) for name in names]
        return "\n".join(tables)

    eyes.table("shop.orders").count()
    code = F.udf(look, "string")
    ((told,),) = eyes.range(1).select(code(F.lit("/inbox"))).collect()
    assert "'US'" not in told
    assert "4111" not in told.replace("*****1111", "")


@pytest.mark.spark
def test_table_functions_see_masked_rows_alone(ellen: Any, real_spark: None) -> None:
    """A table that stands in the arguments of a function is a governed scan like any other."""

    @F.udtf(returnType="told string")
    class Tell:
        def eval(self, row):
            yield (str(row.asDict()),)

    ellen.udtf.register("tell", Tell)
    seen = [
        ellen.sql("SELECT * FROM tell(TABLE(shop.orders))"),
        ellen.sql("SELECT * FROM tell(TABLE(SELECT * FROM shop.orders) PARTITION BY region)"),
        Tell(everything(ellen).asTable()),
    ]
    for frame in seen:
        told = [row.told for row in frame.collect()]
        assert len(told) == everything(ellen).count() > 0
        assert not HIDDEN.search(" ".join(told))
    for text in ("TABLE(shop.secret)", "TABLE(SELECT * FROM shop.secret)", "TABLE shop.secret"):
        with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND") as denied:
            ellen.sql(f"SELECT * FROM tell({text})").collect()
        assert not HIDDEN.search(str(denied.value))


@pytest.mark.parametrize("name", ["evil.jar", "Evil.class"])
def test_a93_no_code_for_the_jvm_is_taken(ellen: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xca\xfe\xba\xbe" if name.endswith("class") else b"PK")
    with pytest.raises(Exception, match=r"UNSUPPORTED"):
        ellen.addArtifact(str(tmp_path / name))


def test_a93_python_of_ones_own_is_taken_and_stays_ones_own(
    ellen: Any, door: Any, tmp_path: Path
) -> None:
    (tmp_path / "hw_mine.py").write_text("value = 42\n")
    ellen.addArtifact(str(tmp_path / "hw_mine.py"), pyfile=True)

    def read(_):
        import hw_mine

        return hw_mine.value

    code = F.udf(read, "int")
    # Sail takes no artifacts, so this moves to Spark by itself where there is one.
    with pytest.raises(Exception, match="hw_mine"):
        door.connect("admin").range(1).select(code("id")).collect()


def test_a104_errors_tell_their_own_session_and_nothing_of_the_server(eyes: Any, door: Any) -> None:
    def fail(_):
        raise ValueError("mine")

    code = F.udf(fail, "string")
    with pytest.raises(Exception) as failure:
        eyes.range(1).select(code("id")).collect()
    told = str(failure.value)
    assert "mine" in told
    assert str(door.lake.home) not in told


def test_sessions_of_others(ellen: Any, door: Any) -> None:
    """A88: another user's session id names another session."""
    everything(ellen).createOrReplaceTempView("mine")
    other = door.connect("admin", session_id=ellen.session_id)
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        other.table("mine").collect()
    assert everything(other).count() > 2
    assert ellen.table("mine").count() == 2


def test_a_view_made_before_a_revoke(ellen: Any, spark: Any) -> None:
    everything(ellen).createOrReplaceTempView("kept")
    assert ellen.sql("select * from kept").count() == 2
    spark.sql("revoke select on shop.orders from ellen")
    try:
        for ask in (
            lambda: ellen.sql("select * from kept").collect(),
            lambda: ellen.table("kept").collect(),
        ):
            with pytest.raises(Exception, match=r"TABLE_OR_VIEW_NOT_FOUND|PERMISSION"):
                ask()
    finally:
        spark.sql("grant select on shop.orders to ellen")
    assert ellen.table("kept").count() == 2


def test_granted_locations(eyes: Any, spark: Any, tmp_path: Path) -> None:
    """Files of a granted folder are read and written; those beside it are not."""
    os.chmod(tmp_path, 0o755)
    given, out = tmp_path / "given", tmp_path / "out"
    given.mkdir()
    out.mkdir()
    (given / "a.csv").write_text("k,v\n1,x\n2,y\n")
    (tmp_path / "beside.csv").write_text("headwater-secret\n")
    (given / "link.csv").symlink_to(tmp_path / "beside.csv")
    spark.sql(f"grant read files on location '{given}' to user ellen")
    spark.sql(f"grant write files on location '{out}' to user ellen")
    read = eyes.read.option("header", True).schema("k int, v string")
    assert [row.v for row in read.csv(f"{given}/a.csv").orderBy("k").collect()] == ["x", "y"]
    for path in (
        given,
        given / "link.csv",
        tmp_path,
        tmp_path / "beside.csv",
        f"{given}/../beside.csv",
    ):
        with pytest.raises(Exception) as refused:
            read.csv(str(path)).collect()
        assert "headwater-secret" not in str(refused.value)
    everything(eyes).select("id", "card").write.parquet(f"{out}/cards")
    assert (out / "cards").exists()
    spark.sql(f"grant read files on location '{out}' to user ellen")
    cards = eyes.read.parquet(f"{out}/cards").orderBy("id").collect()
    assert [row.card for row in cards] == ["*****1111", "*****3333"]
    with pytest.raises(Exception, match="exist"):
        eyes.range(1).write.parquet(f"{out}/cards")
    eyes.range(3).write.mode("overwrite").parquet(f"{out}/cards")
    assert eyes.read.parquet(f"{out}/cards").count() == 3
    written = next(Path(out, "cards").glob("*.parquet"))
    assert parquet.read_metadata(written).row_group(0).column(0).compression == "SNAPPY"
    assert eyes.sql(f"SELECT * FROM parquet.`{out}/cards`").count() == 3
    for path in (given, tmp_path / "beside.csv", f"{out}/../beside.csv"):
        with pytest.raises(Exception) as refused:
            eyes.sql(f"SELECT * FROM csv.`{path}`").collect()
        assert "headwater-secret" not in str(refused.value)
