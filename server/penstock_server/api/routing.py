"""Routes as methods: a class holds what its routes need, a mark on each method says its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Response

Route = TypeVar("Route", bound=Callable[..., Response])

_MARK = "__routes__"


def get(path: str) -> Callable[[Route], Route]:
    """Answers GET (and HEAD) at this path."""
    return _marked("GET", path)


def post(path: str) -> Callable[[Route], Route]:
    """Answers POST at this path."""
    return _marked("POST", path)


def put(path: str) -> Callable[[Route], Route]:
    """Answers PUT at this path."""
    return _marked("PUT", path)


def patch(path: str) -> Callable[[Route], Route]:
    """Answers PATCH at this path."""
    return _marked("PATCH", path)


def delete(path: str) -> Callable[[Route], Route]:
    """Answers DELETE at this path."""
    return _marked("DELETE", path)


def action(method: str, name: str) -> Callable[[Route], Route]:
    """Acts on one execution, where clients of both versions of the language look for it."""

    def mark(view: Route) -> Route:
        for path in (f"/<execution_id>/{name}", f"/<execution_id>/actions/{name}"):
            view = _marked(method, path)(view)
        return view

    return mark


def blueprint(name: str, prefix: str, handlers: object) -> Blueprint:
    """A blueprint of all marked methods of `handlers`."""
    routes = Blueprint(name, __name__, url_prefix=prefix)
    for attribute in vars(type(handlers)):
        view: Any = getattr(handlers, attribute)
        for method, path in getattr(view, _MARK, ()):
            routes.add_url_rule(path, attribute, view, methods=[method])
    return routes


def _marked(method: str, path: str) -> Callable[[Route], Route]:
    def mark(view: Route) -> Route:
        setattr(view, _MARK, (*getattr(view, _MARK, ()), (method, path)))
        return view

    return mark
