"""Flows that a person has taken back to a revision, for a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("flows", sa.Column("held", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("flows", "held")
