"""Functions that ask the outside world: time, secrets, keys, logs, HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import (
    ExpressionFailed,
    KeyMissing,
    UndefinedVariable,
    UnknownSecret,
)
from penstock_runner.expressions.filters.arguments import text_argument
from penstock_runner.expressions.filters.dates import placed, shown
from penstock_runner.expressions.operators import truth
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.text import printed

WORLD: Table = {}


@offer(WORLD, "now", "format", "timeZone", "existingFormat", "locale", in_frame=True)
def now(frame: Frame, pattern: object, time_zone: object, _existing: object, locale: object) -> str:
    """The current date-time in a format."""
    return shown(placed(frame, frame.services.now(), time_zone, None), pattern, locale)


@offer(WORLD, "secret", "key", "namespace", "subkey", required=1, in_frame=True)
def secret(frame: Frame, key: object, namespace: object, subkey: object) -> str:
    """A secret, looked up in upper case; a subkey takes one field of a JSON secret."""
    name = text_argument(key, "secret", "key")
    where = own_namespace(frame) if namespace is None else printed(namespace)
    try:
        value = frame.services.secret(name.upper(), where)
    except UnknownSecret:
        raise UnknownSecret(name) from None
    if subkey is None:
        return value
    part = printed(subkey)
    try:
        fields = json.loads(value)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or part not in fields:
        raise ExpressionFailed(f"Cannot find the field '{part}' in the secret for key '{name}'.")
    return printed(fields[part])


@offer(WORLD, "kv", "key", "namespace", "errorOnMissing", required=1, in_frame=True)
def kv(frame: Frame, key: object, namespace: object, error_on_missing: object) -> object:
    """A value of the key-value store; null when there is none, unless an error is asked for."""
    name = text_argument(key, "kv", "key")
    where = own_namespace(frame) if namespace is None else printed(namespace)
    try:
        return frame.services.kv(name, where)
    except KeyMissing:
        if error_on_missing is None or not truth(error_on_missing):
            return None
        raise KeyMissing(name, where) from None


@offer(WORLD, "errorLogs", pure=False, in_frame=True)
def error_logs(frame: Frame) -> object:
    """The ERROR log lines of the execution."""
    return frame.services.error_logs()


@offer(
    WORLD,
    "http",
    "uri",
    "method",
    "query",
    "body",
    "contentType",
    "headers",
    "options",
    "accept",
    required=1,
    pure=False,
    in_frame=True,
)
def http(frame: Frame, *given: object) -> object:
    """The body of the answer to an HTTP request."""
    names = ("uri", "method", "query", "body", "contentType", "headers", "options", "accept")
    request = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    request.setdefault("method", "GET")
    return frame.services.http(request)


def own_namespace(frame: Frame) -> str | None:
    """The namespace of the flow."""
    flow = frame.all_variables().get("flow")
    namespace = flow.get("namespace") if isinstance(flow, Mapping) else None
    return namespace if isinstance(namespace, str) else None


@offer(WORLD, "env", "name", required=1, in_frame=True)
def env(frame: Frame, name: object) -> object:
    """One of `envs`."""
    envs = frame.all_variables().get("envs")
    key = printed(name)
    if isinstance(envs, Mapping):
        for known in (key, key.lower()):
            if known in envs:
                return envs[known]
    raise UndefinedVariable(key)
