"""The command `penstock`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the verb that the command line names.

    `server` starts itself again in a clean environment first, before anything costs time.
    """
    from penstock_server.cli.clean import needs_clean_start, start_clean

    if needs_clean_start(sys.argv[1:]):
        start_clean()
    # Looking for plugins of pydantic reads the metadata of everything that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # noqa: TID251 - for pydantic
    # What imports leave behind stays: looking for garbage in it is a tenth of a start.
    gc.set_threshold(50_000, 10, 10)
    from penstock_server.cli.verbs import penstock

    try:
        penstock(prog_name="penstock")
    finally:
        # Looking for garbage once more before all of it goes is a seventh of a short command.
        gc.freeze()
