"""Render one template in one context."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.matchers import Matcher, typed

from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import (
    ExpressionFailed,
    KeyExpired,
    KeyMissing,
    UnknownSecret,
)
from penstock_runner.expressions.numbers import Float32


class CaseServices:
    """The world that a case sets up."""

    def __init__(self, case: Case, context: Context, execution: str | None) -> None:
        setup = case.get("setup") or {}
        self._now = context.now
        self._secrets = {name.upper(): text for name, text in setup.get("secrets", {}).items()}
        self._kv = setup.get("kv", {})
        self._expired = setup.get("kv_expired", {})
        self._files: dict[str, str] = dict(setup.get("storage", {}))
        for namespace, files in setup.get("namespace_files", {}).items():
            for path, text in files.items():
                name = f"{namespace.replace('.', '/')}/_files/{path.lstrip('/')}"
                self._files[f"kestra:///{name}"] = text
        self._logs = [
            {"taskId": None, **line}
            for line in setup.get("logs", [])
            if line.get("level") == "ERROR" and line.get("executionId", execution) == execution
        ]

    def now(self) -> datetime:
        return self._now

    def secret(self, name: str, namespace: str | None) -> str:
        if name not in self._secrets:
            raise UnknownSecret(name)
        return str(self._secrets[name])

    def kv(self, key: str, namespace: str | None) -> object:
        if key in self._expired.get(namespace, {}):
            raise KeyExpired
        if key not in self._kv.get(namespace, {}):
            raise KeyMissing(key, namespace)
        return self._kv[namespace][key]

    def read(self, uri: str) -> str:
        if uri not in self._files:
            raise ExpressionFailed(f"Unable to read the file '{uri}': it does not exist")
        return self._files[uri]

    def file_size(self, uri: str) -> int:
        return len(self.read(uri).encode())

    def file_exists(self, uri: str) -> bool:
        return uri in self._files

    keeps_secrets = False

    def made_of(self, given: Sequence[object], result: object) -> None: ...

    def error_logs(self) -> list[dict[str, object]]:
        return self._logs

    def http(self, request: Mapping[str, object]) -> object:
        raise ExpressionFailed("no HTTP here")

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)


def run(case: Case, context: Context) -> Outcome:
    """Render the template and compare."""
    config = case.get("config") or {}
    variables = typed(case.get("context") or {}, Float32)
    for name in ("envs", "globals"):
        known = variables.get(name, {})
        variables[name] = {**_settings(config, name), **known}
    execution = variables.get("execution")
    services = CaseServices(
        case, context, execution.get("id") if isinstance(execution, dict) else None
    )
    expressions = Expressions(recursive=bool(config.get("recursive_rendering")))
    expected = case["expect"]
    try:
        result = _render(case, expressions, variables, services)
    except ExpressionFailed as error:
        return _error(expected, error)
    if "error" in expected:
        return failed(f"gave {result!r}, expected an error")
    return outcome(_mismatch(expected, result, context))


def _settings(config: dict[str, Any], name: str) -> dict[str, Any]:
    if name == "globals":
        return dict(config.get("globals", {}))
    return {
        key.removeprefix("KESTRA_").lower(): value
        for key, value in config.get("env", {}).items()
        if key.startswith("KESTRA_")
    }


def _render(
    case: Case, expressions: Expressions, variables: dict[str, Any], services: CaseServices
) -> object:
    template = case["template"]
    if case.get("mode") == "typed":
        return expressions.render_typed(template, variables, services)
    return expressions.render_deep(template, variables, services)


def _error(expected: dict[str, Any], error: ExpressionFailed) -> Outcome:
    texts = []
    step: BaseException | None = error
    while step is not None:
        texts.append(str(step))
        step = step.__cause__
    joined = "\n".join(texts)
    wanted = expected.get("error")
    if wanted is None:
        return failed(f"failed: {joined}")
    parts = [] if wanted is True else wanted
    missing = [part for part in parts if part not in joined]
    return outcome(f"the error {joined!r} lacks {missing}" if missing else None)


def _mismatch(expected: dict[str, Any], result: object, context: Context) -> str | None:
    matcher = Matcher(now=context.now, fill=lambda value: _today(value, context))
    text = result if isinstance(result, str) else ""
    for key, wanted in expected.items():
        match key:
            case "equals":
                reason = matcher.mismatch(wanted, result, exact=True)
            case "not_equals":
                reason = f"is {wanted!r}" if result == wanted else None
            case "contains" | "starts_with" | "ends_with":
                name = {"starts_with": "$starts", "ends_with": "$ends"}.get(key, "$contains")
                reason = matcher.mismatch({name: wanted}, result)
            case "json_length":
                reason = matcher.mismatch({"$size": wanted}, json.loads(text))
            case "json_contains" | "json_has":
                reason = matcher.mismatch({"$has": wanted}, json.loads(text))
            case "int_between":
                low, high = wanted
                reason = None if low <= int(text) <= high else f"{text} is not in {wanted}"
            case "not_empty":
                reason = None if result else "is empty"
            case _:
                raise ValueError(f"unknown expectation {key}")
        if reason is not None:
            return reason
    return None


def _today(value: Any, context: Context) -> Any:
    if not isinstance(value, str) or not value.startswith("$today:"):
        return value
    zone = value.removeprefix("$today:")
    return context.now.astimezone(ZoneInfo("UTC" if zone == "local" else zone)).date().isoformat()
