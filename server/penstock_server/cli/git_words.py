"""How sources, plans and runs are said in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from penstock_server.cli.exits import FAILED, FINE, REFUSED, SKIPPED, UNAUTHORISED, UNREACHABLE
from penstock_server.cli.screen import counted

Json = Mapping[str, Any]

STATUS_COLOURS = {
    "Synced": "green",
    "Degraded": "red",
    "OutOfSync": "yellow",
    "Progressing": "blue",
}
SIGNS = {
    "ADDED": ("+", "green"),
    "ADOPTED": ("~", "yellow"),
    "UPDATED": ("~", "yellow"),
    "PRUNED": ("-", "red"),
    "PROTECTED": ("!", "bright_black"),
    "KEPT": ("!", "bright_black"),
    "KEPT_INVALID": ("!", "yellow"),
    "CONFLICT": ("x", "red"),
}
NOTES = {
    "ADOPTED": "taken over",
    "PRUNED": "no longer in the repository",
    "PROTECTED": "not in the repository; its namespace is protected",
    "KEPT": "stays as it is",
    "KEPT_INVALID": "its file has faults; it stays as it is",
    "CONFLICT": "belongs to somebody else",
}
MOST_ERRORS = 20
_COUNTS = ("added", "adopted", "updated", "pruned")
_UNAUTHORISED = frozenset({"GIT_AUTH", "GIT_HOST_KEY"})


def code_of(result: Json) -> int:
    """The exit code of a finished run."""
    match result["phase"]:
        case "refused":
            return REFUSED
        case "failed" if result.get("errors"):
            return FAILED
        case "failed" if result.get("code") in _UNAUTHORISED:
            return UNAUTHORISED
        case "failed" if str(result.get("code", "")).startswith("GIT_"):
            return UNREACHABLE
        case "failed":
            return FAILED
        case _:
            return SKIPPED if (result.get("counts") or {}).get("errors") else FINE


def ago(text: str | None, now: datetime) -> str:
    """How long ago an instant of the API was."""
    if not text:
        return "never"
    seconds = (now - datetime.fromisoformat(text)).total_seconds()
    return span(max(seconds, 0.0)) + " ago"


def until(text: str | None, now: datetime) -> str:
    """How long it is to an instant of the API."""
    if not text:
        return ""
    seconds = (datetime.fromisoformat(text) - now).total_seconds()
    return "in " + span(seconds) if seconds > 0 else "now"


def span(seconds: float) -> str:
    """A time in its largest unit."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def source_lines(source: Json) -> Iterator[str]:
    """What is behind the status of a source."""
    applied, observed = source.get("applied") or {}, source.get("observed") or {}
    if observed.get("commit") != applied.get("commit") and applied.get("commit"):
        behind = observed.get("behind") or 0
        more = f", {counted(behind, 'commit')} behind" if behind else ""
        head, runs = short(observed.get("commit")), short(applied.get("commit"))
        yield f"{head} is not applied, {runs} keeps running{more}"
    for condition in source.get("conditions") or ():
        yield f"{condition['type']}: {condition['message']}"
    errors = source.get("errors") or []
    yield from error_lines(errors)


def error_lines(errors: Sequence[Json]) -> Iterator[str]:
    """Faults of files, as compilers write them."""
    for error in errors[:MOST_ERRORS]:
        place = f"{error.get('path')}:{error.get('line', 1)}:{error.get('column', 1)}"
        hint = f" ({error['hint']})" if error.get("hint") else ""
        yield f"{place} {error.get('code')} {error.get('message')}{hint}"
    if len(errors) > MOST_ERRORS:
        yield f"and {len(errors) - MOST_ERRORS} more"


def warning_lines(warnings: Sequence[Json]) -> Iterator[str]:
    """What did not keep a run from its work, a line each."""
    yield from (f"warning: {line}" for line in error_lines(warnings))


def plan_lines(plan: Json, *, differences: bool) -> Iterator[str]:
    """A plan, flow by flow."""
    for item in plan["items"]:
        sign, colour = SIGNS.get(item["action"], ("?", None))
        name = named(item["namespace"], item["id"])
        parts = [click.style(f"{sign} {name:<28}", fg=colour), item.get("path") or ""]
        parts += [revisions(item), NOTES.get(item["action"], "")]
        if item.get("drifted"):
            parts.append("edited here")
        if item.get("movedTo"):
            parts.append(f"moved to {'.'.join(item['movedTo'])}")
        yield "  ".join(part for part in parts if part).rstrip()
        if differences and item.get("diff"):
            yield from (f"    {line}" for line in coloured(item["diff"]))
    unchanged = plan["counts"].get("unchanged", 0)
    yield f"= {unchanged} unchanged.  commit {short(plan['commit'])}  digest {plan['digest']}"


def coloured(difference: str) -> Iterator[str]:
    """A unified difference with its colours."""
    for line in difference.splitlines():
        head = line.startswith(("+++", "---"))
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        yield click.style(_plain(line), bold=True) if head else click.style(_plain(line), fg=colour)


def revisions(item: Json) -> str:
    """The revisions before and after."""
    before, after = item.get("fromRevision"), item.get("toRevision")
    if after is None:
        return f"revision {before}" if before is not None else ""
    return f"revision {before} -> {after}" if before is not None else f"revision {after}"


def summary(result: Json) -> str:
    """One line on a finished run."""
    counts = result.get("counts") or {}
    names = [*_COUNTS, *sorted(counts.keys() - {*_COUNTS, "unchanged", "errors"}), "unchanged"]
    shown = [f"{counts[name]} {name}" for name in names if counts.get(name)]
    what = ", ".join(shown) or "nothing to do"
    where = f"{short(result.get('commit'))} " if result.get("commit") else ""
    return f"{result['source']}: {where}{result['phase']}: {what}"


def short(commit: str | None) -> str:
    """The beginning of a commit id."""
    return (commit or "-")[:7]


def now() -> datetime:
    """The present moment, for words like `ago`."""
    return datetime.now(UTC)  # noqa: TID251 - said to a person, decides nothing


def named(namespace: str, name: str) -> str:
    """The full name of a flow, or the place of a file of a namespace."""
    return f"{namespace}{name}" if name.startswith("/") else f"{namespace}.{name}"


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else " " for c in line)
