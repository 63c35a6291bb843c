"""Where the tasks, triggers and nested typed objects of a flow's plain data are.

`check` looks at plain data, because it must also judge flows that could not be bound. Each site
has the object as written and, beside it, as it is after plugin defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock_runner.flow.document import pointer_of
from penstock_runner.flow.literals import is_template
from penstock_runner.flow.types import FLOWABLES, Flowable, canonical

_PARTS = ("tasks", "errors", "finally", "afterExecution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One object with a type: where it is, what was written, what runs, and the kind above it."""

    pointer: str
    written: Mapping[str, object]
    effective: Mapping[str, object]
    parent: str = ""

    @property
    def type(self) -> str:
        """The type as written; empty when there is none."""
        type_ = self.written.get("type")
        return type_ if isinstance(type_, str) else ""

    @property
    def kind(self) -> str:
        """The present name of the type."""
        return canonical(self.type)

    @property
    def id(self) -> str:
        """The id as text; empty when there is none."""
        id_ = self.written.get("id")
        return str(id_) if isinstance(id_, str | int | float) else ""


def task_sites(written: Mapping[str, object], effective: Mapping[str, object]) -> Iterator[Site]:
    """All tasks of a flow, parents before children, in the order that messages name them."""
    for name in _PARTS:
        yield from _listed(written.get(name), effective.get(name), f"/{name}", "")
    listeners, known = _items(written.get("listeners")), _items(effective.get("listeners"))
    for index, item in enumerate(listeners):
        if isinstance(item, Mapping):
            beside = _beside(item, known, index)
            pointer = f"/listeners/{index}/tasks"
            yield from _listed(item.get("tasks"), beside.get("tasks"), pointer, "")


def trigger_sites(written: Mapping[str, object], effective: Mapping[str, object]) -> Iterator[Site]:
    """All triggers of a flow."""
    known = _items(effective.get("triggers"))
    for index, item in enumerate(_items(written.get("triggers"))):
        if isinstance(item, Mapping):
            beside = _beside(item, known, index)
            yield Site(pointer=f"/triggers/{index}", written=item, effective=beside)


def below(site: Site) -> Iterator[Site]:
    """The child tasks of a task, at any depth."""
    flowable = FLOWABLES.get(site.kind)
    if flowable is None:
        return
    for name, value in site.written.items():
        at = site.pointer + pointer_of(name)
        beside = site.effective.get(name)
        if name in flowable.lists:
            yield from _listed(value, beside, at, site.kind)
        elif name == flowable.single and isinstance(value, Mapping):
            yield from _one(value, beside, at, site.kind)
        elif name in (flowable.cases, "tasks"):
            yield from _odd(flowable, value, beside, at, site.kind)


def _odd(flowable: Flowable, value: object, beside: object, at: str, parent: str) -> Iterator[Site]:
    """Children that are not simply a list: the cases of a Switch, the nodes of a Dag."""
    if flowable.cases is not None and isinstance(value, Mapping):
        known = beside if isinstance(beside, Mapping) else {}
        for case, tasks in value.items():
            yield from _listed(tasks, known.get(case), at + pointer_of(case), parent)
    elif flowable.edges:
        nodes = _items(beside)
        for index, node in enumerate(_items(value)):
            task = node.get("task") if isinstance(node, Mapping) else None
            if isinstance(task, Mapping):
                other = nodes[index] if index < len(nodes) else None
                counterpart = other.get("task") if isinstance(other, Mapping) else None
                yield from _one(task, counterpart, f"{at}/{index}/task", parent)


def _listed(written: object, effective: object, pointer: str, parent: str) -> Iterator[Site]:
    known = _items(effective)
    for index, item in enumerate(_items(written)):
        if isinstance(item, Mapping):
            beside = item if effective is written else _beside(item, known, index)
            yield from _one(item, beside, f"{pointer}/{index}", parent)


def _one(
    written: Mapping[str, object], effective: object, pointer: str, parent: str
) -> Iterator[Site]:
    beside = effective if isinstance(effective, Mapping) else written
    site = Site(pointer=pointer, written=written, effective=beside, parent=parent)
    yield site
    yield from below(site)


def _beside(item: Mapping[str, object], known: list[object], index: int) -> Mapping[str, object]:
    """The same object with defaults: found by id, since a default may put items in front."""
    for other in (*known[index : index + 1], *known):
        if isinstance(other, Mapping) and other.get("id") == item.get("id"):
            return other
    return item


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def nested(value: object, pointer: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Objects of the language's own types inside a value, at any depth, outermost first."""
    if isinstance(value, Mapping):
        type_ = value.get("type")
        if isinstance(type_, str) and type_.startswith("io.kestra."):
            yield pointer, value
        for name, item in value.items():
            if isinstance(item, dict | list):
                yield from nested(item, pointer + pointer_of(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from nested(item, f"{pointer}/{index}")


def templates(value: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every text of the data that is rendered later, with its pointer."""
    if isinstance(value, str):
        if is_template(value):
            yield pointer, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from templates(item, pointer + pointer_of(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from templates(item, f"{pointer}/{index}")
