"""Which names wait for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def in_circles(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The names that are reached again from what they need, in their order; linear in the edges.

    Tarjan's strongly connected components, without recursion since the names come from a file.
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()
    circles: set[str] = set()
    for start in needs:
        if start in order:
            continue
        walk = [(start, iter(needs[start]))]
        order[start] = low[start] = len(order)
        stack.append(start)
        waiting.add(start)
        while walk:
            name, others = walk[-1]
            for other in others:
                if other not in needs:
                    continue
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    waiting.add(other)
                    walk.append((other, iter(needs[other])))
                    break
                if other in waiting:
                    low[name] = min(low[name], order[other])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == order[name]:
                    circles |= _close(name, stack, waiting, needs)
    return [name for name in needs if name in circles]


def _close(
    name: str, stack: list[str], waiting: set[str], needs: Mapping[str, Sequence[str]]
) -> set[str]:
    """Take one component off the stack; one name alone is a circle only if it needs itself."""
    members: set[str] = set()
    while True:
        member = stack.pop()
        waiting.discard(member)
        members.add(member)
        if member == name:
            break
    return members if len(members) > 1 or name in needs[name] else set()
