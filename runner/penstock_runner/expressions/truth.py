"""When a rendered text counts as true: `runIf`, conditions of `If`, `WaitFor` and triggers."""

from __future__ import annotations

_FALSE = frozenset({"", "false", "0", "-0"})


def truthy(text: str | None) -> bool:
    """False for nothing, the empty text, `false`, `0` and `-0`; true for any other text.

    The text is taken as it is: `False`, a space and `false` with a newline are true.
    """
    return text is not None and text not in _FALSE
