"""`python -m bench.slow_store MILLISECONDS server ...`: the service over a slow store.

Each commit takes so much longer, as if its disk or its network did. The service's own command line
follows; it knows nothing of this, and starts without its clean environment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from penstock_server.cli.verbs import penstock
from penstock_server.store.engine import Database, Tx


def slow(seconds: float) -> None:
    """Make every write transaction of this program and its children take longer."""
    begin = Database.begin

    @contextmanager
    def late(self: Database) -> Iterator[Tx]:
        with begin(self) as tx:
            yield tx
            time.sleep(seconds)

    Database.begin = late  # type: ignore[method-assign]


def main(arguments: list[str]) -> None:
    """Run the command `penstock` with the rest of the arguments."""
    slow(float(arguments[0]) / 1000)
    penstock(arguments[1:], prog_name="penstock")


if __name__ == "__main__":
    main(sys.argv[1:])
