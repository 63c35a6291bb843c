"""The command `penstock`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the verb that the command line names.

    `server` starts itself again in a clean environment first, before anything costs time.
    """
    from penstock_server.cli.clean import needs_clean_start, start_clean

    if needs_clean_start(sys.argv[1:]):
        start_clean()
    from penstock_server.cli.verbs import penstock

    penstock(prog_name="penstock")
