"""How many commits a source is behind what was observed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "git_sources", sa.Column("behind", sa.Integer(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("git_sources", "behind")
