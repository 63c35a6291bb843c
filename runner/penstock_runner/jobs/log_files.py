"""The log of a task that keeps it out of the store: a file beside its outputs."""

from __future__ import annotations

import tempfile
import threading
from datetime import datetime
from typing import Any, BinaryIO, cast

from penstock_runner.jobs.protocol import Job
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import Storage

IN_MEMORY = 1 << 20


class LogFile:
    """Takes the lines of one attempt in place of the store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by `store`

    def emit(self, lines: list[list[Any]], task_id: str | None = None) -> None:  # noqa: ARG002
        """Write lines: number, instant, level, text, stream."""
        with self._lock:
            for _, at, level, text, *_ in lines:
                shown = at.isoformat() if isinstance(at, datetime) else at
                self._spool.write(f"{shown} {level} {text}\n".encode("utf-8", "replace"))

    def store(self, storage: Storage, job: Job) -> str:
        """Put the file into the storage; its address."""
        name = (job.namespace, job.flow_id, job.execution_id, str(job.task["id"]), job.taskrun_id)
        with self._lock, self._spool:
            self._spool.seek(0)
            uri = places.task_file(*name, f"attempt-{job.attempt}.log")
            return storage.put_stream(uri, cast("BinaryIO", self._spool))
