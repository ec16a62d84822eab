"""The ladder of measuring: each rung counts what a tree with a daemon used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headwater.runtimes.sandbox.cgroups import Hierarchies, Leaf, hierarchies

BURN = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:      # a daemon: its parent is gone
        burn(0.4)
    os._exit(0)
burn(0.3)
time.sleep(1.0)
"""

METER = """
import ctypes, json, os, subprocess, sys, time
from headwater.runtimes.sandbox.cgroups import Hierarchies, Leaf, hierarchies
from headwater.jobs.metering import Meter
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
found = hierarchies()
within = {"cgroup2": found, "cgroup1": Hierarchies(None, found.v1), "sampled": Hierarchies()}
leaf = Leaf.create(f"headwater-test-{os.getpid()}", within=within[sys.argv[1]])
meter = Meter(leaf, 2.0)
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], preexec_fn=leaf.enter)
while child.poll() is None:
    meter.sample()
    time.sleep(0.05)
try:
    while os.waitpid(-1, 0): pass
except ChildProcessError: pass
sample = meter.sample()
leaf.remove()
print(json.dumps(sample.as_json()))
"""


@pytest.mark.parametrize("rung", ["cgroup2", "cgroup1", "sampled"])
def test_each_rung_counts_daemons_too(rung: str) -> None:
    found = hierarchies()
    if (rung == "cgroup2" and found.v2 is None) or (rung == "cgroup1" and not found.v1):
        pytest.skip(f"no {rung} that this process may write to")
    done = subprocess.run(
        [sys.executable, "-c", METER, rung, BURN], capture_output=True, text=True, check=True
    )
    sample = json.loads(done.stdout)
    assert sample["method"] == rung
    assert 0.65 <= sample["cpu_seconds"] <= 2.0
    assert sample["vcpu_seconds"] == pytest.approx(2 * sample["wall_seconds"])
    assert 2**20 < sample["peak_memory_bytes"] < 2**29
    assert sample["memory_gb_seconds"] > 0


def test_a_leaf_ends_what_hides_from_its_parent(tmp_path: Path) -> None:
    leaf = Leaf.create(f"headwater-test-{os.getpid()}-kill")
    if not leaf.exists:
        pytest.skip("no control group that this process may make")
    pid_file = tmp_path / "pid"
    script = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(pid_file)!r}, "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
    child = subprocess.Popen([sys.executable, "-c", script], preexec_fn=leaf.enter)
    while not pid_file.exists() or not pid_file.read_text():
        time.sleep(0.02)
    assert len(leaf.members()) == 2
    assert leaf.kill()
    child.wait(10)
    assert not leaf.members()
    assert Leaf.find(leaf.name).exists
    leaf.remove()
    assert not Leaf.find(leaf.name).exists


def test_without_any_hierarchy_there_is_nothing_and_nothing_fails() -> None:
    leaf = Leaf.create("x", memory_bytes=1, tasks=1, within=Hierarchies())
    assert (leaf.exists, leaf.method, leaf.cpu_seconds(), leaf.memory_bytes()) == (
        False, "", None, None,
    )  # fmt: skip
    leaf.enter()
    assert leaf.kill()
    leaf.remove()


def test_hierarchies_are_read_from_a_pure_v2_machine(tmp_path: Path) -> None:
    group = tmp_path / "mount" / "user.slice"
    group.mkdir(parents=True)
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(
        f"30 23 0:26 / {tmp_path / 'mount'} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
    )
    (proc / "cgroup").write_text("0::/user.slice\n")
    assert hierarchies(proc) == Hierarchies(group, {})
