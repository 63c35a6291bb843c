"""What a start is made of: inputs out of a request, resolved by the flow, uploads stored.

Validation happens here, in the web process; core is asked with values that are final. Where a file
will be is known before it is stored, so nothing is stored for a start that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from flask import Request
from werkzeug.datastructures import FileStorage, MultiDict

from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.flow.inputs import Resolved, ResolvedInput, file_extension, resolve
from penstock_runner.flow.labels import CORRELATION_ID, offending
from penstock_runner.flow.model import Flow, Input
from penstock_runner.tasks.places import input_file
from penstock_server.api import parameters
from penstock_server.api.context import WebContext
from penstock_server.api.problems import Problem, illegal_argument, invalid_entity
from penstock_server.api.sources import is_json, json_of
from penstock_server.core.shapes import Json, without_nulls

Labels = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The inputs of a request: texts (or JSON values) and files, by input id."""

    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileStorage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What core is given; an id only when files had to be stored under it."""

    values: Json
    execution_id: str | None = None


class Starts:
    """Turns requests into the inputs of executions."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._ids = ExecutionIds()

    def prepare(self, flow: Flow, request: Request) -> Prepared:
        """The inputs of a new execution; a 422 that names every fault when they do not fit."""
        offered = given(request)
        execution_id = self._ids.new(self._context.clock.now()) if offered.files else None
        values = self.resolved(
            flow.inputs, offered, (flow.namespace, flow.id, execution_id or "unknown")
        )
        return Prepared(values=values, execution_id=execution_id)

    def resolved(
        self, inputs: Sequence[Input], offered: Given, place: tuple[str, str, str]
    ) -> Json:
        """The values of declared inputs; uploads go to `place`: namespace, flow, execution."""
        addresses = _addresses(inputs, offered, place)
        found = self._resolve(inputs, {**offered.values, **addresses})
        if found.blocking:
            errors = [{"path": e.id, "message": e.message} for e in found.blocking]
            raise invalid_entity(", ".join(e.message for e in found.blocking), errors)
        for name, address in addresses.items():
            stream = cast(BinaryIO, offered.files[name].stream)
            self._context.storage.put_stream(address, stream)
        return dict(found.values)

    def judged(self, flow: Flow, request: Request, labels: Labels) -> Json:
        """Each declared input with what became of it, and failed checks; nothing is stored."""
        offered = given(request)
        addresses = _addresses(flow.inputs, offered, ("validation", "validation", "validation"))
        found = self._resolve(flow.inputs, {**offered.values, **addresses})
        return {
            "inputs": [_judged(one) for one in found.inputs],
            "checks": self._failed_checks(flow, found, labels),
        }

    def failed_checks(self, flow: Flow) -> list[Json]:
        """The checks that a start with the defaults of a flow would not pass."""
        if not flow.checks:
            return []
        return self._failed_checks(flow, self._resolve(flow.inputs, {}), ())

    def _failed_checks(self, flow: Flow, found: Resolved, labels: Labels) -> list[Json]:
        """Core judges, as it knows keys and secrets; inputs that do not fit come first."""
        if not flow.checks or found.blocking:
            return []
        failed: list[Json] = self._context.client.call(
            "execution.checks",
            namespace=flow.namespace,
            flow_id=flow.id,
            revision=flow.revision,
            inputs=found.values,
            labels=[list(pair) for pair in labels],
        )
        return failed

    def _resolve(self, inputs: Sequence[Input], offered: Mapping[str, Any]) -> Resolved:
        return resolve(
            inputs,
            offered,
            render_typed=self._context.expressions.render_typed,
            encrypt=self._context.encrypt,
            collect=True,
        )


def given(request: Request) -> Given:
    """Read the parts of a form; a file part has the input's name, or is `files` named as a file."""
    if is_json(request):
        data = json_of(request)
        if data is not None and not isinstance(data, dict):
            raise Problem(422, "inputs are a JSON object", reason="Invalid json mapping")
        return Given(values=data or {})
    files: dict[str, FileStorage] = {}
    for part, file in request.files.items(multi=True):
        files[file.filename if part == "files" and file.filename else part] = file
    return Given(values=dict(request.form.items()), files=files)


def labels_of(args: MultiDict[str, str]) -> list[tuple[str, str]]:
    """The labels of a start; reserved ones are refused but the correlation id."""
    found = parameters.labels(args)
    refused = offending(dict(found), allowed=[CORRELATION_ID])
    if refused:
        raise illegal_argument(refused[0])
    return found


def _addresses(
    inputs: Sequence[Input], offered: Given, place: tuple[str, str, str]
) -> dict[str, str]:
    """Where the files of a request will be; parts that no input asks for are passed over."""
    wanted = {one.id for one in inputs if one.type == "FILE"} & offered.files.keys()
    return {
        name: input_file(*place, name, _file_name(inputs, name, offered.files[name]))
        for name in sorted(wanted)
    }


def _file_name(inputs: Sequence[Input], name: str, file: FileStorage) -> str:
    given_name = PurePosixPath((file.filename or "").replace("\\", "/")).name
    if given_name in {"", ".", "..", name}:
        return name + file_extension(inputs, name)
    # The name becomes a part of an address, so blanks and what addresses give a meaning go.
    return re.sub(r"[^\w.-]|\.(?=\.)", "_", given_name)[-200:]


def _judged(one: ResolvedInput) -> Json:
    declared = one.input.model_dump(by_alias=True, exclude_none=True, exclude={"options"})
    answer = {
        "input": {**without_nulls(one.input.options), **declared},
        "value": None if one.input.type == "SECRET" else one.value,
        "enabled": one.enabled,
        "errors": [{"message": one.error.message}] if one.error is not None else None,
    }
    return without_nulls(answer)
