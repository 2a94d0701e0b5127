"""A cursor: the id of the last event that was shown, in a file, so that the next run goes on behind it.

It is written to a file beside it, synced, and renamed: whatever happens, the file holds one whole id, the old one or
the new one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Cursor:
    """The file.

    Parameters:
        path: Where it is. It need not exist.

    Raises:
        OSError: It cannot be read, or nothing can be written beside it.
        ValueError: It holds something else than an id.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))  # a rename would replace a link
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            text = self._path.read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            text = ""
        if "\n" in text or "\r" in text or "\0" in text:
            raise ValueError("it holds something else than the id of an event, which is one line")
        self.event_id = text
        self._write(text)  # tells now, and not after the first event, that it cannot be written
        self._temporary.unlink()

    def keep(self, event_id: str) -> None:
        """Keep this id, if it is another one than before."""
        if event_id == self.event_id:
            return
        self._write(event_id)
        self._temporary.replace(self._path)
        with contextlib.suppress(OSError):  # not every system can sync a directory
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        self.event_id = event_id

    def _write(self, event_id: str) -> None:
        with self._temporary.open("w", encoding="utf-8") as file:
            file.write(f"{event_id}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            self._temporary.chmod(self._path.stat().st_mode & 0o777)
