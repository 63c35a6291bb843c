"""Resolve the inputs of a flow, or a list of inputs by themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.matchers import ABSENT, Matcher
from tests.conformance.placeholders import Placeholders

from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.flow.binding import Binder
from penstock_runner.flow.inputs import (
    NestingConflict,
    Resolved,
    file_extension,
    nest,
    resolve,
)
from penstock_runner.flow.model import Input
from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.yaml import Document


def run(case: Case, context: Context) -> Outcome:
    """Resolve and compare."""
    expected = case["expect"]
    if "flat" in case:
        return _nesting(case, context)
    inputs = _declared(case, context)
    if "file_input" in case:
        found = file_extension(inputs, case["file_input"])
        return outcome(Matcher(now=context.now).mismatch(expected["extension"], found))
    with tempfile.TemporaryDirectory() as folder:
        return _resolving(case, context, Path(folder), inputs)


def _resolving(case: Case, context: Context, folder: Path, inputs: tuple[Input, ...]) -> Outcome:
    expected = case["expect"]
    given = _given(case, context, folder)
    resolved = resolve(
        inputs,
        given,
        render_typed=_renderer(case),
        encrypt=_encryption(case),
        collect="resolved" in expected or "options" in expected,
    )
    if wanted := expected.get("same_content"):
        local = Placeholders(context=context, folder=folder).fill(wanted)
        for name, path in local.items():
            stored = str(resolved.values.get(name)).removeprefix("kestra://")
            if Path(stored).read_bytes() != Path(path).read_bytes():
                return failed(f"the file of {name} has another content")
    return outcome(_mismatch(expected, resolved, context))


def _nesting(case: Case, context: Context) -> Outcome:
    try:
        nested = nest(case["flat"])
    except NestingConflict as conflict:
        return outcome(None if "error" in case["expect"] else str(conflict))
    if "error" in case["expect"]:
        return failed(f"gave {nested!r}, expected an error")
    return outcome(Matcher(now=context.now).mismatch(case["expect"]["nested"], nested))


def _declared(case: Case, context: Context) -> tuple[Input, ...]:
    if "flow" in case:
        text = context.flow_path(case["flow"]).read_text(encoding="utf-8")
        flow = parse_flow(text, case["flow"]).effective
        assert flow is not None
        return flow.inputs
    binder = Binder(Document())
    found = [binder.input(item, f"/inputs/{i}") for i, item in enumerate(case["inputs"])]
    return tuple(one for one in found if one is not None)


def _given(case: Case, context: Context, folder: Path) -> dict[str, Any]:
    given = dict(case.get("data") or {})
    if case.get("base") == "all":
        given = {**_base(context), **case.get("override", {})}
        for name in case.get("remove", ()):
            del given[name]
    filled = Placeholders(context=context, folder=folder).fill(given)
    # A file on this machine is uploaded before inputs are resolved; they see its URI.
    return {
        name: f"kestra://{value}" if str(value).startswith(str(folder)) else value
        for name, value in filled.items()
    }


def _base(context: Context) -> dict[str, Any]:
    readme = (context.cases / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith("base_all: "))
    return dict(yaml.safe_load(line)["base_all"])


def _renderer(case: Case) -> Any:
    expressions = Expressions()

    def render(template: str, variables: Mapping[str, object]) -> object:
        known = {**case.get("vars", {}), **variables}
        return expressions.render_typed(template, known, NoServices())

    return render


def _encryption(case: Case) -> Any:
    config = case.get("config") or {}
    if config.get("encryption_key", "") is None:
        return None
    return lambda text: f"encrypted:{text[::-1]}"


def _mismatch(expected: dict[str, Any], resolved: Resolved, context: Context) -> str | None:
    matcher = Matcher(now=context.now)
    errors = [str(error) for error in resolved.blocking]
    for key, wanted in expected.items():
        match key:
            case "error":
                return _error(wanted, errors)
            case "values":
                reason = "; ".join(errors) or matcher.mismatch(wanted, resolved.values)
            case "not_values":
                same = {k for k, v in wanted.items() if resolved.values.get(k) == v}
                reason = f"{sorted(same)} are as given" if same else None
            case "resolved":
                reason = _resolved(wanted, resolved, matcher)
            case "options":
                got = {one.input.id: one.options for one in resolved.inputs}
                reason = matcher.mismatch(wanted, got)
            case "same_content":
                reason = "; ".join(errors)
            case _:
                raise ValueError(f"unknown expectation {key}")
        if reason:
            return reason
    return None


def _error(wanted: Any, errors: list[str]) -> str | None:
    joined = "\n".join(errors)
    if not errors:
        return "no error"
    parts = [] if wanted is True else wanted if isinstance(wanted, list) else [wanted]
    missing = [part for part in parts if part not in joined]
    return f"the error {joined!r} lacks {missing}" if missing else None


def _resolved(wanted: list[dict[str, Any]], resolved: Resolved, matcher: Matcher) -> str | None:
    for one in wanted:
        found = resolved.find(one["id"])
        if found is None:
            return f"{one['id']} was not resolved"
        got = {"id": found.input.id, "value": found.value, "enabled": found.enabled}
        expected = {key: value for key, value in one.items() if key != "error"}
        if reason := matcher.mismatch(expected, got):
            return reason
        if "error" in one and (found.error is not None) is not bool(one["error"]):
            return f"{one['id']} has the error {found.error or ABSENT}"
    return None
