"""Run conformance cases: `python -m tests.conformance [FAMILY ...]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.conformance.cases import Context, family_names, new_context, read_cases, run_case


def main(arguments: list[str]) -> int:
    """Run the families asked for; 0 only when no case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--cases", type=Path, metavar="DIR", help="folder of the case files")
    parser.add_argument("--flows", type=Path, metavar="DIR", action="append", default=[])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    parser.add_argument("--have", metavar="NEED", action="append", default=[], help="e.g. internet")
    parser.add_argument("--match", metavar="TEXT", default="", help="only ids that contain it")
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    given = parser.parse_args(arguments)

    context = new_context(given.cases, tuple(given.flows), frozenset(given.have))
    if not context.cases.is_dir():
        print(f"no cases in {context.cases}: name the folder with --cases", file=sys.stderr)
        return 2
    known = family_names()
    unknown = [name for name in given.families if name not in known]
    if unknown:
        print(f"unknown family {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    results = [_run(name, context, given.match) for name in given.families or known]
    if given.json:
        given.json.write_text(json.dumps({"families": results}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(result["failed"] for result in results) else 0


def _run(name: str, context: Context, match: str) -> dict[str, object]:
    counts = {"passed": 0, "failed": 0, "not_applicable": 0}
    failures: list[dict[str, str]] = []
    for case in read_cases(name, context):
        if match not in case["id"]:
            continue
        result = run_case(name, case, context)
        counts[result.status] += 1
        if result.status == "failed":
            failures.append({"id": case["id"], "reason": result.reason})
    print(
        f"{name}: {counts['passed']} passed, {counts['failed']} failed, "
        f"{counts['not_applicable']} not applicable"
    )
    for failure in failures:
        print(f"  {failure['id']}: {failure['reason']}")
    return {"name": name, **counts, "failures": failures}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
