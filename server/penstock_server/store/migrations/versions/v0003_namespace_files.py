"""Files that commits put into namespaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "namespace_files",
        sa.Column("namespace", ascii_ordered(150), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", ascii_ordered(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.Column("managed_by", ascii_ordered(63), nullable=True),
        sa.Column("commit_sha", ascii_ordered(64), nullable=True),
        sa.Column("git_path", sa.Text(), nullable=True),
        sa.Column("git_blob", ascii_ordered(64), nullable=True),
        sa.Column("sync_run_id", ascii_ordered(26), nullable=True),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "path", name=op.f("pk_namespace_files")),
    )
    op.create_index("ix_namespace_files_managed_by", "namespace_files", ["managed_by"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("namespace_files")
