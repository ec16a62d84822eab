"""The command line against a real server."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integration.server.conftest import COMMAND, Server, environment


def sql(server: Server, text: str, *flags: str) -> subprocess.CompletedProcess[str]:
    done = server.run("sql", text, *flags)
    assert done.returncode == 0, done.stderr
    return done


def rows(server: Server, text: str, *flags: str) -> list[dict[str, object]]:
    return json.loads(sql(server, text, "--format", "json", *flags).stdout)


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_the_first_query(server):
    done = sql(server, "SELECT count(*) AS trips FROM sample.nyc_taxi_trips")
    assert done.stdout.splitlines() == ["  trips", "───────", "1000000"]
    assert done.stderr.startswith("(1 row, ")


def test_formats(server):
    text = "SELECT 1 AS a, 'x,y' AS b, CAST(NULL AS integer) AS c, DECIMAL '1.50' AS d"
    parsed = list(csv.reader(io.StringIO(sql(server, text, "--format", "csv").stdout)))
    assert parsed == [["a", "b", "c", "d"], ["1", "x,y", "", "1.50"]]
    assert rows(server, text) == [{"a": 1, "b": "x,y", "c": None, "d": "1.50"}]
    assert rows(server, "SELECT 1 AS a WHERE false") == []
    done = subprocess.run(
        [*COMMAND, "sql", text, "--format", "arrow"],
        env=environment(server.home),
        capture_output=True,
        timeout=60,
        check=True,
    )
    with pa.ipc.open_stream(done.stdout) as reader:
        assert reader.read_all().column("b").to_pylist() == ["x,y"]


def test_statements_from_a_file_and_from_stdin(server, tmp_path):
    file = tmp_path / "query.sql"
    file.write_text("SELECT 7 AS seven")
    assert "seven" in server.run("sql", "--file", str(file)).stdout
    assert "eight" in server.run("sql", input="SELECT 8 AS eight").stdout
    file.write_bytes(b"SELECT '\xff'")
    done = server.run("sql", "--file", str(file))
    assert (done.returncode, error_line(done).split(":")[0]) == (1, "INVALID_ARGUMENT")


def test_dialects(server):
    assert rows(server, "SELECT `name` FROM sample.airlines LIMIT 1", "--dialect", "spark")
    assert rows(server, "FROM sample.airlines LIMIT 1", "--dialect", "duckdb")


def test_a_syntax_error_has_a_caret(server):
    done = server.run("sql", "SELECT 1 FRM x y")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("SYNTAX_ERROR: line 1:")
    assert lines[0].strip() == "SELECT 1 FRM x y"
    assert lines[1].strip() == "^"


def test_usage_errors_end_with_2(server):
    assert server.run("sql", "--nonsense").returncode == 2
    assert server.run("nonsense").returncode == 2


def test_no_server_ends_with_3(server, tmp_path):
    done = server.run("doctor", env=environment(tmp_path))
    assert done.returncode == 1
    assert "no server runs" in done.stdout


def test_users_see_what_was_granted(server):
    everything = "SELECT DISTINCT pickup_borough AS b FROM sample.nyc_taxi_trips"
    assert len(rows(server, everything)) == 5
    assert rows(server, everything, "--user", "analyst") == [{"b": "Brooklyn"}]
    masked = rows(
        server,
        "SELECT max(tip_amount) AS tip, max(total_amount) AS total, max(card_number) AS card "
        "FROM sample.nyc_taxi_trips",
        "--user",
        "analyst",
    )[0]
    assert masked["tip"] is None
    assert masked["total"] is None
    assert masked["card"].startswith("************")
    done = server.run("sql", "SELECT * FROM sample.ltv", "--user", "guest")
    assert (done.returncode, error_line(done).split(":")[0]) == (1, "TABLE_NOT_FOUND")
    done = server.run("sql", "SELECT 1", "--user", "nobody-here")
    assert (done.returncode, error_line(done).split(":")[0]) == (1, "PRINCIPAL_NOT_FOUND")


def test_tokens_and_whoami(server):
    token = server.run("token", "--user", "analyst", "--ttl", "5m").stdout.strip()
    assert token.count(".") == 2
    assert "analyst (user;" in server.run("whoami", "--user", "analyst").stdout
    assert json.loads(server.run("whoami", "--json").stdout)["roles"] == ["admin"]
    done = server.run("token", "--user", "analyst", "--ttl", "soon")
    assert (done.returncode, error_line(done).split(":")[0]) == (1, "INVALID_ARGUMENT")


def test_login_over_tls(server, tmp_path):
    ready = server.ready
    other = {"env": environment(tmp_path / "elsewhere")}
    token = server.run("token", "--user", "analyst").stdout
    plain = server.run("login", "http://lake.example", input=token, **other)
    assert (plain.returncode, error_line(plain).split(":")[0]) == (1, "INVALID_ARGUMENT")
    flags = ("login", ready["https_url"], "--ca-cert", ready["ca_cert"])
    assert server.run(*flags, input=token, **other).returncode == 0
    assert "analyst" in server.run("whoami", **other).stdout
    assert server.run("login", "--forget", **other).returncode == 0
    assert server.run("whoami", **other).returncode == 3


def test_doctor(server):
    done = server.run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    wanted = {"python", "engine packages", "metastore", "storage", "disk", "tls", "engine canary"}
    assert wanted <= findings.keys()
    assert "none leaked" in findings["engine canary"]["detail"]


def test_catalog_commands(server):
    listed = server.run("catalog", "ls", "sample").stdout
    assert "sample.flights" in listed
    described = server.run("catalog", "describe", "sample.flights")
    assert "tailnum" in described.stdout
    assert "2013" in described.stderr
    history = json.loads(server.run("catalog", "history", "sample.flights", "--json").stdout)
    assert history[0]["summary"]["total-records"] == "336776"


@pytest.fixture(scope="module")
def lab(server: Server) -> str:
    sql(server, "CREATE SCHEMA lab")
    return "lab"


GOOD = 'id,name,paid,on\n1,Ann,1.5,2024-01-01\n2,Bob,,2024-01-02\n3,"C, D",7,2024-01-03\n'


def load(server, table, *files, flags=()):
    return server.run("catalog", "load", *map(str, files), "--table", table, *flags)


def test_load_csv_append_and_replace(server, lab, tmp_path):
    file = tmp_path / "good.csv"
    file.write_text(GOOD)
    done = load(server, "lab.people", file)
    assert done.stderr.strip() == "3 rows loaded into lab.people"
    found = rows(server, 'SELECT id, name, paid, "on" FROM lab.people ORDER BY id')
    assert found[1] == {"id": 2, "name": "Bob", "paid": None, "on": "2024-01-02"}
    assert found[2]["name"] == "C, D"
    again = load(server, "lab.people", file)
    assert error_line(again).startswith("TABLE_ALREADY_EXISTS: ")
    assert load(server, "lab.people", file, flags=("--mode", "append")).returncode == 0
    assert rows(server, "SELECT count(*) AS n FROM lab.people") == [{"n": 6}]
    file.write_text("NAME,id\nEve,9\n")
    done = load(server, "lab.people", file, flags=("--mode", "replace", "--json"))
    assert json.loads(done.stdout) == {"table": "lab.people", "rows": 1, "skipped": 0}
    assert rows(server, "SELECT id, name, paid FROM lab.people") == [
        {"id": 9, "name": "Eve", "paid": None}
    ]
    assert server.run("catalog", "drop", "lab.people", "--yes").returncode == 0


def test_load_finds_out_types_from_all_rows(server, lab, tmp_path):
    file = tmp_path / "typed.csv"
    first = "1,1.5,2024-01-01,2024-01-01 10:00:00,2024-01-01T10:00:00Z,true,007,1,\n"
    last = "2,-2,2024-02-29,2024-01-01T10:00:00.5,2024-01-01 10:00:00+02,FALSE,1,x,\n"
    file.write_text("i,d,dt,ts,tz,b,zip,late,none\n" + first * 3000 + last)
    assert load(server, "lab.typed", file).returncode == 0
    described = json.loads(server.run("catalog", "describe", "lab.typed", "--json").stdout)
    assert {c["name"]: c["type"] for c in described["columns"]} == {
        "i": "bigint",
        "d": "double",
        "dt": "date",
        "ts": "timestamp(6)",
        "tz": "timestamp(6) with time zone",
        "b": "boolean",
        "zip": "varchar",
        "late": "varchar",
        "none": "varchar",
    }
    found = rows(server, "SELECT ts, tz, late FROM lab.typed WHERE i = 2")[0]
    assert found == {
        "ts": "2024-01-01 10:00:00.500000",
        "tz": "2024-01-01 08:00:00+00:00",
        "late": "x",
    }


def test_load_several_compressed_files(server, lab, tmp_path):
    for number in range(3):
        with gzip.open(tmp_path / f"part{number}.csv.gz", "wt") as file:
            file.write(f"n;word\n{number};w{number}\n")
    done = load(server, "lab.parts", *sorted(tmp_path.glob("*.gz")))
    assert done.stderr.strip() == "3 rows loaded into lab.parts"
    assert [r["n"] for r in rows(server, "SELECT n FROM lab.parts ORDER BY n")] == [0, 1, 2]


def test_load_json_and_parquet(server, lab, tmp_path):
    lines = [{"id": 1, "tags": ["a", "b"], "at": {"x": 1.5}}, {"id": 2, "tags": [], "at": None}]
    file = tmp_path / "rows.ndjson"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert load(server, "lab.nested", file).returncode == 0
    assert rows(server, "SELECT * FROM lab.nested ORDER BY id") == lines
    array = tmp_path / "array.json"
    array.write_text(json.dumps(lines))
    assert load(server, "lab.nested", array, flags=("--mode", "append")).returncode == 0
    parquet = tmp_path / "data.parquet"
    pq.write_table(
        pa.table({"tiny": pa.array([1], pa.int8()), "u": pa.array([2], pa.uint64())}), parquet
    )
    assert load(server, "lab.numbers", parquet).returncode == 0
    described = json.loads(server.run("catalog", "describe", "lab.numbers", "--json").stdout)
    assert [c["type"] for c in described["columns"]] == ["integer", "decimal(20,0)"]


def bad_files():
    table = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(1000))}), table)
    parquet = table.getvalue()
    return {
        "ragged.csv": (b"a,b\n1,2\n3,4,5\n", "line 3: 3 values where the header names 2 columns"),
        "short.csv": (b'a,b\n1,2\n"x\ny",4\n7\n', "line 5: 1 value where"),
        "twice.csv": (b"a,A\n1,2\n", "more than once"),
        "nameless.csv": (b"a,,c\n1,2,3\n", "column 2 has no name"),
        "empty.csv": (b"", "the file is empty"),
        "latin.csv": ("a,b\n1,é\n".encode("latin-1"), "line 2: not UTF-8"),
        "wide.csv": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        "cut.parquet": (parquet[: len(parquet) // 2], "cut off"),
        "fake.parquet": (b"not parquet at all", "not Parquet"),
        "mixed.ndjson": (
            b'{"a": 1}\n{"a": "x"}\n',
            "line 2: a is a string, but a number in line 1",
        ),
        "broken.ndjson": (b'{"a": 1}\n{"a": \n', "line 2"),
        "scalar.ndjson": (b'{"a": 1}\n7\n', "line 2 is not an object"),
        "broken.csv.gz": (gzip.compress(b"a,b\n" + b"1,2\n" * 5000)[:40], "gzip"),
        "notes.docx": (b"PK", "cannot be loaded"),
    }


@pytest.mark.parametrize("name", list(bad_files()))
def test_bad_files_are_told_apart_and_leave_nothing(server, lab, tmp_path, name):
    content, wanted = bad_files()[name]
    (tmp_path / name).write_bytes(content)
    done = load(server, "lab.bad", tmp_path / name)
    assert done.returncode == 1
    line = error_line(done)
    assert line.startswith("INVALID_FILE: ")
    assert name in line
    assert wanted in line
    assert not list((server.home / "spool" / "uploads").iterdir())


def test_bad_files_made_no_table(server, lab):
    assert "lab.bad" not in server.run("catalog", "ls", "lab").stdout


def test_skipped_rows_are_counted(server, lab, tmp_path):
    file = tmp_path / "ragged.csv"
    file.write_text("a,b\n1,2\n3,4,5\n6,7\n8\n")
    done = load(server, "lab.skipped", file)
    assert "--on-error skip" in error_line(done)
    done = load(server, "lab.skipped", file, flags=("--on-error", "skip"))
    assert done.stderr.strip() == "2 rows loaded into lab.skipped, 2 skipped"
    assert rows(server, "SELECT a, b FROM lab.skipped ORDER BY a") == [
        {"a": 1, "b": 2},
        {"a": 6, "b": 7},
    ]


def test_loads_need_a_grant(server, lab, tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    for flags in ((), ("--mode", "append")):
        done = load(
            server, "sample.airlines", tmp_path / "x.csv", flags=(*flags, "--user", "guest")
        )
        assert (done.returncode, error_line(done).split(":")[0]) == (1, "PERMISSION_DENIED")


def test_a_file_that_is_not_there(server):
    done = load(server, "lab.x", "/nonexistent.csv")
    assert (done.returncode, error_line(done).split(":")[0]) == (1, "INVALID_FILE")
