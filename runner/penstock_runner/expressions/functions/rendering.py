"""`render` and `renderOnce`: values that hold expressions themselves."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.expressions import nested
from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed, NotInline, UndefinedVariable
from penstock_runner.expressions.operators import truth
from penstock_runner.expressions.scope import Frame

RENDERING: Table = {}


@offer(RENDERING, "render", "toRender", "recursive", required=1, in_frame=True)
def render(frame: Frame, value: object, recursive: object) -> object:
    """Every text in a value rendered, until nothing changes any more."""
    return _rendered(frame, value, recursive=recursive is None or truth(recursive))


@offer(RENDERING, "renderOnce", "toRender", required=1, in_frame=True)
def render_once(frame: Frame, value: object) -> object:
    """Every text in a value rendered once."""
    return _rendered(frame, value, recursive=False)


def _rendered(frame: Frame, value: object, *, recursive: bool) -> object:
    if not isinstance(value, (str, Mapping, list, tuple, set, frozenset)):
        return value
    if isinstance(value, str) and len(value) > 64 * 1024 and "{" in value and frame.inline:
        raise NotInline("A text of more than 64 KiB cannot be rendered in the executor's step")
    try:
        return nested.deep(value, frame, recursive=recursive)
    except UndefinedVariable as error:
        # `??` around render() does not catch what is undefined inside the rendered text
        raise ExpressionFailed(str(error)) from error
