"""Flow sources out of request bodies: YAML as it is, JSON written as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import yaml
from flask import Request

from penstock_server.api.problems import Problem, illegal_argument

MAX_BODY = 4 * 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z_][\w./ -]*[\w]|[A-Za-z_]", re.ASCII)
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class _Dumper(yaml.SafeDumper):
    """Writes text plain only where no reader could take it for something else."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and not re.search(r"[^\S\n]\n|^\s|\r|\t", text):
        style: str | None = "|"
    elif _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT and "  " not in text:
        style = None
    else:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(data: object) -> str:
    """Plain data as YAML text that reads back to the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def text_of(request: Request) -> str:
    """The body as text; YAML is UTF-8."""
    raw = request.get_data(cache=True)
    if len(raw) > MAX_BODY:
        raise Problem(413, f"a body of flows has at most {MAX_BODY // 1024 // 1024} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise illegal_argument("the body is not UTF-8") from None


def json_of(request: Request) -> Any:
    """The body as JSON."""
    try:
        return orjson.loads(request.get_data(cache=True) or b"null")
    except orjson.JSONDecodeError as error:
        raise Problem(422, str(error), reason="Invalid json") from None


def is_json(request: Request) -> bool:
    """Whether the body says that it is JSON."""
    return request.mimetype == "application/json"


def source_of(request: Request) -> str:
    """The source of one flow (or of many, in YAML)."""
    if not is_json(request):
        return text_of(request)
    data = json_of(request)
    if not isinstance(data, Mapping):
        raise Problem(422, "a flow is a JSON object", reason="Invalid json mapping")
    return flow_yaml(data)


def flow_yaml(data: Mapping[str, Any]) -> str:
    """A flow given as JSON as YAML, without what only answers hold."""
    answer_only = ("revision", "source", "updated", "deleted", "exception", "git", "managedBy")
    return to_yaml({key: value for key, value in data.items() if key not in answer_only})


def sources_of(request: Request) -> list[str]:
    """The sources of many flows: a JSON list, or YAML documents."""
    from penstock_runner.flow.yaml import load_documents

    if is_json(request):
        data = json_of(request)
        items = data if isinstance(data, list) else [data]
        if not all(isinstance(item, Mapping) for item in items):
            raise Problem(422, "flows are a JSON list of objects", reason="Invalid json mapping")
        return [flow_yaml(item) for item in items]
    documents = load_documents(text_of(request))
    return [d.source or d.text for d in documents if d.faults or d.data is not None]
