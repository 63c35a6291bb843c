"""The tables, as SQLAlchemy Core values; migrations make them, `hot` writes the busy ones.

Instants are whole microseconds since 1970 in UTC (`Instant`), JSON is text written by orjson
(`Json`): both are the same on SQLite and PostgreSQL, and cost nothing to bind. What is searched has
a column; the rest of an execution or a task run is one JSON `body` (see `bodies`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Rows that were made together have their instants in common.
_REMEMBERED = 256


def to_micros(at: datetime) -> int:
    """Microseconds since 1970; a naive datetime is a fault of the caller."""
    if at.tzinfo is UTC:
        return _utc_micros(at)
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone")
    return (at - EPOCH) // MICROSECOND


# Not for other zones: there the two hours in which clocks are set back are equal to each other.
@lru_cache(maxsize=_REMEMBERED)
def _utc_micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=_REMEMBERED)
def from_micros(micros: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """Plain data, kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return (
            None if value is None else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        )

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """From the database."""
        return None if value is None else orjson.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def ascii_ordered(length: int | None = None) -> TypeEngine[str]:
    """Text that both databases compare and sort byte by byte, whatever the database's locale.

    Ids sort by time only in that order, and lists are to look alike on both.
    """
    kind = String if length is not None else Text
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


# An AUTOINCREMENT-like key that both databases number by themselves.
Serial = BigInteger().with_variant(Integer, "sqlite")

