"""`python -m bench [NAME...] [--json FILE] [--quick]`: measures, checks what ran, shows a table.

A figure that cannot be measured is named with its reason, and the rest goes on; a figure whose runs
did not come out as they should ends with exit code 1. A missed aim is shown and is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import table
from bench.records import Record
from bench.registry import FIGURES, chosen
from bench.service import NotMeasured
from bench.settings import Bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; the exit code."""
    asked = _arguments(arguments)
    try:
        figures = chosen(asked.names)
    except KeyError as unknown:
        print(unknown.args[0], file=sys.stderr)
        return 2
    records: list[Record] = []
    troubles: list[str] = []
    with ExitStack() as stack:
        bench = Bench(quick=asked.quick, stack=stack, tell=_say)
        for place, (name, measure) in enumerate(figures.items(), start=1):
            bench.at = f"{place}/{len(figures)} {name}"
            bench.say("begins")
            try:
                records.extend(measure(bench))
            except NotMeasured as missing:
                _say("")
                print(f"{name}: not measured: {missing}", file=sys.stderr)
            except Exception as fault:  # noqa: BLE001 - the other figures are measured all the same
                _say("")
                traceback.print_exc()
                troubles.append(f"{name}: {fault}")
        _say("")
    print(table.render(records))
    if asked.quick:
        print("\nQuick: too few repetitions for figures; this run only shows that all works.")
    for trouble in troubles:
        print(f"FAILED {trouble}", file=sys.stderr)
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(report(records, quick=asked.quick), indent=2) + "\n")
    return 1 if troubles else 0


def report(records: Sequence[Record], *, quick: bool) -> dict[str, Any]:
    """All records with the machine that they are of."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(),
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        },
        "figures": [one.to_json() for one in records],
    }


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there, too")
    parser.add_argument("--quick", action="store_true", help="tiny counts, to see that it works")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    """Progress: one line that is written over on a terminal, a line each elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    # What is installed has its bytecode; so has what is measured here, after its first start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A stop from outside leaves through the same doors: services end, homes go.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))
    sys.exit(main())
