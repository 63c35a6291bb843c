"""Answers: JSON written by orjson, paged lists, counts, downloads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from flask import Response

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def json_answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with `value` as JSON."""
    try:
        body = orjson.dumps(value, default=_other, option=OPTIONS)
    except TypeError:
        # Numbers over 64 bit, and halves of surrogate pairs: only the slow writer knows them.
        body = json.dumps(value, default=_other).encode()
    answer = Response(body, status, mimetype="application/json")
    if headers:
        answer.headers.update(headers)
    return answer


def paged(results: Iterable[Any], total: int) -> Response:
    """One page of a list."""
    return json_answer({"results": list(results), "total": total})


def counted(count: int) -> Response:
    """The answer of an action on many things."""
    return json_answer({"count": count})


def empty(status: int = 204) -> Response:
    """An answer without body."""
    return Response(status=status)


def download(content: Any, name: str, mimetype: str = "application/octet-stream") -> Response:
    """A file to keep; a browser never shows it as a page of ours."""
    answer = Response(content, mimetype=mimetype)
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def _other(value: Any) -> Any:
    """What orjson does not know: mappings and sequences of other classes, and decimals as text."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
