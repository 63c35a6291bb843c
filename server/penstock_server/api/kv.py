"""The key-value store of namespaces."""

from __future__ import annotations

import json
from datetime import timedelta

import isodate
import orjson
from flask import Blueprint, Response, request

from penstock_runner.flow import durations
from penstock_runner.tasks import keyvalues
from penstock_runner.tasks.ion import BadItem, read_value
from penstock_server.api import parameters, routing
from penstock_server.api.answers import empty, json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.problems import Problem, illegal_argument, not_found
from penstock_server.api.routing import delete, get, put
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import queries

MAX_VALUE = 4 * 1024 * 1024
MAX_KEY = 256
LONGEST = timedelta(days=365_000)


class KvRoutes:
    """The routes below `/namespaces/<namespace>/kv`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/<namespace>/kv")
    def entries(self, namespace: str) -> Response:
        """Keys that have not expired, with their dates."""
        return json_answer(self._dated(namespace))

    @get("/<namespace>/kv/inheritance")
    def inherited(self, namespace: str) -> Response:
        """The keys of the namespaces above, which flows can read by naming the namespace."""
        parts = namespace.split(".")
        above = [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
        return json_answer([entry for one in above for entry in self._dated(one)])

    def _dated(self, namespace: str) -> list[Json]:
        with self._context.database.read() as connection:
            found = queries.kv_entries(connection, namespace, self._context.clock.now())
        return [
            without_nulls(
                {
                    "namespace": namespace,
                    "key": entry.key,
                    "creationDate": iso(entry.created),
                    "updateDate": iso(entry.updated),
                    "expirationDate": iso(entry.expires) if entry.expires else None,
                }
            )
            for entry in found
        ]

    @get("/<namespace>/kv/<key>")
    def value(self, namespace: str, key: str) -> Response:
        """One value with its type."""
        check_key(key)
        with self._context.database.read() as connection:
            entry = queries.kv_entry(connection, namespace, key)
        if entry is None:
            raise not_found(f"No value found for key '{key}' in namespace '{namespace}'")
        if entry.expires is not None and entry.expires <= self._context.clock.now():
            raise Problem(410, "The requested value has expired")
        return json_answer({"type": entry.type, "value": entry.value})

    @put("/<namespace>/kv/<key>")
    def write(self, namespace: str, key: str) -> Response:
        """Write a value given as JSON or Ion text."""
        check_key(key)
        raw = request.get_data()
        if len(raw) > MAX_VALUE:
            raise Problem(413, f"a value has at most {MAX_VALUE // 1024 // 1024} MiB")
        text = raw.decode("utf-8", "replace")
        now = self._context.clock.now()
        try:
            entry = keyvalues.make_entry(key, read(text), None, _ttl(), now, None)
        except (BadItem, keyvalues.BadValue):
            raise illegal_argument(f"Invalid JSON value for: {key}") from None
        self._context.client.call(
            "kv.put",
            namespace=namespace,
            key=key,
            value=entry.value,
            kind=entry.type,
            ttl=None if entry.expires is None else durations.to_iso(entry.expires - now),
        )
        return empty(200)

    @delete("/<namespace>/kv/<key>")
    def remove(self, namespace: str, key: str) -> Response:
        """Delete one key; whether it was there."""
        check_key(key)
        return json_answer(self._removed(namespace, key))

    @delete("/<namespace>/kv")
    def remove_many(self, namespace: str) -> Response:
        """Delete keys; those that were there."""
        body = json_of(request)
        keys = body.get("keys") if isinstance(body, dict) else None
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise Problem(422, "keys must be a list of texts", reason="Invalid json mapping")
        for key in keys:
            check_key(key)
        return json_answer({"keys": [key for key in keys if self._removed(namespace, key)]})

    def _removed(self, namespace: str, key: str) -> bool:
        return bool(self._context.client.call("kv.delete", namespace=namespace, key=key))

    def everywhere(self) -> list[Json]:
        """The keys of all namespaces, in order."""
        with self._context.database.read() as connection:
            namespaces = queries.kv_namespaces(connection)
        return [entry for namespace in namespaces for entry in self._dated(namespace)]


class KeyListRoutes:
    """The route `/kv`."""

    def __init__(self, routes: KvRoutes) -> None:
        self._routes = routes

    @get("")
    def all(self) -> Response:
        """The keys of all namespaces, one page."""
        paging = parameters.paging(request.args)
        found = self._routes.everywhere()
        start = (paging.page - 1) * paging.size
        return paged(found[start : start + paging.size], len(found))


def blueprints(context: WebContext) -> tuple[Blueprint, Blueprint]:
    """The routes below `/namespaces/<namespace>/kv`, and `/kv`."""
    routes = KvRoutes(context)
    return (
        routing.blueprint("kv", "/namespaces", routes),
        routing.blueprint("keys", "/kv", KeyListRoutes(routes)),
    )


def check_key(key: str) -> None:
    """Refuse what is no key."""
    try:
        keyvalues.check_key(key)
    except keyvalues.BadKey as bad:
        raise illegal_argument(str(bad)) from None
    if len(key) > MAX_KEY:
        raise illegal_argument(f"Key must have at most {MAX_KEY} characters")


def read(text: str) -> object:
    """The value of a JSON or Ion text; what cannot be kept is refused, a bare word too."""
    value = read_value(text)
    bare = isinstance(value, str) and text.strip()[:1] not in {'"', "'"}
    if value is None or bare:
        raise BadItem("a text needs quotes, and null is no value")
    try:
        # What is not finite comes back as null from the one, more than 64 bits fail in the other.
        json.dumps(value, default=str, allow_nan=False)
        orjson.dumps(value, default=str)
    except (TypeError, ValueError) as error:
        raise BadItem("the value cannot be kept") from error
    return value


def _ttl() -> timedelta | None:
    """The header `ttl`, an ISO duration."""
    text = request.headers.get("ttl")
    if not text:
        return None
    try:
        found = isodate.parse_duration(text)
    except (ValueError, OverflowError):
        found = None
    if not isinstance(found, timedelta) or found > LONGEST:
        raise illegal_argument(f"ttl must be a duration such as PT5M, not '{text[:60]}'")
    if found < timedelta(0):
        raise illegal_argument("ttl cannot be negative")
    return found
