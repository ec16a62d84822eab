"""What a run on a cluster used, and how it is noticed that the cluster is gone."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from headwater.jobs.executors import Executors, executors_of, with_executors
from headwater.jobs.folder import AttemptFolder
from headwater.jobs.folders import EVENT_LOGS
from headwater.jobs.mastery import MasterWatch, masters_of

DATA = Path(__file__).parent / "data"


def test_masters_are_read_from_the_address_of_a_standalone_cluster_only() -> None:
    assert masters_of("spark://a:7077,b:7078") == ["a:7077", "b:7078"]
    assert masters_of("k8s://https://a:6443") == []
    assert masters_of("") == []


def test_a_cluster_is_lost_when_no_master_answers_for_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        watch = MasterWatch(["127.0.0.1:1", address], 0.4)
        watch.start()
        time.sleep(0.6)
        assert watch.lost == ""
        assert watch.verdict() == ""
    began = time.monotonic()
    assert address in watch.verdict()
    assert 0.3 < time.monotonic() - began < 5
    assert MasterWatch([], 0.1).verdict() == ""


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    made = AttemptFolder(tmp_path)
    (made.work / EVENT_LOGS).mkdir(parents=True)
    return made


def test_a_forged_event_log_makes_no_sum_smaller_and_fails_nothing(folder: AttemptFolder) -> None:
    logs = folder.work / EVENT_LOGS
    task = {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": 0,
        "Stage Attempt ID": 0,
        "Task Info": {"Launch Time": 5, "Finish Time": 1},
        "Task Metrics": {"Executor CPU Time": -(10**15)},
    }
    stage = {"Event": "SparkListenerStageSubmitted", "Stage Info": {"Stage ID": 0}}
    (logs / "a").write_text(json.dumps(stage) + "\n" + json.dumps(task) + "\n")
    (logs / "b").write_text('{"Event": "SparkListenerExecutorAdded", "Executor Info": 3}\n')
    (logs / "c").write_text('{"Event": "SparkListenerTaskEnd", "Task Info": []}\n')
    (logs / "d").symlink_to("/etc/passwd")
    assert executors_of(folder) == Executors()


def test_executors_are_added_to_what_the_driver_used() -> None:
    usage = {
        "vcpu_seconds": 10.0,
        "cpu_seconds": 3.0,
        "memory_gb_seconds": 5.0,
        "method": "cgroup2",
    }
    found = with_executors(usage, Executors(20.0, 8.0, 100, 50), 0.5)
    assert found == {
        "vcpu_seconds": 30.0,
        "cpu_seconds": 11.0,
        "memory_gb_seconds": 15.0,
        "bytes_read": 100,
        "bytes_written": 50,
        "method": "cgroup2+events",
    }
