"""What Alembic runs for each command: steps on the connection that `upgrade` gives it."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import BigInteger, Text

from penstock_server.store.schema import Instant, Json, metadata


def render_item(kind: str, item: object, _: Any) -> str | Literal[False]:
    """Write our column types into new steps as what they are in the database."""
    if kind == "type" and isinstance(item, Instant):
        return repr(BigInteger())
    if kind == "type" and isinstance(item, Json):
        return repr(Text())
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
    compare_type=True,
    # The caller's transaction holds all steps, and the lock under which they run.
    transactional_ddl=False,
)
context.run_migrations()
