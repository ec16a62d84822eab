import gzip
import json

import pytest
from sqlglot import exp, parse_one

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Principal, PrincipalKind
from headwater.server.api.names import table_identifier
from headwater.server.load import emit
from headwater.server.load.files import (
    FileFormat,
    LoadFile,
    check_types,
    count_records,
    diagnose,
    format_of,
    inspect,
)
from headwater.server.load.uploads import Uploads
from headwater.server.samples.loader import create_request, demo_statements, tables


def file(tmp_path, name, content):
    file_format, compressed = format_of(name)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if compressed else content)
    return LoadFile(path, name, file_format, compressed)


def refusal(act, *arguments):
    with pytest.raises(HeadwaterError) as caught:
        act(*arguments)
    assert caught.value.code is ErrorCode.INVALID_FILE
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.csv", (FileFormat.CSV, False)),
        ("A.TSV.GZ", (FileFormat.CSV, True)),
        ("x.y.jsonl", (FileFormat.JSON, False)),
        ("a.parquet", (FileFormat.PARQUET, False)),
    ],
)
def test_formats_by_extension(name, wanted):
    assert format_of(name) == wanted


@pytest.mark.parametrize("name", ["a.xlsx", "csv", "a.parquet.gz", "", "a.csv.zip"])
def test_other_extensions_are_refused(name):
    assert "cannot be loaded" in refusal(format_of, name)


def test_the_separator_is_what_the_header_has_most_of(tmp_path):
    layout = inspect(file(tmp_path, "a.csv", b'"a,b,c";d;e\n1;2;3\n'))
    assert (layout.separator, layout.columns) == (";", ("a,b,c", "d", "e"))
    assert inspect(file(tmp_path, "b.csv", b"\xef\xbb\xbfone\n1\n")).columns == ("one",)
    assert inspect(file(tmp_path, "c.csv.gz", b'"two\nlines",b\n1,2\n')).columns[0] == "two\nlines"


def test_the_line_of_a_ragged_row_counts_lines_in_quotes(tmp_path):
    ragged = file(tmp_path, "a.csv", b'a,b\n"x\ny\nz",1\n\n5\n')
    found = diagnose(ragged, inspect(ragged))
    assert found.message.startswith("a.csv line 6: 1 value where the header names 2 columns")
    assert "--on-error skip" in found.hint
    assert count_records(ragged, inspect(ragged)) == 2


def test_a_good_file_has_nothing_to_diagnose(tmp_path):
    good = file(tmp_path, "a.csv", b"a,b\n1,2\n\n3,4\n")
    assert diagnose(good, inspect(good)) is None


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([{"a": 1}, {"a": "x"}], "line 2: a is a string, but a number in line 1"),
        ([{"a": {"b": [1]}}, {"a": {"b": [True]}}], "line 2: a.b[] is a boolean"),
        ([{"a": None}, {"a": [1]}, {"a": {}}], "line 3: a is an object, but an array in line 2"),
        ([{"a": 1}, [1]], "line 2 is not an object"),
    ],
)
def test_mixed_json(tmp_path, rows, wanted):
    lines = "\n".join(map(json.dumps, rows)).encode()
    assert wanted in refusal(check_types, [file(tmp_path, "a.ndjson", lines)])


def test_null_and_numbers_mix_with_anything_of_their_kind(tmp_path):
    lines = b'{"a": 1, "b": null}\n\n{"a": 1.5, "b": [1]}\n{}\n'
    check_types([file(tmp_path, "a.ndjson", lines)])
    check_types([file(tmp_path, "a.json", b'[{"a": 1}, {"a": null}]')])


NASTY = TableIdentifier(("s'; --", 'x"y'), 'a"; DROP TABLE b; --')


