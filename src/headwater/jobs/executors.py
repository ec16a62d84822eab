"""What a run's executors used elsewhere, by the event log that its driver left.

The run itself could have written the log: nothing in it makes a sum smaller, or fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.errors import HeadwaterError
from headwater.jobs.eventlog import Application, parse
from headwater.jobs.folder import AttemptFolder
from headwater.jobs.folders import event_logs, open_plain


@dataclass(frozen=True, slots=True)
class Executors:
    """Seconds of CPUs allocated and used, and bytes."""

    vcpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0


def executors_of(folder: AttemptFolder) -> Executors:
    """The sum over an attempt's logs; what cannot be read is left out."""
    found = Executors()
    for path in event_logs(folder):
        with contextlib.suppress(
            HeadwaterError, OSError, ArithmeticError, LookupError, TypeError, ValueError
        ):
            with open_plain(path) as file:
                application = parse(file)
            found = _sum(found, application)
    return found


def with_executors(
    usage: Mapping[str, Any], found: Executors, gb_per_core: float
) -> dict[str, Any]:
    """The usage of a driver's tree, and its executors'."""
    return {
        **usage,
        "vcpu_seconds": usage["vcpu_seconds"] + found.vcpu_seconds,
        "cpu_seconds": usage["cpu_seconds"] + found.cpu_seconds,
        "memory_gb_seconds": usage["memory_gb_seconds"] + found.vcpu_seconds * gb_per_core,
        "bytes_read": found.bytes_read,
        "bytes_written": found.bytes_written,
        "method": f"{usage['method']}+events",
    }


def _sum(one: Executors, application: Application) -> Executors:
    stages = application.stages
    return Executors(
        one.vcpu_seconds + max(0.0, application.allocated_vcpu_seconds),
        one.cpu_seconds + sum(max(0.0, stage.cpu_seconds) for stage in stages),
        one.bytes_read + sum(max(0, stage.input_bytes) for stage in stages),
        one.bytes_written + sum(max(0, stage.output_bytes) for stage in stages),
    )
