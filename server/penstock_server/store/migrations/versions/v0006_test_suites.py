"""Test suites that commits bring, and warnings of syncs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, and the column of runs."""
    op.create_table(
        "test_suites",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("id", ascii_ordered(100), nullable=False),
        sa.Column("flow_id", ascii_ordered(100), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", ascii_ordered(64), nullable=False),
        sa.Column("managed_by", ascii_ordered(63), nullable=True),
        sa.Column("commit_sha", ascii_ordered(64), nullable=True),
        sa.Column("git_path", sa.Text(), nullable=True),
        sa.Column("git_blob", ascii_ordered(64), nullable=True),
        sa.Column("sync_run_id", ascii_ordered(26), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", name=op.f("pk_test_suites")),
    )
    op.create_index("ix_test_suites_flow", "test_suites", ["namespace", "flow_id"])
    op.create_index("ix_test_suites_managed_by", "test_suites", ["managed_by"])
    op.add_column("sync_runs", sa.Column("warnings", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("sync_runs", "warnings")
    op.drop_table("test_suites")