def test_names_are_quoted_and_paths_are_literals(tmp_path):
    spooled = file(tmp_path, "it's.csv", b"a\n1\n")
    source = emit.reader([spooled], inspect(spooled), skip_errors=False)
    column = ('q"uote', exp.DataType.build("BIGINT"))
    for text in (emit.create(NASTY, source, [column]), emit.insert(NASTY, source, [column])):
        tree = parse_one(text, dialect="duckdb")
        target = tree.find(exp.Table)
        assert (target.name, target.db, target.catalog) == (NASTY.name, "s'; --.x\"y", "lake")
        assert [c.name for c in tree.find_all(exp.Column)] == ['q"uote']
        assert "it''s.csv" in text


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("TINYINT", "INT"),
        ("UBIGINT", "DECIMAL(20, 0)"),
        ("HUGEINT", "DECIMAL(38, 0)"),
        ("JSON", "TEXT"),
        ("INTERVAL", "TEXT"),
        ("TIMESTAMP_NS", "TIMESTAMP"),
        ("TIMESTAMP", "TIMESTAMP"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
        ("TIME", "TIME"),
        ("UUID", "UUID"),
        ("BLOB", "BLOB"),
        ("DECIMAL(18, 3)", "DECIMAL(18, 3)"),
        ("SMALLINT[]", "INT[]"),
        ("STRUCT(a JSON, b UTINYINT[])", "STRUCT(a TEXT, b INT[])"),
        ("MAP(VARCHAR, UINTEGER)", "MAP(TEXT, BIGINT)"),
    ],
)
def test_types_that_iceberg_can_keep(kind, wanted):
    built = exp.DataType.build(kind, dialect="duckdb")
    assert emit.storable_type(built).sql("duckdb") == wanted


def test_uploads_belong_to_their_sender_and_are_good_once(tmp_path):
    ann, bob = (Principal(name, name, PrincipalKind.USER) for name in ("ann", "bob"))
    uploads = Uploads(tmp_path)
    place = uploads.place("../../etc/passwd.csv")
    assert place.path.parent == tmp_path
    place.path.write_text("a\n1\n")
    upload = uploads.keep(ann, place)
    for owner, ids in ((bob, [upload]), (ann, []), (ann, [upload, "unknown"])):
        with pytest.raises(HeadwaterError) as caught:
            uploads.take(owner, ids)
        assert caught.value.code is ErrorCode.FILE_NOT_FOUND
    assert [held.files for held in uploads.take(ann, [upload])] == [(place,)]
    with pytest.raises(HeadwaterError):
        uploads.take(ann, [upload])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sample.flights", TableIdentifier(("sample",), "flights")),
        ("lake.sample.flights", TableIdentifier(("sample",), "flights")),
        ('"a.b"."c d"', TableIdentifier(("a", "b"), "c d")),
        ("a.b.c", TableIdentifier(("a", "b"), "c")),
    ],
)
def test_table_names(text, wanted):
    assert table_identifier(text) == wanted


@pytest.mark.parametrize("text", ["", "flights", "a..b", ".a", "a.", "a b.c", '"a.b'])
def test_what_is_no_table_name(text):
    with pytest.raises(HeadwaterError) as caught:
        table_identifier(text)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_every_sample_table_and_column_has_a_comment():
    assert {"nyc_taxi_trips", "churn", "ltv", "flights"} <= tables().keys()
    for definition in tables().values():
        request = create_request(definition)
        assert request["properties"]["comment"]
        assert all(field["doc"] for field in request["schema"]["fields"])
        assert ("sql" in definition) != ("file" in definition)


def test_demo_statements_parse():
    from headwater.model.statement import Dialect
    from headwater.sql.parse import parse

    statements = demo_statements()
    assert len(statements) > 8
    for statement in statements:
        parse(statement, Dialect.TRINO)


def test_every_text_type_is_one_that_iceberg_keeps():
    for kind in emit.TEXT_TYPES:
        built = exp.DataType.build(kind, dialect="duckdb")
        assert emit.storable_type(built).sql("duckdb") == built.sql("duckdb")
