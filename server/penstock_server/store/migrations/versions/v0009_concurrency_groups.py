"""The concurrency group that an execution is in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPEN = sa.text("concurrency_group IS NOT NULL AND ended_at IS NULL")


def upgrade() -> None:
    """Add the column, and an index of those that are not through."""
    op.add_column("executions", sa.Column("concurrency_group", sa.Text(), nullable=True))
    op.create_index(
        "ix_executions_group",
        "executions",
        ["namespace", "concurrency_group"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )


def downgrade() -> None:
    """Remove both."""
    op.drop_index("ix_executions_group", "executions")
    op.drop_column("executions", "concurrency_group")
