"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def ascii_ordered(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String if length is not None else sa.Text
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "execution_events",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "version", name=op.f("pk_execution_events")),
    )
    op.create_table(
        "execution_labels",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("key", ascii_ordered(128), nullable=False),
        sa.Column("value", ascii_ordered(1024), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "key", name=op.f("pk_execution_labels")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_execution_labels_key_value",
        "execution_labels",
        ["key", "value", "execution_id"],
        unique=False,
    )
    op.create_table(
        "executions",
        sa.Column("id", ascii_ordered(22), nullable=False),
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("flow_revision", sa.Integer(), nullable=False),
        sa.Column("state", ascii_ordered(10), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("trigger_id", ascii_ordered(256), nullable=True),
        sa.Column("trigger_execution_id", ascii_ordered(22), nullable=True),
        sa.Column("parent_id", ascii_ordered(22), nullable=True),
        sa.Column("original_id", ascii_ordered(22), nullable=True),
        sa.Column("schedule_date", sa.BigInteger(), nullable=True),
        sa.Column("commit_sha", ascii_ordered(64), nullable=True),
        sa.Column("kind", ascii_ordered(10), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
    )
    op.create_index(
        "ix_executions_flow", "executions", ["namespace", "flow_id", "id"], unique=False
    )
    op.create_index(
        "ix_executions_open",
        "executions",
        ["namespace", "flow_id", "state", "id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_executions_state", "executions", ["state", "id"], unique=False)
    op.create_index(
        "ix_executions_trigger_execution",
        "executions",
        ["trigger_execution_id"],
        unique=False,
        sqlite_where=sa.text("trigger_execution_id IS NOT NULL"),
        postgresql_where=sa.text("trigger_execution_id IS NOT NULL"),
    )
    op.create_table(
        "flow_revisions",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("id", ascii_ordered(100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", ascii_ordered(64), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("saved_by", ascii_ordered(200), nullable=True),
        sa.Column("saved_via", ascii_ordered(20), nullable=False),
        sa.Column("source_id", ascii_ordered(63), nullable=True),
        sa.Column("commit_sha", ascii_ordered(64), nullable=True),
        sa.Column("commit_author", ascii_ordered(200), nullable=True),
        sa.Column("commit_email", ascii_ordered(200), nullable=True),
        sa.Column("commit_time", sa.BigInteger(), nullable=True),
        sa.Column("commit_subject", ascii_ordered(200), nullable=True),
        sa.Column("git_path", sa.Text(), nullable=True),
        sa.Column("git_blob", ascii_ordered(64), nullable=True),
        sa.Column("git_ref", ascii_ordered(250), nullable=True),
        sa.Column("sync_run_id", ascii_ordered(26), nullable=True),
        sa.PrimaryKeyConstraint("namespace", "id", "revision", name=op.f("pk_flow_revisions")),
    )
    op.create_table(
        "flows",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("id", ascii_ordered(100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("override", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=True),
        sa.Column("managed_by", ascii_ordered(63), nullable=True),
        sa.Column("drifted", sa.Boolean(), nullable=False),
        sa.Column("digest", ascii_ordered(64), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", name=op.f("pk_flows")),
    )
    op.create_index("ix_flows_managed_by", "flows", ["managed_by"], unique=False)
    op.create_table(
        "git_commits",
        sa.Column("source_id", ascii_ordered(63), nullable=False),
        sa.Column("sha", ascii_ordered(64), nullable=False),
        sa.Column("parents", sa.Text(), nullable=True),
        sa.Column("author_name", ascii_ordered(200), nullable=True),
        sa.Column("author_email", ascii_ordered(200), nullable=True),
        sa.Column("author_time", sa.BigInteger(), nullable=True),
        sa.Column("committer_time", sa.BigInteger(), nullable=True),
        sa.Column("subject", ascii_ordered(200), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", "sha", name=op.f("pk_git_commits")),
    )
    op.create_table(
        "git_sources",
        sa.Column("id", ascii_ordered(63), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("ref_kind", ascii_ordered(10), nullable=False),
        sa.Column("ref", ascii_ordered(250), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_digest", ascii_ordered(64), nullable=False),
        sa.Column("origin", ascii_ordered(10), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("pinned_commit", ascii_ordered(64), nullable=True),
        sa.Column("pinned_by", ascii_ordered(200), nullable=True),
        sa.Column("pinned_reason", sa.Text(), nullable=True),
        sa.Column("pinned_until", sa.BigInteger(), nullable=True),
        sa.Column("observed_commit", ascii_ordered(64), nullable=True),
        sa.Column("observed_at", sa.BigInteger(), nullable=True),
        sa.Column("observed_ref", ascii_ordered(250), nullable=True),
        sa.Column("applied_commit", ascii_ordered(64), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("applied_run_id", ascii_ordered(26), nullable=True),
        sa.Column("failed_commit", ascii_ordered(64), nullable=True),
        sa.Column("next_poll_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("status", ascii_ordered(12), nullable=False),
        sa.Column("conditions", sa.Text(), nullable=True),
        sa.Column("webhook_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_git_sources")),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", ascii_ordered(200), nullable=False),
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_execution", "idempotency", ["execution_id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("key", ascii_ordered(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("task_id", ascii_ordered(256), nullable=False),
        sa.Column("purpose", ascii_ordered(40), nullable=False),
        sa.Column("required", sa.Text(), nullable=True),
        sa.Column("runner", ascii_ordered(100), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", "key", "attempt", name=op.f("pk_jobs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kv",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("key", ascii_ordered(256), nullable=False),
        sa.Column("type", ascii_ordered(10), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("namespace", "key", name=op.f("pk_kv")),
    )
    op.create_table(
        "logs",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("task_id", ascii_ordered(256), nullable=True),
        sa.Column("taskrun_id", ascii_ordered(22), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("trigger_id", ascii_ordered(256), nullable=True),
        sa.Column("stream", ascii_ordered(6), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", "n", name=op.f("pk_logs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mailbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "manifests",
        sa.Column("source_id", ascii_ordered(63), nullable=False),
        sa.Column("commit_sha", ascii_ordered(64), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "commit_sha", name=op.f("pk_manifests")),
    )
    op.create_table(
        "metrics",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("taskrun_id", ascii_ordered(22), nullable=False),
        sa.Column("task_id", ascii_ordered(256), nullable=False),
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("name", ascii_ordered(200), nullable=False),
        sa.Column("kind", ascii_ordered(10), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metrics")),
    )
    op.create_index("ix_metrics_execution", "metrics", ["execution_id"], unique=False)
    op.create_index(
        "ix_metrics_flow", "metrics", ["namespace", "flow_id", "name", "at"], unique=False
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("kind", ascii_ordered(20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_next_at", "outbox", ["next_at"], unique=False)
    op.create_table(
        "push_fires",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("trigger_id", ascii_ordered(256), nullable=False),
        sa.Column("source_id", ascii_ordered(63), nullable=False),
        sa.Column("commit_sha", ascii_ordered(64), nullable=False),
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.PrimaryKeyConstraint(
            "namespace",
            "flow_id",
            "trigger_id",
            "source_id",
            "commit_sha",
            name=op.f("pk_push_fires"),
        ),
    )
    op.create_table(
        "runners",
        sa.Column("name", ascii_ordered(100), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_runners")),
    )
    op.create_table(
        "settings",
        sa.Column("key", ascii_ordered(100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )
    op.create_table(
        "sync_items",
        sa.Column("run_id", ascii_ordered(26), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", ascii_ordered(5), nullable=False),
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("blob", ascii_ordered(64), nullable=True),
        sa.Column("action", ascii_ordered(14), nullable=False),
        sa.Column("from_revision", sa.Integer(), nullable=True),
        sa.Column("to_revision", sa.Integer(), nullable=True),
        sa.Column("commit_sha", ascii_ordered(64), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "place", name=op.f("pk_sync_items")),
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", ascii_ordered(26), nullable=False),
        sa.Column("source_id", ascii_ordered(63), nullable=False),
        sa.Column("trigger", ascii_ordered(10), nullable=False),
        sa.Column("actor", ascii_ordered(200), nullable=True),
        sa.Column("from_commit", ascii_ordered(64), nullable=True),
        sa.Column("to_commit", ascii_ordered(64), nullable=True),
        sa.Column("phase", ascii_ordered(12), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("delivery_id", ascii_ordered(100), nullable=True),
        sa.Column("plan_digest", ascii_ordered(64), nullable=True),
        sa.Column("history_rewritten", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
    )
    op.create_index("ix_sync_runs_source", "sync_runs", ["source_id", "id"], unique=False)
    op.create_table(
        "task_runs",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("key", ascii_ordered(), nullable=False),
        sa.Column("task_id", ascii_ordered(256), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", ascii_ordered(10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "key", name=op.f("pk_task_runs")),
    )
    op.create_table(
        "timers",
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("key", ascii_ordered(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("purpose", ascii_ordered(40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "execution_id", "key", "attempt", "purpose", name=op.f("pk_timers")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_timers_at", "timers", ["at"], unique=False)
    op.create_table(
        "triggers",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("trigger_id", ascii_ordered(256), nullable=False),
        sa.Column("type", ascii_ordered(250), nullable=False),
        sa.Column("digest", ascii_ordered(64), nullable=False),
        sa.Column("last_date", sa.BigInteger(), nullable=True),
        sa.Column("next_date", sa.BigInteger(), nullable=True),
        sa.Column("execution_id", ascii_ordered(22), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("backfill", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("evaluated_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "flow_id", "trigger_id", name=op.f("pk_triggers")),
    )
    op.create_index("ix_triggers_execution", "triggers", ["execution_id"], unique=False)
    op.create_index("ix_triggers_next_date", "triggers", ["next_date"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("source_id", ascii_ordered(63), nullable=False),
        sa.Column("delivery_id", ascii_ordered(100), nullable=False),
        sa.Column("forge", ascii_ordered(20), nullable=False),
        sa.Column("event", ascii_ordered(50), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict", ascii_ordered(20), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "delivery_id", name=op.f("pk_webhook_deliveries")),
    )


def downgrade() -> None:
    """Remove all tables."""
    for table in (
        "webhook_deliveries",
        "triggers",
        "timers",
        "task_runs",
        "sync_runs",
        "sync_items",
        "settings",
        "runners",
        "push_fires",
        "outbox",
        "metrics",
        "manifests",
        "mailbox",
        "logs",
        "kv",
        "jobs",
        "idempotency",
        "git_sources",
        "git_commits",
        "flows",
        "flow_revisions",
        "executions",
        "execution_labels",
        "execution_events",
    ):
        op.drop_table(table)
