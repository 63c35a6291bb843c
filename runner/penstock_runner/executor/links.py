"""Links to executions in log lines: written by the executor, shown by pages and terminals.

A link is text in the form that clients of the API know; where it is shown, it may become more.
"""

from __future__ import annotations

import re

_ID = "[A-Za-z0-9][A-Za-z0-9._-]*"
LINK = re.compile(rf'\[\[link execution="({_ID})" flowId="({_ID})" namespace="({_ID})"\]\]')


def link(execution_id: str, flow_id: str, namespace: str) -> str:
    """A link as text."""
    return f'[[link execution="{execution_id}" flowId="{flow_id}" namespace="{namespace}"]]'


def in_words(message: str) -> str:
    """A message for where no link can be followed: each is the flow and the id instead."""
    return LINK.sub(r"\3.\2 \1", message)
