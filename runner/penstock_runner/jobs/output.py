"""The output of a process, line by line: to the log, or into outputs, metrics, annotations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from penstock_runner.flow.model import Level
from penstock_runner.jobs import utterances
from penstock_runner.jobs.lines import LineCutter, tidy
from penstock_runner.jobs.logs import LogBook
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.settings import Limits

INSTEAD = {"set-env": "$PENSTOCK_ENV", "add-path": "$PENSTOCK_PATH"}
KEPT_ANNOTATIONS = 50
LONGEST_ANNOTATION = 4096
TAIL = 1024 * 1024
LEVELS = {"stdout": Level.INFO, "stderr": Level.ERROR}
SPOKEN_LEVELS = {
    "error": Level.ERROR,
    "warning": Level.WARN,
    "notice": Level.INFO,
    "debug": Level.DEBUG,
}
NAMED_LEVELS = {
    "WARNING": Level.WARN,
    "FATAL": Level.ERROR,
    **{level.value: level for level in Level},
}

MetricSink = Callable[[str, str, float, Mapping[str, str]], None]


class JobOutput:
    """Implements `Sink` for one process; what it has learned is in its attributes."""

    def __init__(self, *, log: LogBook, masker: Masker, limits: Limits, metric: MetricSink) -> None:
        self.vars: dict[str, Any] = {}
        self.counts = {"stdout": 0, "stderr": 0}
        self.annotations: list[dict[str, str]] = []
        self.faults: list[str] = []
        self._log = log
        self._masker = masker
        self._limits = limits
        self._metric = metric
        self._cutters = {
            stream: LineCutter(longest=limits.line_bytes, held=masker.held) for stream in LEVELS
        }
        self._resume: str | None = None
        self._bytes = 0
        self._tail: deque[tuple[datetime, Level, str, str]] = deque()
        self._tail_bytes = 0
        self._left_out = 0

    def feed(self, stream: str, chunk: bytes) -> None:
        """Bytes as they came."""
        self._take(stream, self._cutters[stream].feed(chunk))

    def quiet(self) -> None:
        """Show a line that has been waiting for its end, a prompt for instance."""
        for stream, cutter in self._cutters.items():
            self._take(stream, cutter.quiet())

    def note(self, text: str) -> None:
        """Warn in the log; no line of the process."""
        self._log.say(Level.WARN, text)

    def close(self) -> None:
        """Show the last lines, and the end of a log that was cut."""
        for stream, cutter in self._cutters.items():
            self._take(stream, cutter.close())
        if self._left_out:
            self._log.say(
                Level.WARN,
                f"The output is over {self._limits.log_bytes} bytes: {self._left_out} lines are "
                "left out here; write large output to a file and name it in outputFiles",
            )
        while self._tail:
            self._log.line(*self._tail.popleft())

    def add_outputs(self, values: Mapping[str, object]) -> None:
        """Merge outputs, within the limit of their size."""
        merged = {**self.vars, **values}
        size = len(orjson.dumps(merged, default=str, option=orjson.OPT_NON_STR_KEYS))
        if size > self._limits.output_bytes:
            self.faults.append(
                f"The outputs are {size} bytes, {self._limits.output_bytes} are allowed; "
                "write large data to a file and name it in outputFiles"
            )
            return
        self.vars = merged

    def _take(self, stream: str, lines: Iterable[str]) -> None:
        at = self._log.now()
        for line in lines:
            self.counts[stream] += 1
            if line.startswith("::") and self._spoken(line):
                continue
            self._plain(at, LEVELS[stream], tidy(line), stream)

    def _plain(self, at: datetime, level: Level, text: str, stream: str) -> None:
        self._bytes += len(text) + 1
        if self._bytes <= self._limits.log_bytes - TAIL:
            self._log.line(at, level, text, stream)
            return
        self._tail.append((at, level, text, stream))
        self._tail_bytes += len(text) + 1
        while self._tail_bytes > TAIL and len(self._tail) > 1:
            _, _, dropped, _ = self._tail.popleft()
            self._tail_bytes -= len(dropped) + 1
            self._left_out += 1

    def _spoken(self, line: str) -> bool:
        """Whether the line was no line for the log."""
        line = line.rstrip("\r")
        if self._resume is not None:
            if line == f"::{self._resume}::":
                self._resume = None
                return True
            return False
        try:
            message = utterances.read_message(line)
        except utterances.NotAMessage as error:
            self._log.say(Level.WARN, f"Invalid outputs '{line}': {error}")
            return True
        if message is not None:
            self._heed_message(message, line)
            return True
        said = utterances.read_command(line)
        return said is not None and self._heed_command(said)

    def _heed_message(self, message: Mapping[str, Any], line: str) -> None:
        outputs, metrics, logs = (message.get(key) for key in ("outputs", "metrics", "logs"))
        if isinstance(outputs, Mapping):
            self.add_outputs(outputs)
        elif outputs is not None:
            self._log.say(Level.WARN, f"Invalid outputs '{line}': outputs must be a map")
        for metric in metrics if isinstance(metrics, list) else ():
            self._heed_metric(metric, line)
        for entry in logs if isinstance(logs, list) else ():
            if isinstance(entry, Mapping) and entry.get("message") is not None:
                level = NAMED_LEVELS.get(str(entry.get("level", "INFO")).upper(), Level.INFO)
                self._log.say(level, str(entry["message"]))

    def _heed_metric(self, metric: Any, line: str) -> None:
        try:
            kind, name, value = str(metric["type"]).lower(), str(metric["name"]), metric["value"]
            tags = {str(key): str(tag) for key, tag in (metric.get("tags") or {}).items()}
            if kind not in {"counter", "gauge", "timer"}:
                raise ValueError(f"{kind} is no counter, gauge or timer")
            self._metric(name, kind, float(value), tags)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._log.say(Level.WARN, f"Invalid metric in '{line}': {error}")

    def _heed_command(self, said: utterances.Said) -> bool:
        if said.name in SPOKEN_LEVELS:
            if said.name != "debug" and len(self.annotations) < KEPT_ANNOTATIONS:
                told = {**said.parameters, "level": said.name, "message": said.text}
                self.annotations.append(
                    {key: self._masker.mask(v)[:LONGEST_ANNOTATION] for key, v in told.items()}
                )
            self._log.say(SPOKEN_LEVELS[said.name], _placed(said))
        elif said.name == "add-mask":
            self._masker.add(said.text)
        elif said.name == "stop-commands" and said.text:
            self._resume = said.text
        elif said.name in utterances.REFUSED:
            self._log.say(
                Level.WARN, f"::{said.name}:: is refused: write to {INSTEAD[said.name]} instead"
            )
        else:
            return False
        return True


def _placed(said: utterances.Said) -> str:
    place = ":".join(
        said.parameters[key] for key in ("file", "line", "col") if said.parameters.get(key)
    )
    title = said.parameters.get("title")
    words = f"{title}: {said.text}" if title else said.text
    return f"{place}: {words}" if place else words
