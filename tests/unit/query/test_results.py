"""The result spool: memory, then a file without a name; readers beside the writer; limits."""

import os
import resource
import signal
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.query.results import ResultSpool

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


def batch(number: int, rows: int = 100) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array([number] * rows, pa.int64()), pa.array([f"row {number}"] * rows)], SCHEMA
    )


def test_a_small_result_stays_in_memory(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path / "results")
    spool.append(batch(0))
    assert spool.page(0) == batch(0)
    assert spool.page(1) is None
    assert (spool.pages_ready, spool.rows, spool.disk_bytes) == (1, 100, 0)
    assert not (tmp_path / "results").exists()


def test_a_large_result_goes_to_disk_and_comes_back_the_same(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=5000)
    for number in range(50):
        spool.append(batch(number))
    assert spool.disk_bytes > 0
    assert [spool.page(number) for number in range(50)] == [batch(n) for n in range(50)]
    assert spool.rows == 5000
    assert os.listdir(tmp_path) == [], "the file must have no name"
    spool.close()
    spool.close()
    assert spool.page(0) is None
    assert spool.pages_ready == 0


def test_a_page_that_was_cut_from_a_larger_batch_is_only_itself(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=0)
    spool.append(batch(1, rows=1000).slice(10, 5))
    page = spool.page(0)
    assert page is not None
    assert page.num_rows == 5


def test_readers_beside_the_writer_see_whole_pages_only(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=2000)
    wrong: list[int] = []
    done = threading.Event()

    def read() -> None:
        seen = 0
        while not (done.is_set() and seen == spool.pages_ready):
            page = spool.page(seen)
            if page is None:
                continue
            if page != batch(seen):
                wrong.append(seen)
            seen += 1

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(200):
        spool.append(batch(number))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_close_under_readers_frees_the_file(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=0)
        for number in range(10):
            spool.append(batch(number))
        reader = threading.Thread(target=lambda s=spool: [s.page(n % 10) for n in range(100)])
        reader.start()
        spool.close()
        reader.join()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_limit_of_a_result(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path, total_bytes=5000)
    with pytest.raises(HeadwaterError) as raised:
        for number in range(50):
            spool.append(batch(number))
    assert raised.value.code is ErrorCode.EXCEEDED_RESULT_SIZE
    assert spool.bytes <= 5000
    assert spool.page(0) == batch(0)


def test_a_full_disk_fails_the_statement_and_nothing_else(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses the write with EFBIG."""
    spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=2000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(HeadwaterError) as raised:
            for number in range(100):
                spool.append(batch(number))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.code is ErrorCode.DISK_FULL
    whole = spool.pages_ready
    assert [spool.page(n) for n in range(whole)] == [batch(n) for n in range(whole)]
    spool.append(batch(whole))  # there is room again
    assert spool.page(whole) == batch(whole)


def test_the_reserve_is_left_to_the_metastore(tmp_path: Path) -> None:
    spool = ResultSpool(SCHEMA, tmp_path, memory_bytes=0, reserve_bytes=2**62)
    with pytest.raises(HeadwaterError) as raised:
        spool.append(batch(0))
    assert raised.value.code is ErrorCode.DISK_FULL
    spool.close()
