"""Whom a runner is kept for, and whether a job may go to one that is kept for protected refs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("runners", sa.Column("namespaces", sa.Text(), nullable=True))
    for table in ("runners", "jobs"):
        op.add_column(
            table,
            sa.Column("protected", sa.Boolean(), nullable=False, server_default=sa.false()),
        )


def downgrade() -> None:
    """Remove the columns."""
    for table in ("runners", "jobs"):
        op.drop_column(table, "protected")
    op.drop_column("runners", "namespaces")
