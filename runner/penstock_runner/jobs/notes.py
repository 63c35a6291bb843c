"""What an attempt leaves for people who look at the execution: annotations and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.jobs.context import JobContext
from penstock_runner.jobs.protocol import Job
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import Storage


def notes_of(context: JobContext, storage: Storage, job: Job) -> Mapping[str, Any] | None:
    """Annotations as they are and the address of the summary; None when there is neither."""
    found: dict[str, Any] = {}
    if annotations := context.annotations:
        found["annotations"] = annotations
    if summary := context.summary:
        name = (job.namespace, job.flow_id, job.execution_id, str(job.task["id"]), job.taskrun_id)
        uri = places.task_file(*name, f"summary-{job.attempt}.md")
        found["summary"] = storage.put_bytes(uri, summary.encode("utf-8", "replace"))
    return found or None
