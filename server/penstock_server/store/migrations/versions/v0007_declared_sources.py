"""Git sources that people declare by the API, and who changed what of sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def ascii_ordered(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    kind = sa.String(length)
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables; what was called `api` are the sources that are deployed to."""
    op.create_table(
        "declared_sources",
        sa.Column("id", ascii_ordered(63), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", ascii_ordered(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declared_sources")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", ascii_ordered(26), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", ascii_ordered(200), nullable=True),
        sa.Column("action", ascii_ordered(40), nullable=False),
        sa.Column("subject", ascii_ordered(300), nullable=False),
        sa.Column("details", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_index("ix_audit_events_subject", "audit_events", ["subject", "at"])
    op.execute("UPDATE git_sources SET origin = 'deploy' WHERE origin = 'api'")


def downgrade() -> None:
    """Drop them."""
    op.execute("UPDATE git_sources SET origin = 'api' WHERE origin = 'deploy'")
    op.drop_table("audit_events")
    op.drop_table("declared_sources")
