"""What a step of GitHub Actions leaves behind: outputs, and a summary in Markdown.

Everything that is written comes from flows, commits or answers, so nothing of it may end a heredoc
or become markup.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# GitHub takes 1 MiB for a step.
LONGEST_SUMMARY = 900 * 1024
ROWS = 200
SIGNS = {"ADDED": "+", "ADOPTED": "~", "UPDATED": "~", "PRUNED": "-"}


def put_outputs(environment: Mapping[str, str], values: Mapping[str, object]) -> None:
    """Append outputs for later steps; a random delimiter keeps a value from ending itself early."""
    path = environment.get("GITHUB_OUTPUT")
    if not path:
        return
    lines: list[str] = []
    for name, value in values.items():
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        mark = f"end_{secrets.token_hex(16)}"
        lines.append(f"{name}<<{mark}\n{text}\n{mark}\n")
    _append(path, "".join(lines))


def put_summary(environment: Mapping[str, str], text: str) -> None:
    """Append to the summary of the step."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    if path:
        _append(path, _cut(text) + "\n")


def deploy_summary(result: Mapping[str, Any], server: str) -> str:
    """What a deploy did, as Markdown."""
    counts = result["counts"]
    head = "Dry run against" if result["dryRun"] else "Deployed to"
    lines = [
        f"### {head} {shown(server)}",
        "",
        f"Commit {shown(result['commit'][:12])} as source {shown(result['source'])}",
        "",
        "| added | updated | pruned | unchanged |",
        "| ---: | ---: | ---: | ---: |",
        f"| {added(counts)} | {updated(counts)} | {counts.get('pruned', 0)}"
        f" | {counts.get('unchanged', 0)} |",
    ]
    items = [item for item in result["items"] if item["action"] in SIGNS]
    if items:
        lines += ["", "| | flow | file |", "| --- | --- | --- |"]
        lines += [
            f"| {SIGNS[one['action']]} | {shown(one['namespace'] + '.' + one['id'])}"
            f" | {shown(one['path'] or '')} |"
            for one in items[:ROWS]
        ]
        if len(items) > ROWS:
            lines += ["", f"and {len(items) - ROWS} more"]
    return "\n".join(lines) + "\n"


def fault_summary(records: Sequence[Mapping[str, Any]], title: str) -> str:
    """The faults of flow files, as Markdown."""
    lines = [f"### {shown(title)}", ""]
    if records:
        lines += ["| place | fault |", "| --- | --- |"]
    for one in records[:ROWS]:
        place = f"{one['path']}:{one['line']}:{one['column']}"
        lines.append(f"| {shown(place)} | {shown(one['code'])} {shown(one['message'])} |")
    if len(records) > ROWS:
        lines += ["", f"and {len(records) - ROWS} more"]
    return "\n".join(lines) + "\n"


def added(counts: Mapping[str, int]) -> int:
    """Flows that were not there."""
    return counts.get("added", 0)


def updated(counts: Mapping[str, int]) -> int:
    """Flows that were there; those that belonged to nobody count, too."""
    return counts.get("updated", 0) + counts.get("adopted", 0)


def shown(text: object) -> str:
    """Any text as one that Markdown leaves alone: code, on one line, without markup."""
    line = " ".join(str(text).split())
    return (
        f"<code>{html.escape(line).replace('|', '&#124;').replace('`', '&#96;')}</code>"
        if line
        else ""
    )


def _cut(text: str) -> str:
    raw = text.encode()
    if len(raw) <= LONGEST_SUMMARY:
        return text
    return raw[:LONGEST_SUMMARY].decode("utf-8", "ignore").rpartition("\n")[0] + "\n\ncut here\n"


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(text)
