"""The tasks of a flow as a drawing, laid out from left to right. Pure.

A sequence is a row, what runs side by side is a stack, a graph is columns by depth, and a group is
a dashed zone around what is inside it. All numbers are pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock_runner.engine.state import Execution
from penstock_runner.flow.model import Flow, Task
from penstock_server.web import states

WIDTH = 152.0
HEIGHT = 44.0
ACROSS = 36.0
DOWN = 14.0
PAD = 14.0
TITLE = 22.0
STACKED = frozenset({"Parallel", "EachParallel", "If", "Switch"})
LETTERS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task."""

    id: str
    x: float
    y: float
    name: str
    kind: str
    state: str | None = None
    whole: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One group."""

    x: float
    y: float
    width: float
    height: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What comes after what."""

    path: str
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """All of it."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    zones: tuple[Zone, ...]
    wires: tuple[Wire, ...]


@dataclass(slots=True)
class _Block:
    """A part with its size, and what is drawn when its place is known."""

    width: float
    height: float
    nodes: list[Node] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)
    wires: list[tuple[float, float, float, float, bool]] = field(default_factory=list)
    live: bool = False

    def put(self, other: _Block, x: float, y: float) -> None:
        """Draw another part inside this one."""
        self.nodes += [replace(node, x=node.x + x, y=node.y + y) for node in other.nodes]
        self.zones += [replace(zone, x=zone.x + x, y=zone.y + y) for zone in other.zones]
        self.wires += [(a + x, b + y, c + x, d + y, on) for a, b, c, d, on in other.wires]


def drawn(flow: Flow, execution: Execution | None = None) -> Drawing:
    """A flow, with the states of an execution when there is one."""
    layout = _Layout(_states(execution))
    parts = [layout.row(flow.tasks)] if flow.tasks else []
    for name, tasks in (("errors", flow.errors), ("finally", flow.finally_)):
        if tasks:
            parts.append(_zone(name, layout.row(tasks)))
    whole = _stack(parts)
    return Drawing(
        width=whole.width,
        height=whole.height,
        nodes=tuple(whole.nodes),
        zones=tuple(whole.zones),
        wires=tuple(Wire(path=_curve(a, b, c, d), live=on) for a, b, c, d, on in whole.wires),
    )


def _states(execution: Execution | None) -> Mapping[str, str]:
    if execution is None:
        return {}
    found: dict[str, list[str]] = {}
    for run in execution.runs.values():
        found.setdefault(run.task_id, []).append(run.state.value)
    return {task: states.heaviest(ones) or "SUCCESS" for task, ones in found.items()}


class _Layout:
    """Turns tasks into parts."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._states = known

    def row(self, tasks: Sequence[Task]) -> _Block:
        """One after the other."""
        parts = [self.task(task) for task in tasks]
        height = max((part.height for part in parts), default=0.0)
        row = _Block(0.0, height)
        middle = height / 2
        for part in parts:
            if row.width:
                row.wires.append((row.width, middle, row.width + ACROSS, middle, part.live))
                row.width += ACROSS
            row.put(part, row.width, middle - part.height / 2)
            row.width += part.width
        row.live = any(part.live for part in parts)
        return row

    def task(self, task: Task) -> _Block:
        """One task: a node, or a zone with its branches."""
        if not task.branches:
            return self._node(task)
        kind = task.kind.rpartition(".")[2]
        parts = []
        for branch, children in task.branches.items():
            if not children:
                continue
            if task.depends_on and branch == "tasks":
                part = self._graph(task, children)
            elif kind in STACKED and branch == "tasks":
                part = _stack([self.task(child) for child in children])
            else:
                part = self.row(children)
            plain = branch == "tasks" or len(task.branches) == 1
            parts.append(part if plain else _zone(branch, part))
        state = self._states.get(task.id)
        name = f"{task.id}, {kind}" + (f", {states.label(state).lower()}" if state else "")
        zone = _zone(name, _stack(parts))
        zone.live = state in states.GOING
        return zone

    def _node(self, task: Task) -> _Block:
        state = self._states.get(task.id)
        node = Node(
            id=task.id,
            x=0.0,
            y=0.0,
            name=_cut(task.id),
            kind=_cut(task.kind.rpartition(".")[2], LETTERS + 4),
            state=state,
            whole=f"{task.id}, {task.kind}",
        )
        return _Block(WIDTH, HEIGHT, nodes=[node], live=state in states.GOING)

    def _graph(self, task: Task, children: Sequence[Task]) -> _Block:
        """Columns by how many steps come before; wires by what waits for what."""
        depths = _depths(task, children)
        columns: dict[int, list[Task]] = {}
        for child in children:
            columns.setdefault(depths[child.id], []).append(child)
        blocks = {child.id: self.task(child) for child in children}
        stacks = {
            depth: [blocks[child.id] for child in ones] for depth, ones in sorted(columns.items())
        }
        height = max(_height(ones) for ones in stacks.values())
        graph = _Block(0.0, height)
        left: dict[str, tuple[float, float]] = {}
        right: dict[str, tuple[float, float]] = {}
        for depth, ones in stacks.items():
            x = graph.width + (ACROSS * 1.5 if graph.width else 0.0)
            y = (height - _height(ones)) / 2
            for child, block in zip(columns[depth], ones, strict=True):
                graph.put(block, x, y)
                left[child.id] = (x, y + block.height / 2)
                right[child.id] = (x + block.width, y + block.height / 2)
                y += block.height + DOWN
            graph.width = x + max(block.width for block in ones)
        for child in children:
            for before in task.depends_on.get(child.id, ()):
                if before in right:
                    graph.wires.append((*right[before], *left[child.id], blocks[child.id].live))
        return graph


def _depths(task: Task, children: Sequence[Task]) -> dict[str, int]:
    names = {child.id for child in children}
    depths = dict.fromkeys(names, 0)
    # As many rounds as there are tasks settle every graph; a circle ends there too.
    for _ in range(len(names)):
        moved = False
        for name in names:
            above = [depths[b] + 1 for b in task.depends_on.get(name, ()) if b in names]
            deepest = min(max(above, default=0), len(names))
            if deepest > depths[name]:
                depths[name], moved = deepest, True
        if not moved:
            break
    return depths


def _height(blocks: Sequence[_Block]) -> float:
    return sum(block.height for block in blocks) + DOWN * (len(blocks) - 1)


def _stack(parts: Sequence[_Block]) -> _Block:
    stack = _Block(max((part.width for part in parts), default=0.0), 0.0)
    for part in parts:
        if stack.height:
            stack.height += DOWN
        stack.put(part, 0.0, stack.height)
        stack.height += part.height
    stack.live = any(part.live for part in parts)
    return stack


def _zone(name: str, inside: _Block) -> _Block:
    width = max(inside.width + 2 * PAD, len(name) * 6.2 + 2 * PAD)
    zone = _Block(width, inside.height + TITLE + PAD, live=inside.live)
    zone.zones.append(Zone(x=0.0, y=0.0, width=width, height=zone.height, name=name))
    zone.put(inside, PAD, TITLE)
    return zone


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    middle = (x1 + x2) / 2
    return f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"


def _cut(text: str, letters: int = LETTERS) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
