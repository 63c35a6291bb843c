"""What Flow triggers have seen and done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "flow_fires",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("trigger_id", ascii_ordered(256), nullable=False),
        sa.Column("upstream_id", ascii_ordered(22), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("execution_id", ascii_ordered(22), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "namespace",
            "flow_id",
            "trigger_id",
            "upstream_id",
            "place",
            name=op.f("pk_flow_fires"),
        ),
    )
    op.create_index("ix_flow_fires_created_at", "flow_fires", ["created_at"])
    op.create_table(
        "trigger_windows",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("condition_id", ascii_ordered(256), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "namespace", "flow_id", "condition_id", name=op.f("pk_trigger_windows")
        ),
    )
    op.create_index("ix_trigger_windows_end_at", "trigger_windows", ["end_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("trigger_windows")
    op.drop_table("flow_fires")
