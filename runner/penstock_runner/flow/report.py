"""Faults for people and for machines: text, JSON, GitHub, GitLab, SARIF and JUnit.

Each function takes faults and gives text; nothing is read or written here. Errors come before
warnings, then the order is that of files and lines.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from penstock_runner.flow.faults import Fault, Severity

# What GitHub shows of one step; the rest is dropped without a word, so we say it ourselves.
GITHUB_LIMIT = 10

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_GITLAB = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def in_order(faults: Iterable[Fault], first: Collection[str] = ()) -> list[Fault]:
    """Errors first, files in `first` (say, those that changed) before others, then by place."""
    return sorted(
        faults,
        key=lambda f: (_RANK[f.severity], f.path not in first, f.path, f.line, f.column),
    )


def text(faults: Iterable[Fault]) -> str:
    """One fault a line."""
    return "".join(f"{_line(fault)}\n" for fault in in_order(faults))


def _line(fault: Fault) -> str:
    word = "" if fault.severity is Severity.ERROR else f"{fault.severity.value}: "
    hint = f" ({fault.hint})" if fault.hint else ""
    return f"{fault.path}:{fault.line}:{fault.column} {word}{fault.code} {fault.message}{hint}"


def record(fault: Fault, url: str | None = None) -> dict[str, object]:
    """One fault as JSON data."""
    return {
        "severity": fault.severity.value,
        "code": fault.code,
        "path": fault.path,
        "line": fault.line,
        "column": fault.column,
        "endLine": fault.end_line,
        "endColumn": fault.end_column,
        "flow": fault.flow,
        "pointer": fault.pointer,
        "message": fault.message,
        "hint": fault.hint,
        "url": url,
    }


def as_json(faults: Iterable[Fault]) -> str:
    """All faults as one JSON document."""
    listed = in_order(faults)
    counts = {s.value + "s": sum(f.severity is s for f in listed) for s in Severity}
    return _dump({**counts, "faults": [record(fault) for fault in listed]})


def github(faults: Iterable[Fault], first: Collection[str] = ()) -> str:
    """Annotations of GitHub Actions: ten errors and ten others; the last says how many more."""
    listed = in_order(faults, first)
    errors = [fault for fault in listed if fault.severity is Severity.ERROR]
    others = [fault for fault in listed if fault.severity is not Severity.ERROR]
    lines = [line for group in (errors, others) for line in _annotations(group)]
    return "".join(f"{line}\n" for line in lines)


def _annotations(faults: Sequence[Fault]) -> list[str]:
    more = len(faults) - GITHUB_LIMIT
    lines: list[str] = []
    for index, fault in enumerate(faults[:GITHUB_LIMIT]):
        message = fault.message + (f" ({fault.hint})" if fault.hint else "")
        if more > 0 and index == GITHUB_LIMIT - 1:
            message += f"\n... and {more} more, see the log"
        properties = {
            "file": fault.path,
            "line": fault.line,
            "endLine": fault.end_line or fault.line,
            "col": fault.column,
            "endColumn": fault.end_column or fault.column,
            "title": f"{fault.code} {fault.flow}".strip(),
        }
        said = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
        lines.append(f"::{_GITHUB[fault.severity]} {said}::{_data(message)}")
    return lines


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def gitlab(faults: Iterable[Fault]) -> str:
    """A Code Quality report of GitLab."""
    items = [
        {
            "description": fault.message + (f" ({fault.hint})" if fault.hint else ""),
            "check_name": fault.code,
            "fingerprint": told,
            "severity": _GITLAB[fault.severity],
            "location": {"path": fault.path, "lines": {"begin": fault.line}},
        }
        for fault, told in _told_apart(in_order(faults))
    ]
    return _dump(items)


def _told_apart(faults: Iterable[Fault]) -> Iterator[tuple[Fault, str]]:
    """Each fault with a fingerprint of its own: of two alike, readers would show one."""
    seen: Counter[str] = Counter()
    for fault in faults:
        alike = fingerprint(fault)
        number = seen[alike]
        seen[alike] += 1
        told = f"{alike}\0{number}".encode()
        yield fault, alike if number == 0 else hashlib.sha256(told).hexdigest()


def fingerprint(fault: Fault) -> str:
    """What stays the same when lines move: code, file and pointer."""
    said = "\0".join((fault.code, fault.path, fault.pointer))
    return hashlib.sha256(said.encode()).hexdigest()


def sarif(faults: Iterable[Fault], *, version: str = "0") -> str:
    """A SARIF 2.1.0 log for code scanning."""
    listed = in_order(faults)
    codes = sorted({fault.code for fault in listed})
    driver = {"name": "penstock", "version": version, "rules": [{"id": code} for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(fault, codes) for fault in listed],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return _dump({"$schema": schema, "version": "2.1.0", "runs": [run]})


def _result(fault: Fault, codes: Sequence[str]) -> dict[str, object]:
    region: dict[str, int] = {"startLine": fault.line, "startColumn": fault.column}
    if fault.end_line is not None and fault.end_column is not None:
        region |= {"endLine": fault.end_line, "endColumn": fault.end_column}
    place = {"artifactLocation": {"uri": fault.path.replace("\\", "/")}, "region": region}
    hint = f" ({fault.hint})" if fault.hint else ""
    return {
        "ruleId": fault.code,
        "ruleIndex": codes.index(fault.code),
        "level": fault.severity.value,
        "message": {"text": fault.message + hint},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"penstock/v1": fingerprint(fault)},
    }


def junit(faults: Iterable[Fault], files: Iterable[str] = ()) -> str:
    """A JUnit report: one case a file, failed by its errors; warnings are its output."""
    by_file: dict[str, list[Fault]] = {path: [] for path in files}
    for fault in in_order(faults):
        by_file.setdefault(fault.path, []).append(fault)
    cases = [_case(path, found) for path, found in by_file.items()]
    failed = sum(any(f.severity is Severity.ERROR for f in found) for found in by_file.values())
    head = f'<testsuite name="penstock validate" tests="{len(cases)}" failures="{failed}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{"".join(cases)}</testsuite>\n'


def _case(path: str, faults: Sequence[Fault]) -> str:
    # Slow to import, and no other form needs it.
    from xml.sax.saxutils import escape, quoteattr

    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    others = [fault for fault in faults if fault.severity is not Severity.ERROR]
    body = ""
    if errors:
        summary = quoteattr(_xml(f"{len(errors)} errors, first: {errors[0].message}"))
        lines = "\n".join(_line(fault) for fault in errors)
        body += f"<failure message={summary}>{escape(_xml(lines))}</failure>"
    if others:
        lines = "\n".join(_line(fault) for fault in others)
        body += f"<system-out>{escape(_xml(lines))}</system-out>"
    return f'<testcase classname="flows" name={quoteattr(_xml(path))}>{body}</testcase>\n'


def _xml(value: str) -> str:
    """Without the control characters that no XML document may hold."""
    return "".join(c for c in value if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Iterable[Fault]], str]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "gitlab": gitlab,
    "sarif": sarif,
    "junit": junit,
}


def render(faults: Iterable[Fault], form: str) -> str:
    """The faults in one of the forms of `FORMATS`."""
    return FORMATS[form](faults)
