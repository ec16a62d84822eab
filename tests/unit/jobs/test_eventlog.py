"""Spark's event log, read into stages: a real log of Spark 4.1, and what may be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headwater.jobs.eventlog import parse

LOG = (Path(__file__).parent / "data" / "eventlog.jsonl").read_text().splitlines()


def changed(kind: str, **changes: Any) -> list[str]:
    """The log with fields of the first task or stage event of a kind changed."""
    lines, done = [], False
    for line in LOG:
        event = json.loads(line)
        if event["Event"] == kind and not done:
            done = True
            for path, value in changes.items():
                place = event
                *parents, last = path.split("__")
                for name in parents:
                    place = place[name.replace("_", " ")]
                place[last.replace("_", " ")] = value
        lines.append(json.dumps(event))
    return lines


def test_a_real_log() -> None:
    found = parse(LOG)
    assert (found.name, found.spark, found.executors) == ("skewed", "4.1.4", 1)
    assert [(s.id, s.state, s.tasks, s.failed_tasks) for s in found.stages] == [
        (0, "complete", 4, 0),
        (1, "complete", 4, 0),
        (2, "complete", 1, 0),
    ]
    first, second, third = found.stages
    assert first.shuffle_write_bytes == second.shuffle_read_bytes == 393482
    assert second.shuffle_write_bytes == third.shuffle_read_bytes == 257
    assert 2 < second.skew < 3
    assert not second.skewed
    assert third.skew == 1.0
    assert found.spilled_bytes == 0
    assert sum(stage.run_seconds for stage in found.stages) < found.allocated_vcpu_seconds


def test_skew_and_spill_are_told() -> None:
    found = parse(
        changed(
            "SparkListenerTaskEnd",
            Task_Info__Launch_Time=0,
            Task_Metrics__Disk_Bytes_Spilled=7,
            Task_Metrics__Memory_Bytes_Spilled=9,
        )
    )
    assert found.stages[0].skewed
    assert (found.spilled_bytes, found.stages[0].memory_spilled_bytes) == (7, 9)


def test_a_failed_stage_says_why_in_one_line() -> None:
    found = parse(
        changed(
            "SparkListenerStageCompleted",
            Stage_Info__Failure_Reason="Job aborted\n\tat org.apache.spark",
        )
    )
    assert (found.stages[0].state, found.stages[0].failure) == ("failed", "Job aborted")


@pytest.mark.parametrize("lines", range(0, len(LOG) + 1, 3))
def test_the_log_of_a_killed_application_is_read_as_far_as_it_goes(lines: int) -> None:
    found = parse([*LOG[:lines], '{"Event":"SparkListenerTaskEnd","Stage'])
    assert len(found.stages) <= 3
    assert all(stage.state in ("complete", "running") for stage in found.stages)


def test_what_is_no_log_has_no_stages() -> None:
    found = parse([b"\xff\xfe", "[]", "1", '{"Event": 5}', '{"Event":"org.x.SomethingNew"}'])
    assert found.stages == ()
