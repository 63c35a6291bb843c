"""Where files of deleted executions still are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "leftovers",
        sa.Column("prefix", ascii_ordered(500), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_leftovers")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("leftovers")
