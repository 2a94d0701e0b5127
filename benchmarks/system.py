"""What Linux reports about a process and the machine."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")
_ROLLUP = Path("/proc/self/smaps_rollup")
_CLEAR = Path("/proc/self/clear_refs")
_SPARE_FILES = 500


def private() -> int:
    """The memory that only this process uses (its USS), in bytes."""
    return 1024 * (_kilobytes(_ROLLUP, "Private_Clean") + _kilobytes(_ROLLUP, "Private_Dirty"))


def resident() -> int:
    """The memory of this process (its RSS), in bytes."""
    return 1024 * _kilobytes(_STATUS, "VmRSS")


def forget_peak() -> None:
    """Start measuring the peak anew."""
    _CLEAR.write_text("5")


def peak() -> int:
    """The highest RSS of this process since `forget_peak`, in bytes."""
    return 1024 * _kilobytes(_STATUS, "VmHWM")


def _kilobytes(path: Path, name: str) -> int:
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def allow_many_files() -> None:
    """Raise the limit of open files, and with it that of connections, to the highest allowed."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


def most_streams() -> int:
    """How many streams a process may have open at the same time."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 30) if highest == resource.RLIM_INFINITY else max(1, highest - _SPARE_FILES)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "CPU": models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "operating system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
