"""What a process used: counters that move with the work, and a profile's scans."""

from __future__ import annotations

import json
from pathlib import Path

from headwater.engines.duckdb.metering import Meter, Profile, memory_bytes, peak_memory_bytes


def test_a_statement_that_does_nothing_reads_nothing() -> None:
    assert Meter.start().read_since() == 0


def test_reads_count_and_caches_do_not_hide_them(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    meter = Meter.start()
    path.read_bytes()
    path.read_bytes()
    assert 200_000 <= meter.read_since() < 210_000


def test_processor_time_and_peak_memory_start_anew() -> None:
    meter = Meter.start()
    block = bytearray(b"x") * 80_000_000
    assert sum(block[:1_000_000]) > 0
    assert meter.cpu_since() > 0
    high = peak_memory_bytes()
    assert high > memory_bytes() - 1_000_000
    del block
    Meter.start()
    assert peak_memory_bytes() < high - 50_000_000


def test_a_profile_sums_over_its_scans() -> None:
    scan = {"operator_type": "TABLE_SCAN", "operator_rows_scanned": 5, "children": []}
    join = {"operator_type": "HASH_JOIN", "operator_rows_scanned": 99, "children": [scan, scan]}
    assert Profile.parse(json.dumps({"total_bytes_read": 7, "children": [join]})) == Profile(10, 7)
    assert Profile.parse("") == Profile()