flows = Table(
    "flows",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("id", ascii_ordered(100), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("override", Json),  # a person's {disabled, by, at, until}: survives syncs
    Column("description", Text),
    Column("labels", Json),
    Column("managed_by", ascii_ordered(63)),
    Column("drifted", Boolean, nullable=False, default=False),
    Column("digest", ascii_ordered(64), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("held", Json),  # {revision, by, at, until, reason}: gone back to, syncs leave it alone
    PrimaryKeyConstraint("namespace", "id"),
    Index("ix_flows_managed_by", "managed_by"),
)

flow_revisions = Table(
    "flow_revisions",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("id", ascii_ordered(100), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", ascii_ordered(64), nullable=False),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("created_at", Instant, nullable=False),
    Column("saved_by", ascii_ordered(200)),
    Column("saved_via", ascii_ordered(20), nullable=False),  # git, ui, api, ci, task, watch
    Column("source_id", ascii_ordered(63)),
    Column("commit_sha", ascii_ordered(64)),
    Column("commit_author", ascii_ordered(200)),
    Column("commit_email", ascii_ordered(200)),
    Column("commit_time", Instant),
    Column("commit_subject", ascii_ordered(200)),
    Column("git_path", Text),
    Column("git_blob", ascii_ordered(64)),
    Column("git_ref", ascii_ordered(250)),
    Column("sync_run_id", ascii_ordered(26)),
    PrimaryKeyConstraint("namespace", "id", "revision"),
)

executions = Table(
    "executions",
    metadata,
    Column("id", ascii_ordered(22), primary_key=True),
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("flow_revision", Integer, nullable=False),
    Column("state", ascii_ordered(10), nullable=False),
    Column("shard", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("updated_at", Instant, nullable=False),
    Column("trigger_id", ascii_ordered(256)),
    Column("trigger_execution_id", ascii_ordered(22)),
    Column("parent_id", ascii_ordered(22)),
    Column("original_id", ascii_ordered(22)),
    Column("schedule_date", Instant),
    Column("commit_sha", ascii_ordered(64)),
    Column("kind", ascii_ordered(10)),
    Column("body", Text, nullable=False),
    Column("concurrency_group", Text),
    Index("ix_executions_flow", "namespace", "flow_id", "id"),
    Index("ix_executions_state", "state", "id"),
    Index(
        "ix_executions_trigger_execution",
        "trigger_execution_id",
        sqlite_where=text("trigger_execution_id IS NOT NULL"),
        postgresql_where=text("trigger_execution_id IS NOT NULL"),
    ),
    # Concurrency limits and the recovery at start ask only for these few.
    Index(
        "ix_executions_open",
        "namespace",
        "flow_id",
        "state",
        "id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(
        "ix_executions_group",
        "namespace",
        "concurrency_group",
        sqlite_where=text("concurrency_group IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=text("concurrency_group IS NOT NULL AND ended_at IS NULL"),
    ),
)

execution_labels = Table(
    "execution_labels",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("key", ascii_ordered(128), nullable=False),
    Column("value", ascii_ordered(1024), nullable=False),
    PrimaryKeyConstraint("execution_id", "key"),
    Index("ix_execution_labels_key_value", "key", "value", "execution_id"),
    sqlite_with_rowid=False,
)

task_runs = Table(
    "task_runs",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("key", ascii_ordered(), nullable=False),
    Column("task_id", ascii_ordered(256), nullable=False),
    Column("place", Integer, nullable=False),
    Column("state", ascii_ordered(10), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("execution_id", "key"),
)

execution_events = Table(
    "execution_events",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("execution_id", "version"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("key", ascii_ordered(), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("task_id", ascii_ordered(256), nullable=False),
    Column("purpose", ascii_ordered(40), nullable=False, default=""),
    Column("required", Json),
    Column("runner", ascii_ordered(100)),
    Column("created_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("protected", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("execution_id", "key", "attempt"),
    sqlite_with_rowid=False,
)

timers = Table(
    "timers",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("key", ascii_ordered(), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", ascii_ordered(40), nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("execution_id", "key", "attempt", "purpose"),
    Index("ix_timers_at", "at"),
    sqlite_with_rowid=False,
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("body", Json, nullable=False),
    sqlite_autoincrement=True,  # who has read a number must not meet it again
)

logs = Table(
    "logs",
    metadata,
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("n", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", Integer, nullable=False),  # the position in flow.model.Level
    Column("message", Text, nullable=False),
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("task_id", ascii_ordered(256)),
    Column("taskrun_id", ascii_ordered(22)),
    Column("attempt", Integer),
    Column("trigger_id", ascii_ordered(256)),
    Column("stream", ascii_ordered(6)),
    PrimaryKeyConstraint("execution_id", "n"),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("taskrun_id", ascii_ordered(22), nullable=False),
    Column("task_id", ascii_ordered(256), nullable=False),
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("at", Instant, nullable=False),
    Column("name", ascii_ordered(200), nullable=False),
    Column("kind", ascii_ordered(10), nullable=False),
    Column("value", Float, nullable=False),
    Column("tags", Json),
    Index("ix_metrics_execution", "execution_id"),
    Index("ix_metrics_flow", "namespace", "flow_id", "name", "at"),
)

kv = Table(
    "kv",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("key", ascii_ordered(256), nullable=False),
    Column("type", ascii_ordered(10), nullable=False),
    Column("value", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("expires_at", Instant),
    PrimaryKeyConstraint("namespace", "key"),
)

templates = Table(
    "templates",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("id", ascii_ordered(100), nullable=False),
    Column("source", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("namespace", "id"),
)

triggers = Table(
    "triggers",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("trigger_id", ascii_ordered(256), nullable=False),
    Column("type", ascii_ordered(250), nullable=False),
    Column(
        "digest", ascii_ordered(64), nullable=False
    ),  # of the trigger as written: a change re-initialises
    Column("last_date", Instant),
    Column("next_date", Instant),
    Column("execution_id", ascii_ordered(22)),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("backfill", Json),
    Column("body", Json),
    Column("evaluated_at", Instant),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("namespace", "flow_id", "trigger_id"),
    Index("ix_triggers_next_date", "next_date"),
    Index("ix_triggers_execution", "execution_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", ascii_ordered(200), primary_key=True),
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_idempotency_execution", "execution_id"),
)

runners = Table(
    "runners",
    metadata,
    Column("name", ascii_ordered(100), primary_key=True),
    Column("labels", Json, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False, default=0),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("namespaces", Json),
    Column("protected", Boolean, nullable=False, server_default=false()),
)

git_sources = Table(
    "git_sources",
    metadata,
    Column("id", ascii_ordered(63), primary_key=True),
    Column("url", Text, nullable=False),
    Column("ref_kind", ascii_ordered(10), nullable=False),
    Column("ref", ascii_ordered(250), nullable=False),
    Column("path", Text, nullable=False, default=""),
    Column("config", Json, nullable=False),
    Column("config_digest", ascii_ordered(64), nullable=False),
    Column("origin", ascii_ordered(10), nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("pinned_commit", ascii_ordered(64)),
    Column("pinned_by", ascii_ordered(200)),
    Column("pinned_reason", Text),
    Column("pinned_until", Instant),
    Column("observed_commit", ascii_ordered(64)),
    Column("observed_at", Instant),
    Column("observed_ref", ascii_ordered(250)),
    Column("applied_commit", ascii_ordered(64)),
    Column("applied_at", Instant),
    Column("applied_run_id", ascii_ordered(26)),
    Column("failed_commit", ascii_ordered(64)),
    Column("next_poll_at", Instant),
    Column("failures", Integer, nullable=False, default=0),
    Column("status", ascii_ordered(12), nullable=False, default="Unknown"),
    Column("conditions", Json),
    Column("webhook_at", Instant),
    Column("updated_at", Instant, nullable=False),
    Column("behind", Integer, nullable=False, default=0, server_default="0"),
)

declared_sources = Table(
    "declared_sources",
    metadata,
    Column("id", ascii_ordered(63), primary_key=True),
    Column("settings", Json, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", ascii_ordered(200)),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", ascii_ordered(26), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", ascii_ordered(200)),
    Column("action", ascii_ordered(40), nullable=False),
    Column("subject", ascii_ordered(300), nullable=False),
    Column("details", Json),
    Index("ix_audit_events_at", "at"),
    Index("ix_audit_events_subject", "subject", "at"),
)

git_commits = Table(
    "git_commits",
    metadata,
    Column("source_id", ascii_ordered(63), nullable=False),
    Column("sha", ascii_ordered(64), nullable=False),
    Column("parents", Json),
    Column("author_name", ascii_ordered(200)),
    Column("author_email", ascii_ordered(200)),
    Column("author_time", Instant),
    Column("committer_time", Instant),
    Column("subject", ascii_ordered(200)),
    Column("message", Text),
    PrimaryKeyConstraint("source_id", "sha"),
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", ascii_ordered(26), primary_key=True),
    Column("source_id", ascii_ordered(63), nullable=False),
    Column("trigger", ascii_ordered(10), nullable=False),
    Column("actor", ascii_ordered(200)),
    Column("from_commit", ascii_ordered(64)),
    Column("to_commit", ascii_ordered(64)),
    Column("phase", ascii_ordered(12), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("counts", Json),
    Column("errors", Json),
    Column("dry_run", Boolean, nullable=False, default=False),
    Column("delivery_id", ascii_ordered(100)),
    Column("plan_digest", ascii_ordered(64)),
    Column("history_rewritten", Boolean, nullable=False, default=False),
    Column("warnings", Json),
    Index("ix_sync_runs_source", "source_id", "id"),
)

sync_items = Table(
    "sync_items",
    metadata,
    Column("run_id", ascii_ordered(26), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", ascii_ordered(5), nullable=False),
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("name", Text, nullable=False),
    Column("path", Text),
    Column("blob", ascii_ordered(64)),
    Column("action", ascii_ordered(14), nullable=False),
    Column("from_revision", Integer),
    Column("to_revision", Integer),
    Column("commit_sha", ascii_ordered(64)),
    PrimaryKeyConstraint("run_id", "place"),
)

manifests = Table(
    "manifests",
    metadata,
    Column("source_id", ascii_ordered(63), nullable=False),
    Column("commit_sha", ascii_ordered(64), nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("entries", Text, nullable=False),  # JSON, zlib, base64
    PrimaryKeyConstraint("source_id", "commit_sha"),
)

namespace_files = Table(
    "namespace_files",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", ascii_ordered(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("executable", Boolean, nullable=False, default=False),
    Column("managed_by", ascii_ordered(63)),
    Column("commit_sha", ascii_ordered(64)),
    Column("git_path", Text),
    Column("git_blob", ascii_ordered(64)),
    Column("sync_run_id", ascii_ordered(26)),
    Column("modified", Instant, nullable=False),
    PrimaryKeyConstraint("namespace", "path"),
    Index("ix_namespace_files_managed_by", "managed_by"),
)

test_suites = Table(
    "test_suites",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("id", ascii_ordered(100), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", ascii_ordered(64), nullable=False),
    Column("managed_by", ascii_ordered(63)),
    Column("commit_sha", ascii_ordered(64)),
    Column("git_path", Text),
    Column("git_blob", ascii_ordered(64)),
    Column("sync_run_id", ascii_ordered(26)),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("namespace", "id"),
    Index("ix_test_suites_flow", "namespace", "flow_id"),
    Index("ix_test_suites_managed_by", "managed_by"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("source_id", ascii_ordered(63), nullable=False),
    Column("delivery_id", ascii_ordered(100), nullable=False),
    Column("forge", ascii_ordered(20), nullable=False),
    Column("event", ascii_ordered(50), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("verdict", ascii_ordered(20), nullable=False),
    PrimaryKeyConstraint("source_id", "delivery_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("kind", ascii_ordered(20), nullable=False),
    Column("body", Json, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Index("ix_outbox_next_at", "next_at"),
    sqlite_autoincrement=True,
)

push_fires = Table(
    "push_fires",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("trigger_id", ascii_ordered(256), nullable=False),
    Column("source_id", ascii_ordered(63), nullable=False),
    Column("commit_sha", ascii_ordered(64), nullable=False),
    Column("execution_id", ascii_ordered(22), nullable=False),
    PrimaryKeyConstraint("namespace", "flow_id", "trigger_id", "source_id", "commit_sha"),
)

flow_fires = Table(
    "flow_fires",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("trigger_id", ascii_ordered(256), nullable=False),
    Column("upstream_id", ascii_ordered(22), nullable=False),
    Column("place", Integer, nullable=False),  # of the state in the upstream's history
    Column("execution_id", ascii_ordered(22), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("start", Json),  # until it has been started
    PrimaryKeyConstraint("namespace", "flow_id", "trigger_id", "upstream_id", "place"),
    Index("ix_flow_fires_created_at", "created_at"),
)

trigger_windows = Table(
    "trigger_windows",
    metadata,
    Column("namespace", ascii_ordered(150), nullable=False),
    Column("flow_id", ascii_ordered(100), nullable=False),
    Column("condition_id", ascii_ordered(256), nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("held", Json, nullable=False),
    PrimaryKeyConstraint("namespace", "flow_id", "condition_id"),
    Index("ix_trigger_windows_end_at", "end_at"),
)

# Where files of executions are that are deleted already.
leftovers = Table(
    "leftovers",
    metadata,
    Column("prefix", ascii_ordered(500), primary_key=True),
    Column("since", Instant, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", ascii_ordered(100), primary_key=True),
    Column("value", Json, nullable=False),
)
