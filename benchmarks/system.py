"""What the operating system, which is Linux, says of a process and of the machine."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident() -> int:
    """The memory of this process, in bytes."""
    return int(_STATM.read_text().split()[1]) * _PAGE


def forget_peak() -> None:
    """Let the peak be that of what is done from now on."""
    _CLEAR.write_text("5")


def peak() -> int:
    """The most memory that this process had since `forget_peak`, in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def allow_many_files() -> None:
    """Raise the limit of open files, and with it that of connections, as far as it may be raised."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "CPU": models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "operating system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
