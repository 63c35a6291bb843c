"""So that `python -m penstock_server` is the command `penstock`."""

from __future__ import annotations

from penstock_server.cli import main

main()
