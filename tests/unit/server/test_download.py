"""Downloads: safe names, formulas defused, every type in every kind of file."""

import csv
import datetime
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.server.download import FileKind, disposition, file_parts


def made(kind: FileKind, table: pa.Table, *, guard: bool = True) -> bytes:
    return b"".join(file_parts(kind, table.schema, table.to_batches(), guard_formulas=guard))


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("trips", "trips.csv"),
        ("trips.csv", "trips.csv"),
        ("../../etc/passwd", "etc_passwd.csv"),
        ("..\\..\\boot.ini", "boot.ini.csv"),
        ('a"; filename="x.exe', "a__ filename__x.exe.csv"),
        ("a\r\nSet-Cookie: x=1", "a__Set-Cookie_ x_1.csv"),
        ("exe.\u202evsc", "exe._vsc.csv"),
        ("", "result.csv"),
        ("...", "result.csv"),
        (".htaccess", "htaccess.csv"),
        ("x" * 400, "x" * 100 + ".csv"),
    ],
)
def test_names_stay_in_their_folder(name: str, saved: str) -> None:
    assert disposition(name, FileKind.CSV).startswith(f'attachment; filename="{saved}"; ')


def test_names_of_all_scripts() -> None:
    header = disposition("données שלום", FileKind.PARQUET)
    assert 'filename="donn_es ____.parquet"' in header
    assert "filename*=UTF-8''donn%C3%A9es%20%D7%A9%D7%9C%D7%95%D7%9D.parquet" in header
    assert header.isascii()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=HYPERLINK(\"http://evil\")", "+cmd|' /C calc'!A0", "-2+3+cmd|x", "@SUM(A1)",
     "\t=1", "\r=1", " =1", "＝1+1"],
)  # fmt: skip
def test_formulas_are_defused(text: str) -> None:
    table = pa.table({text: [text, "plain", None]})
    found = rows(made(FileKind.CSV, table))
    assert found[0] == ["'" + text]
    assert found[1] == ["'" + text]
    assert found[2] == ["plain"]
    assert rows(made(FileKind.CSV, table, guard=False))[1] == [text]


@pytest.mark.parametrize("text", ["-5", "+49 123 456", "-1.5e3", "a=b", "", "1-2", "mail@x.org"])
def test_numbers_and_plain_texts_stay(text: str) -> None:
    assert rows(made(FileKind.CSV, pa.table({"a": ["x", text]})))[2:] in ([[text]], [[]])


NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
EVERYTHING = pa.table(
    {
        "whole": pa.array([1, None], pa.int64()),
        "real": pa.array([1.5, float("inf")]),
        "exact": pa.array([Decimal("-1.50"), None], pa.decimal128(38, 2)),
        "text": ['a,"b"\nc', "🚕 שלום"],
        "bytes": [b"\x00\xff", None],
        "day": [datetime.date(2026, 1, 31), None],
        "time": pa.array([datetime.time(1, 2, 3), None], pa.time64("us")),
        "at": pa.array([NOON, None], pa.timestamp("us", "UTC")),
        "nanos": pa.array([1, None], pa.timestamp("ns")),
        "list": [[1, 2], None],
        "row": [{"a": 1, "b": "x"}, None],
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
        "interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        "nothing": pa.nulls(2),
    }
)


def test_every_type_in_every_file() -> None:
    found = rows(made(FileKind.CSV, EVERYTHING))
    assert found[0] == EVERYTHING.column_names
    first = dict(zip(found[0], found[1], strict=True))
    assert first["exact"] == "-1.50"
    assert first["text"] == 'a,"b"\nc'
    assert first["list"] == "[1, 2]"
    assert first["row"] == '{"a": 1, "b": "x"}'
    assert first["map"] == '{"k": 1}'
    parquet = pq.read_table(io.BytesIO(made(FileKind.PARQUET, EVERYTHING)))
    assert parquet.num_rows == 2
    assert parquet.column("exact").type == pa.decimal128(38, 2)
    with pa.ipc.open_stream(made(FileKind.ARROW, EVERYTHING)) as reader:
        assert reader.read_all().equals(EVERYTHING.combine_chunks())


def test_an_empty_result_has_its_header() -> None:
    empty = EVERYTHING.slice(0, 0)
    assert rows(made(FileKind.CSV, empty)) == [EVERYTHING.column_names]
    assert pq.read_table(io.BytesIO(made(FileKind.PARQUET, empty))).num_rows == 0


def test_large_files_come_in_parts() -> None:
    batch = pa.record_batch({"a": ["x" * 1000] * 1000})
    parts = list(file_parts(FileKind.CSV, batch.schema, [batch] * 5, guard_formulas=True))
    assert len(parts) == 6
    assert sum(map(len, parts)) > 5_000_000
