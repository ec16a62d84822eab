"""What DuckDB's errors become: a code, and a message that gives nothing away."""

from __future__ import annotations

import duckdb
import pytest

from headwater.engines.duckdb.failures import SENTENCES, failure_of, plain_failure
from headwater.errors import ErrorCode

STATEMENTS = [
    ("SELECT CAST('secret' AS INTEGER)", ErrorCode.INVALID_CAST),
    ("SELECT 9223372036854775807 + 1::BIGINT", ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE),
    ("SELECT (SELECT i FROM range(2) t(i))", ErrorCode.SUBQUERY_MULTIPLE_ROWS),
    ("SELECT error('secret')", ErrorCode.EVALUATION_FAILED),
    ("SELECT regexp_matches('a', '(secret')", ErrorCode.EVALUATION_FAILED),
    ("SELECT 'a' + 1", ErrorCode.TYPE_MISMATCH),
    ("SELECT substr(DATE '2020-01-01', 'x')", ErrorCode.TYPE_MISMATCH),
    ("SELEC 1", ErrorCode.INTERNAL_ERROR),
    ("SELECT " + "1 + " * 1100 + "1", ErrorCode.EXCEEDED_STATEMENT_SIZE),
    ("SELECT * FROM read_parquet('/no/such/secret.parquet')", ErrorCode.STORAGE_UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "code"), STATEMENTS)
def test_code_of_a_real_error(sql: str, code: ErrorCode) -> None:
    with pytest.raises(duckdb.Error) as raised:
        duckdb.connect().execute(sql).fetchall()
    quiet = failure_of(raised.value, governed=True)
    assert (quiet.code, quiet.message) == (code, SENTENCES[code])
    assert str(raised.value) in quiet.detail
    open_ = failure_of(raised.value, governed=False)
    assert open_.code is code
    assert "LINE" not in open_.message
    assert sql not in open_.message
    assert "Error:" not in open_.message
    if code is ErrorCode.STORAGE_UNAVAILABLE:
        assert "secret" not in open_.message


def test_an_ungoverned_error_tells_what_was_wrong() -> None:
    with pytest.raises(duckdb.Error) as raised:
        duckdb.connect().execute("SELECT CAST('abc' AS INTEGER)").fetchall()
    assert "abc" in failure_of(raised.value, governed=False).message


REQUEST = "Request to 'http://127.0.0.1:1/iceberg/v1/lake/x' returned a non-200 status code"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"TransactionContext Error: Failed to commit: {REQUEST} (Conflict_409). \n message: m",
         ErrorCode.COMMIT_CONFLICT),
        (f"TransactionContext Error: Failed to commit: {REQUEST} (InternalServerError_500)",
         ErrorCode.COMMIT_STATE_UNKNOWN),
        ("TransactionContext Error: Failed to commit: Cannot open file \"x.avro\"",
         ErrorCode.STORAGE_UNAVAILABLE),
        (f"{REQUEST} (Forbidden_403), with reason: Forbidden", ErrorCode.PERMISSION_DENIED),
        (f"Invalid Configuration Error: {REQUEST} (NotFound_404)", ErrorCode.TABLE_NOT_FOUND),
        ("Catalog Error: Table with name \"c\" already exists", ErrorCode.TABLE_ALREADY_EXISTS),
        ("IO Error: Could not write file: No space left on device", ErrorCode.DISK_FULL),
        ("Out of Memory Error: failed to offload data block of size 256.0 KiB",
         ErrorCode.DISK_FULL),
        ("Out of Memory Error: could not allocate block", ErrorCode.EXCEEDED_MEMORY_LIMIT),
        ("INTERRUPT Error: Interrupted!", ErrorCode.USER_CANCELED),
        ("HTTP Error: Unable to connect", ErrorCode.STORAGE_UNAVAILABLE),
        ("something new", ErrorCode.ENGINE_FAILED),
        ("Conversion Error: Could not convert string 'Conflict_409 no space left on device'",
         ErrorCode.INVALID_CAST),
    ],
)  # fmt: skip
def test_code_by_text_as_it_comes_out_of_arrows_reader(text: str, code: ErrorCode) -> None:
    failure = failure_of(OSError(text), governed=True)
    assert failure.code is code
    assert failure.message == SENTENCES[code]


@pytest.mark.parametrize(
    ("raised", "fatal"),
    [
        (duckdb.InternalException("INTERNAL Error: x"), True),
        (duckdb.FatalException("FATAL Error: database has been invalidated"), True),
        (MemoryError(), True),
        (duckdb.ConversionException("Conversion Error: x"), False),
    ],
)
def test_what_ends_the_worker(raised: BaseException, fatal: bool) -> None:
    assert failure_of(raised, governed=False).fatal is fatal


def test_every_code_that_a_worker_sends_has_a_sentence() -> None:
    for code in SENTENCES:
        assert plain_failure(code).message
