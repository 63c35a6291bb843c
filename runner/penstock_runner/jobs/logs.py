"""The log of one job: numbered, masked, batched lines on their way to core.

Lines are numbered from 1 in the order in which they are added, so that sending one twice stores it
once. They wait for 64 KiB or for `flush`, which the owner calls every 200 ms and before the report,
and are masked together: that is much quicker than line by line.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.flow.model import Level
from penstock_runner.jobs.masking import Masker

BATCH = 64 * 1024
FLUSH_SECONDS = 0.2
LONGEST_MESSAGE = 10_240
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
RANK = {level: rank for rank, level in enumerate(Level)}

Emit = Callable[[list[list[Any]], "str | None"], None]


class LogBook:
    """Takes lines from the job's thread; `flush` may come from another."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        masker: Masker,
        emit: Emit,
        least: Level = Level.TRACE,
        first: int = 1,
    ) -> None:
        self._now = now
        self._masker = masker
        self._emit = emit
        self._least = RANK[least]
        self._lock = threading.Lock()
        self._lines: list[list[Any]] = []
        self._size = 0
        self._next = first
        self._speaker: str | None = None

    @property
    def last(self) -> int:
        """The number of the last line so far, 0 before the first."""
        return self._next - 1

    def say(self, level: Level, message: str) -> None:
        """A message of a task; a very long one becomes several lines, a millisecond apart."""
        if RANK[level] < self._least:
            return
        text = self._masker.mask(storable(message))
        at = self._now()
        for start in range(0, max(len(text), 1), LONGEST_MESSAGE):
            part = text[start : start + LONGEST_MESSAGE]
            self._put(at + timedelta(milliseconds=start // LONGEST_MESSAGE), level, part, "")

    def now(self) -> datetime:
        """The present, for lines that arrive together."""
        return self._now()

    def line(self, at: datetime, level: Level, text: str, stream: str) -> None:
        """One line of a process, as it is."""
        if RANK[level] >= self._least:
            if "\x1b" in text and self._masker.hides(bare := _COLOUR.sub("", text)):
                text = bare  # a secret that changes its colour in the middle is one all the same
            self._put(at, level, text, stream)

    def speak_as(self, task_id: str | None) -> None:
        """The lines from now on are those of a child of the job's task."""
        self.flush()
        self._speaker = task_id

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
            if lines:
                self._send(lines)

    def _put(self, at: datetime, level: Level, text: str, stream: str) -> None:
        with self._lock:
            self._lines.append([self._next, at, level.value, text, stream])
            self._next += 1
            self._size += len(text) + 40
            if self._size < BATCH:
                return
            lines, self._lines, self._size = self._lines, [], 0
            self._send(lines)

    def _send(self, lines: list[list[Any]]) -> None:
        texts = [line[3] for line in lines]
        shown = self._masker.mask_lines(texts)
        if shown is not texts:
            lines = [[*line[:3], text, *line[4:]] for line, text in zip(lines, shown, strict=True)]
        self._emit(lines, self._speaker)


def storable(text: str) -> str:
    """The text without what no store takes: NUL characters and halves of surrogate pairs."""
    text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
