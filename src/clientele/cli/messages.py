"""What a command says beside its output: on stderr, in one line each, without secrets and control characters.

While a live line stands on a terminal, messages appear above it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from .json_text import escaped, write

_WORDS = {  # options of the library that its messages name, and those of the command line
    "(idle_timeout)": "(--idle-timeout)",
    "(timeout)": "(--timeout)",
    "larger than max_event_size": "larger than --max-event-size",
    "give the endpoint a larger max_event_size=": "say a larger --max-event-size",
    "that until=": "that --until ",
    "; if that ends the stream, declare it with until=": "; if that ends the stream, say --until",
}


class Secrets:
    """Texts that are shown nowhere.

    Attributes:
        spellings: How they may be written: as they are, in a URL, in JSON; the longest first.
    """

    def __init__(self, *secrets: str | None) -> None:
        spellings = {
            each for secret in secrets if secret for each in (secret, quote(secret, safe=""), write(secret)[1:-1])
        }
        self.spellings = sorted(spellings, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without them."""
        for each in self.spellings:
            text = text.replace(each, "REDACTED")
        return text

    def hide_in_bytes(self, data: bytes) -> bytes:
        """The data without them."""
        for each in self.spellings:
            data = data.replace(each.encode(), b"REDACTED")
        return data


class Messages:
    """Tells things on stderr.

    Parameters:
        command: Its name, which each message begins with.
        secrets: What is left out.

    Attributes:
        above: What prints a line above a live line, while there is one.
        hears_log: Whether the library's warnings are told, too.
    """

    above: Callable[[str], None] | None = None
    hears_log = True

    def __init__(self, command: str, secrets: Secrets | None = None) -> None:
        self._command = command
        self._secrets = secrets or Secrets()

    def tell(self, message: str) -> None:
        """Tell it."""
        for words, ours in _WORDS.items():
            message = message.replace(words, ours)
        line = f"clientele {self._command}: {escaped(self._secrets.hide(message))}"
        if self.above is not None and sys.stderr.isatty():
            self.above(line)
        else:
            with contextlib.suppress(BrokenPipeError):  # nobody reads it; the exit code says the rest
                print(line, file=sys.stderr, flush=True)

    @contextmanager
    def with_log(self) -> Iterator[None]:
        """Tell the library's warnings, too, meanwhile."""
        handler = _Handler(self)
        logger = logging.getLogger("clientele")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, messages: Messages) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        if self._messages.hears_log:
            self._messages.tell(record.getMessage())
