"""Judging a parsed flow against the types that exist and the rules of the language.

`check` gives only what reading has not told already; `(*parsed.faults, *check(parsed,
catalogue))` is all that is wrong with a file. It works on plain data, so that a file with one
broken part is still checked in all others. Properties are judged with plugin defaults in place,
but only what was written can be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from penstock_runner.flow.binding import Binder
from penstock_runner.flow.catalogue import Catalogue, TypeInfo
from penstock_runner.flow.cycles import in_circles
from penstock_runner.flow.document import Document, pointer_of
from penstock_runner.flow.faults import MAX_FAULTS, Fault, Severity, without_echoes
from penstock_runner.flow.flow_rules import flow_faults, property_names
from penstock_runner.flow.ignored import ignored, ignored_of_task
from penstock_runner.flow.labels import offending, read_labels
from penstock_runner.flow.literals import is_template
from penstock_runner.flow.parse import Parsed, flow_name
from penstock_runner.flow.retries import reasons as retry_reasons
from penstock_runner.flow.routing import BadRoute, read_route
from penstock_runner.flow.sites import Site, nested, task_sites, trigger_sites
from penstock_runner.flow.trigger_rules import (
    CONDITIONS,
    FLOW_TRIGGER,
    TRIGGERS,
    trigger_findings,
)
from penstock_runner.flow.types import (
    COMMON_TASK,
    COMMON_TRIGGER,
    DAG,
    ENGINE_TASKS,
    FLOWABLES,
    SUBFLOW,
    SWITCH,
    WORKING_DIRECTORY,
    Shape,
    canonical,
)
from penstock_runner.flow.unmatched import SPELLINGS
from penstock_runner.flow.violations import joined_message
from penstock_runner.flow.wording import describe, unknown_property

__all__ = ["check", "joined_message"]

_ROUTES = (("runsOn", "runs-on"), ("workerGroup",), ("workerSelector",))
_NESTED = frozenset(("type", "id", "version"))


def check(parsed: Parsed, catalogue: Catalogue) -> tuple[Fault, ...]:
    """What is wrong beyond what reading told."""
    data = parsed.document.data
    if not isinstance(data, Mapping) or any(f.code.startswith("YAML_") for f in parsed.errors):
        return ()
    checker = _Checker(parsed, data, catalogue)
    name = flow_name(data)
    told = {(fault.code, fault.pointer) for fault in parsed.faults}
    found = list(islice(checker.faults(), MAX_FAULTS))
    return tuple(
        replace(fault, flow=name)
        for fault in without_echoes(found, parsed.faults)
        if (fault.code, fault.pointer) not in told
    )


@dataclass(frozen=True, slots=True)
class _Checker:
    parsed: Parsed
    data: Mapping[str, object]
    catalogue: Catalogue

    @property
    def document(self) -> Document:
        return self.parsed.document

    def faults(self) -> Iterator[Fault]:
        effective = self.parsed.effective_data or self.data
        tasks = list(task_sites(self.data, effective))
        for site in tasks:
            yield from self._task(site)
        for site in trigger_sites(self.data, effective):
            yield from self._trigger(site)
        listeners = self.data.get("listeners")
        for index, item in enumerate(listeners if isinstance(listeners, list) else ()):
            if isinstance(item, Mapping):
                at = f"/listeners/{index}/conditions"
                yield from self._nested(item.get("conditions"), at)
        yield from self._retry(self.data.get("retry"), "/retry")
        yield from self._routing(self.data, "")
        yield from flow_faults(self.parsed, self.data, tasks, self.catalogue)
        yield from ignored(self.document, self.data)

    # -- tasks and triggers -----------------------------------------------------------------------

    def _task(self, site: Site) -> Iterator[Fault]:
        yield from self._retry(site.written.get("retry"), site.pointer + "/retry")
        yield from self._routing(site.written, site.pointer)
        yield from ignored_of_task(self.document, site)
        if site.parent == WORKING_DIRECTORY:
            yield from self._in_working_directory(site)
        kind = site.kind
        if kind in FLOWABLES:
            yield from self._flowable(site)
            return
        info = self.catalogue.find(site.type) if site.type else None
        if info is None and kind in ENGINE_TASKS:
            yield from self._shape(site, ENGINE_TASKS[kind], COMMON_TASK)
        elif site.type:
            yield from self._typed(site, info, "task", COMMON_TASK)
        if kind == SUBFLOW:
            for message in offending(read_labels(site.written.get("labels"))[0]):
                yield self.document.fault("BAD_VALUE", message, site.pointer + "/labels")

    def _trigger(self, site: Site) -> Iterator[Fault]:
        kind = site.kind
        info = self.catalogue.find(site.type) if site.type else None
        if (info is None or info.properties is None) and kind in TRIGGERS:
            yield from self._shape(site, TRIGGERS[kind], COMMON_TRIGGER)
        elif site.type:
            yield from self._typed(site, info, "trigger", COMMON_TRIGGER)
        for where, code, message in trigger_findings(kind, site.effective):
            yield self.document.fault(code, message, site.pointer + pointer_of(*where))
        yield from self._nested(site.written.get("conditions"), site.pointer + "/conditions")
        yield from self._routing(site.written, site.pointer)
        for message in offending(read_labels(site.written.get("labels"))[0]):
            yield self.document.fault("BAD_VALUE", message, site.pointer + "/labels")
        conditions = site.written.get("conditions") or site.written.get("preconditions")
        if kind == FLOW_TRIGGER and not conditions:
            message = (
                "This flow will be triggered for EVERY execution of EVERY flow on your instance. We"
                f" recommend adding the preconditions property to the Flow trigger '{site.id}'."
            )
            fault = self.document.fault("FLOW_TRIGGER_FOR_ALL", message, site.pointer)
            yield replace(fault, severity=Severity.WARNING)

    def _typed(
        self, site: Site, info: TypeInfo | None, place: str, common: frozenset[str]
    ) -> Iterator[Fault]:
        """A task or trigger of a type that belongs to the catalogue."""
        at = site.pointer + "/type"
        if info is None:
            yield self._unknown_type(site.type, at, f"UNKNOWN_{place.upper()}_TYPE")
        elif not info.available:
            yield self._not_available(site.type, at)
        elif info.kind not in (place, "other"):
            fault = self.document.fault("BAD_VALUE", f"Invalid type: {site.type}", at)
            yield replace(fault, hint=f"it is a {info.kind}, not a {place}")
        else:
            yield from self._properties(site, info, common)
            for name, value in site.written.items():
                if isinstance(value, dict | list) and name not in common:
                    yield from self._nested(value, site.pointer + pointer_of(name))

    def _nested(self, value: object, pointer: str) -> Iterator[Fault]:
        """Conditions, task runners, providers: objects with a type inside others."""
        for at, item in nested(value, pointer):
            type_ = str(item["type"])
            site = Site(pointer=at, written=item, effective=self._with_defaults(item, at))
            info = self.catalogue.find(type_)
            known = CONDITIONS.get(canonical(type_))
            if (info is None or info.properties is None) and known is not None:
                yield from self._shape(site, known, _NESTED)
            elif info is None:
                yield self._unknown_type(type_, at + "/type", "UNKNOWN_TASK_TYPE")
            elif not info.available:
                yield self._not_available(type_, at + "/type")
            else:
                yield from self._properties(site, info, _NESTED)

    def _with_defaults(self, item: Mapping[str, object], pointer: str) -> Mapping[str, object]:
        found: object = self.parsed.effective_data
        if not found or found is self.data:
            return item
        for step in pointer.split("/")[1:]:
            if isinstance(found, list):
                found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
            else:
                found = found.get(step) if isinstance(found, Mapping) else None
        same = isinstance(found, Mapping) and found.get("type") == item.get("type")
        return cast("Mapping[str, object]", found) if same else item

    def _unknown_type(self, type_: str, pointer: str, code: str) -> Fault:
        similar = self.catalogue.similar(type_)
        hint = f"did you mean '{similar[0]}'?" if similar else None
        return replace(self.document.fault(code, f"Invalid type: {type_}", pointer), hint=hint)

    def _not_available(self, type_: str, pointer: str) -> Fault:
        message = f"the type {type_} is not part of this installation: it fails when it is reached"
        fault = self.document.fault("TYPE_NOT_AVAILABLE", message, pointer)
        return replace(fault, severity=Severity.WARNING)

    # -- properties -------------------------------------------------------------------------------

    def _properties(self, site: Site, info: TypeInfo, common: frozenset[str]) -> Iterator[Fault]:
        model = info.properties
        if model is None:
            return
        names = property_names(model.model_fields)
        if self.parsed.strict:
            known = names | common
            for name in site.written:
                if name not in known:
                    yield self._unknown(site, name, names | {"id", "type"})
        values = {k: v for k, v in site.effective.items() if k in names and v is not None}
        yield from self._validated(model, values, site.pointer)

    def _unknown(self, site: Site, name: str, names: frozenset[str]) -> Fault:
        return unknown_property(self.document, site.pointer, name, site.type, names)

    def _validated(
        self, model: type[BaseModel], values: Mapping[str, object], pointer: str
    ) -> Iterator[Fault]:
        try:
            model.model_validate(values)
        except ValidationError as error:
            seen: set[str] = set()
            for detail in error.errors(include_url=False):
                where, value = _found(values, detail["loc"], detail["type"])
                at = pointer + pointer_of(*where)
                # What is rendered later cannot be judged now, and a union tells each of its ways.
                if at in seen or is_template(value):
                    continue
                seen.add(at)
                shown = str(where[-1]) if where else pointer.rpartition("/")[2]
                code, message, hint = describe(shown, cast("Mapping[str, object]", detail))
                if code == "UNKNOWN_PROPERTY" and not self._refuses(at):
                    continue
                yield replace(self.document.fault(code, message, at), hint=hint)

    def _refuses(self, pointer: str) -> bool:
        return self.parsed.strict and self.document.has(pointer)

    def _shape(self, site: Site, shape: Shape, common: frozenset[str]) -> Iterator[Fault]:
        """Properties of which only the names are known."""
        if self.parsed.strict:
            known = shape.names | common
            for name in site.written:
                if name not in known:
                    yield self._unknown(site, name, known)
        yield from self._required(site, sorted(shape.required))

    def _required(self, site: Site, names: list[str]) -> Iterator[Fault]:
        for name in names:
            if site.effective.get(name) is None:
                message = f"'{name}' must not be null"
                yield self.document.fault("MISSING_PROPERTY", message, f"{site.pointer}/{name}")

    # -- rules of the language --------------------------------------------------------------------

    def _flowable(self, site: Site) -> Iterator[Fault]:
        spec = FLOWABLES[site.kind]
        info = self.catalogue.find(site.type)
        if info is None or info.properties is None:
            yield from self._required(site, sorted(spec.required))
        else:
            own = {k: v for k, v in site.effective.items() if k in spec.own and v is not None}
            yield from self._validated(info.properties, own, site.pointer)
        for name in sorted(spec.required_lists):
            if not site.effective.get(name):
                message = f"'{name}' must not be empty"
                yield self.document.fault("MISSING_PROPERTY", message, f"{site.pointer}/{name}")
        for name, value in site.written.items():
            if isinstance(value, dict | list) and name in spec.own:
                yield from self._nested(value, site.pointer + pointer_of(name))
        tasks = site.effective.get("tasks")
        if site.kind == WORKING_DIRECTORY and not tasks:
            message = f"{site.id}: The 'tasks' property cannot be empty"
            yield self.document.fault("MISSING_PROPERTY", message, site.pointer)
        elif site.kind == SWITCH and not _any_case(site.effective):
            message = f"{site.id}: No task defined, neither cases or default have any tasks"
            yield self.document.fault("MISSING_PROPERTY", message, site.pointer)
        elif site.kind == DAG:
            yield from self._dag(site, tasks)

    def _dag(self, site: Site, tasks: object) -> Iterator[Fault]:
        if not isinstance(tasks, list) or not tasks:
            message = f"{site.id}: No task defined"
            yield self.document.fault("MISSING_PROPERTY", message, site.pointer)
            return
        needs = _needs(tasks)
        for index, item in enumerate(tasks):
            wanted = item.get("dependsOn") if isinstance(item, Mapping) else None
            for at, name in enumerate(wanted if isinstance(wanted, list) else ()):
                if str(name) not in needs:
                    message = f"{site.id}: Not existing task id in dependency: {name}"
                    pointer = f"{site.pointer}/tasks/{index}/dependsOn/{at}"
                    yield self.document.fault("BAD_VALUE", message, pointer)
        if circle := in_circles(needs):
            message = f"{site.id}: Cyclic dependency detected: {', '.join(circle)}"
            yield self.document.fault("BAD_VALUE", message, site.pointer + "/tasks")

    def _in_working_directory(self, site: Site) -> Iterator[Fault]:
        if "errors" in site.pointer.split("/")[-2:]:
            return
        if site.kind in FLOWABLES or site.kind in ENGINE_TASKS:
            message = "Only runnable tasks are allowed as children of a WorkingDirectory task"
            yield self.document.fault("BAD_VALUE", message, site.pointer)
        if site.written.get("workerGroup") is not None:
            message = (
                "Cannot set a Worker Group in any WorkingDirectory sub-tasks,"
                " it is only supported at the WorkingDirectory level"
            )
            yield self.document.fault("BAD_VALUE", message, site.pointer + "/workerGroup")

    def _routing(self, data: Mapping[str, object], pointer: str) -> Iterator[Fault]:
        given = [n for names in _ROUTES for n in names if data.get(n) is not None]
        if len(given) > 1:
            message = f"{' and '.join(given)} both say where to run: keep one"
            yield self.document.fault("CONFLICTING_ROUTING", message, f"{pointer}/{given[1]}")
        for name in given:
            if "{{" not in repr(data[name]):
                try:
                    read_route({SPELLINGS[name]: data[name]})
                except BadRoute as bad:
                    yield self.document.fault("BAD_VALUE", str(bad), f"{pointer}/{name}")

    def _retry(self, data: object, pointer: str) -> Iterator[Fault]:
        if not isinstance(data, Mapping):
            return
        retry = Binder(Document(), strict=False).retry(data, pointer)
        for name, code, message in retry_reasons(retry) if retry is not None else ():
            written = "maxAttempt" if name == "maxAttempts" and name not in data else name
            fault = self.document.fault(code, message, f"{pointer}/{written}")
            yield fault if code == "MISSING_PROPERTY" else replace(fault, pointer=pointer)


def _found(values: Any, loc: tuple[int | str, ...], kind: str) -> tuple[list[str | int], object]:
    """The steps of an error's place that are there, and the value at their end."""
    where: list[str | int] = []
    value: Any = values
    for index, step in enumerate(loc):
        if _holds(value, step):
            value = value[step]
        elif kind == "missing" and index == len(loc) - 1:
            return [*where, step], None
        else:
            continue
        where.append(step)
    return where, value


def _holds(value: Any, step: int | str) -> bool:
    if isinstance(step, int) and isinstance(value, list | tuple):
        return step < len(value)
    return isinstance(value, Mapping) and step in value


def _any_case(data: Mapping[str, object]) -> bool:
    cases = data.get("cases")
    return bool(data.get("defaults")) or (isinstance(cases, Mapping) and any(cases.values()))


def _needs(tasks: list[object]) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for item in tasks:
        task = item.get("task") if isinstance(item, Mapping) else None
        if isinstance(item, Mapping) and isinstance(task, Mapping):
            wanted = item.get("dependsOn")
            listed = wanted if isinstance(wanted, list) else [wanted] if wanted else []
            needs[str(task.get("id"))] = [str(name) for name in listed]
    return needs
