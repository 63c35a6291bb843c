"""Templates: tasks that flows bring in by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "templates",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("id", ascii_ordered(100), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", name=op.f("pk_templates")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("templates")
