"""Triggers: their state, and switching, unlocking and backfilling them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Response, request

from penstock_server.api import parameters, routing
from penstock_server.api.answers import counted, empty, json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.library import Library
from penstock_server.api.problems import (
    Problem,
    bad_request,
    conflict,
    illegal_argument,
    not_found,
)
from penstock_server.api.routing import delete, get, post, put
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import queries
from penstock_server.store.queries import Paging, TriggerRecord

MAX_AT_ONCE = 10_000
REALTIME = "RealtimeTrigger"
FILTERS = {
    "NAMESPACE": "namespace",
    "FLOW_ID": "flowId",
    "FLOWID": "flowId",
    "QUERY": "q",
    "Q": "q",
}

Chosen = Callable[[TriggerRecord], bool]


class TriggerRoutes:
    """The routes below `/triggers`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @get("/search")
    def search(self) -> Response:
        """Triggers of all flows, one page, with what their flows say of them."""
        args = parameters.plain(request.args)
        records, total = self._page(
            parameters.paging(args),
            text=args.get("q"),
            namespace=args.get("namespace") or None,
            flow_id=args.get("flowId") or None,
        )
        return paged([self._with_definition(record) for record in records], total)

    @get("/<namespace>/<flow_id>")
    def of_flow(self, namespace: str, flow_id: str) -> Response:
        """Triggers of one flow, one page."""
        records, total = self._page(
            parameters.paging(request.args),
            text=request.args.get("q"),
            namespace=namespace,
            flow_id=flow_id,
            exact_namespace=True,
        )
        return paged([trigger_to_json(record) for record in records], total)

    @put("")
    def change(self) -> Response:
        """Switch a trigger on or off, or begin a backfill."""
        body = _body()
        name = _name(body)
        definition = self._definition(*name)
        if str(definition.get("type", "")).endswith(REALTIME) and "disabled" in body:
            raise illegal_argument(
                "Realtime triggers can not be disabled through the API,"
                " please edit the trigger from the flow."
            )
        asked = {"disabled": body.get("disabled"), "backfill": _backfill(body)}
        self._call("trigger.set", name, **asked, anew=True)
        return self._answer(name)

    @put("/set-disabled")
    def switch(self) -> Response:
        """Switch one trigger; newer clients' way to say it."""
        body = _body()
        if not isinstance(body.get("disabled"), bool):
            raise illegal_argument("disabled must be true or false")
        name = _name(body)
        self._definition(*name)
        self._call("trigger.set", name, disabled=body["disabled"], anew=True)
        return self._answer(name)

    @put("/backfill/create")
    def begin(self) -> Response:
        """Begin a backfill; newer clients' way to say it."""
        body = _body()
        asked = _backfill(body)
        if asked is None:
            raise illegal_argument("a backfill has at least a start")
        name = _name(body)
        self._definition(*name)
        self._call("trigger.set", name, backfill=asked, anew=True)
        return self._answer(name)

    @delete("/<namespace>/<flow_id>/<trigger_id>")
    def forget(self, namespace: str, flow_id: str, trigger_id: str) -> Response:
        """Forget what is known of a trigger; one that its flow still has begins anew."""
        self._record(namespace, flow_id, trigger_id)
        self._call("trigger.delete", (namespace, flow_id, trigger_id))
        return empty(204)

    @delete("/delete/by-triggers")
    def forget_named(self) -> Response:
        """Forget what is known of the triggers in the body."""
        return self._each("trigger.delete", self._named(json_of(request)), _any)

    @delete("/delete/by-query")
    def forget_found(self) -> Response:
        """Forget what is known of the triggers that a query finds; it has to say which."""
        given = json_of(request) if request.get_data(cache=True) else None
        asked = _filters(given)
        wanted = {**parameters.plain(request.args).to_dict(), **asked}
        chosen = {name: wanted[name] for name in ("q", "namespace", "flowId") if wanted.get(name)}
        if not chosen:
            raise illegal_argument("say which triggers: namespace, flowId or q")
        found, _ = self._page(
            Paging(size=MAX_AT_ONCE),
            text=chosen.get("q"),
            namespace=chosen.get("namespace"),
            flow_id=chosen.get("flowId"),
        )
        exact = asked.get("namespace")
        return self._each(
            "trigger.delete", found, lambda one: exact is None or one.namespace == exact
        )

    @post("/<namespace>/<flow_id>/<trigger_id>/unlock")
    def unlock(self, namespace: str, flow_id: str, trigger_id: str) -> Response:
        """Let a trigger fire again although its execution has not ended."""
        record = self._record(namespace, flow_id, trigger_id)
        if record.execution_id is None:
            raise conflict("Trigger is not locked")
        self._call("trigger.unlock", (namespace, flow_id, trigger_id))
        return self._answer((namespace, flow_id, trigger_id))

    @post("/<namespace>/<flow_id>/<trigger_id>/restart")
    def restart(self, namespace: str, flow_id: str, trigger_id: str) -> Response:
        """Evaluate a trigger anew."""
        self._record(namespace, flow_id, trigger_id)
        self._call("trigger.restart", (namespace, flow_id, trigger_id))
        return self._answer((namespace, flow_id, trigger_id))

    @post("/unlock/by-triggers")
    def unlock_named(self) -> Response:
        """Unlock the triggers named in the body that are locked."""
        return self._each("trigger.unlock", self._named(json_of(request)), _locked)

    @post("/unlock/by-query")
    def unlock_found(self) -> Response:
        """Unlock the triggers that a query finds, where they are locked."""
        return self._each("trigger.unlock", self._found(), _locked)

    @post("/set-disabled/by-triggers")
    def switch_named(self) -> Response:
        """Switch the triggers named in the body."""
        body = _body()
        disabled = body.get("disabled")
        if not isinstance(disabled, bool):
            raise illegal_argument("disabled must be true or false")
        named = self._named(body.get("triggers"))
        return self._each("trigger.set", named, _any, disabled=disabled)

    @post("/set-disabled/by-query")
    def switch_found(self) -> Response:
        """Switch the triggers that a query finds."""
        disabled = parameters.flag(request.args, "disabled", default=True)
        return self._each("trigger.set", self._found(), _any, disabled=disabled)

    @put("/backfill/pause")
    def pause(self) -> Response:
        """Pause the backfill of a trigger."""
        return self._backfilled("backfill.pause")

    @put("/backfill/unpause")
    def unpause(self) -> Response:
        """Go on with the backfill of a trigger."""
        return self._backfilled("backfill.unpause")

    @post("/backfill/delete")
    def end(self) -> Response:
        """End the backfill of a trigger."""
        return self._backfilled("backfill.delete")

    @post("/backfill/<action>/by-triggers")
    def backfill_named(self, action: str) -> Response:
        """Pause, go on with or end the backfills of the triggers in the body."""
        named = self._named(json_of(request))
        return self._each(_operation(action), named, _backfilling)

    @post("/backfill/<action>/by-query")
    def backfill_found(self, action: str) -> Response:
        """Pause, go on with or end the backfills that a query finds."""
        return self._each(_operation(action), self._found(), _backfilling)

    def _page(self, paging: Paging, **wanted: Any) -> tuple[list[TriggerRecord], int]:
        with self._context.database.read() as connection:
            return queries.triggers_page(connection, paging, **wanted)

    def _found(self) -> list[TriggerRecord]:
        args = parameters.plain(request.args)
        return self._page(
            Paging(size=MAX_AT_ONCE),
            text=args.get("q"),
            namespace=args.get("namespace") or None,
            flow_id=args.get("flowId") or None,
        )[0]

    def _named(self, body: object) -> list[TriggerRecord]:
        if not isinstance(body, list):
            raise Problem(422, "a list of triggers is needed", reason="Invalid json mapping")
        names = [_name(item) for item in body]
        with self._context.database.read() as connection:
            found = [queries.trigger(connection, *name) for name in dict.fromkeys(names)]
        return [record for record in found if record is not None]

    def _each(
        self, operation: str, records: Sequence[TriggerRecord], chosen: Chosen, **more: Any
    ) -> Response:
        suited = [record for record in records if chosen(record)]
        for record in suited:
            self._call(operation, (record.namespace, record.flow_id, record.trigger_id), **more)
        return counted(len(suited))

    def _backfilled(self, operation: str) -> Response:
        name = _name(_body())
        if self._record(*name).backfill is None:
            raise bad_request("No backfill found")
        self._call(operation, name)
        return self._answer(name)

    def _call(self, operation: str, name: tuple[str, str, str], **more: Any) -> None:
        namespace, flow_id, trigger_id = name
        given = without_nulls(more)
        self._context.client.call(
            operation, namespace=namespace, flow_id=flow_id, trigger_id=trigger_id, **given
        )

    def _answer(self, name: tuple[str, str, str]) -> Response:
        return json_answer(trigger_to_json(self._record(*name)))

    def _record(self, namespace: str, flow_id: str, trigger_id: str) -> TriggerRecord:
        with self._context.database.read() as connection:
            record = queries.trigger(connection, namespace, flow_id, trigger_id)
        if record is None:
            raise not_found(f"Trigger {trigger_id} of flow {namespace}.{flow_id} not found")
        return record

    def _definition(self, namespace: str, flow_id: str, trigger_id: str) -> Json:
        known = self._library.find(namespace, flow_id)
        if known is None:
            raise not_found(f"Flow of trigger {trigger_id} not found")
        found = _definition_in(known.parsed.document.data, trigger_id)
        if found is None:
            raise not_found(f"Flow {flow_id} has no trigger {trigger_id}")
        return found

    def _with_definition(self, record: TriggerRecord) -> Json:
        known = self._library.find(record.namespace, record.flow_id)
        definition = (
            None if known is None else _definition_in(known.parsed.document.data, record.trigger_id)
        )
        return without_nulls(
            {"abstractTrigger": definition, "triggerContext": trigger_to_json(record)}
        )


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/triggers`."""
    return routing.blueprint("triggers", "/triggers", TriggerRoutes(context, library))


def trigger_to_json(record: TriggerRecord) -> Json:
    """The state of a trigger."""
    return without_nulls(
        {
            "namespace": record.namespace,
            "flowId": record.flow_id,
            "triggerId": record.trigger_id,
            "date": iso(record.last_date) if record.last_date else None,
            "nextExecutionDate": iso(record.next_date) if record.next_date else None,
            "executionId": record.execution_id,
            "disabled": record.disabled,
            "backfill": record.backfill,
            "updatedDate": iso(record.updated_at) if record.updated_at else None,
        }
    )


def _definition_in(data: object, trigger_id: str) -> Json | None:
    items = data.get("triggers") if isinstance(data, dict) else None
    found = (item for item in items or () if isinstance(item, dict))
    return next((item for item in found if item.get("id") == trigger_id), None)


def _body() -> Json:
    body = json_of(request)
    if not isinstance(body, dict):
        raise Problem(422, "a JSON object is needed", reason="Invalid json mapping")
    return body


def _name(item: object) -> tuple[str, str, str]:
    parts = (
        [item.get(key) for key in ("namespace", "flowId", "triggerId")]
        if isinstance(item, dict)
        else []
    )
    match parts:
        case [str() as namespace, str() as flow_id, str() as trigger_id]:
            return namespace, flow_id, trigger_id
        case _:
            raise Problem(
                422,
                "a trigger has namespace, flowId and triggerId",
                reason="Invalid json mapping",
            )


def _backfill(body: Json) -> Json | None:
    backfill = body.get("backfill")
    if backfill is None:
        return None
    if not isinstance(backfill, dict) or not isinstance(backfill.get("start"), str):
        raise illegal_argument("a backfill has at least a start")
    start = parameters.read_instant(backfill["start"], "backfill.start")
    answer: Json = {**backfill, "start": iso(start)}
    if isinstance(backfill.get("end"), str):
        end = parameters.read_instant(backfill["end"], "backfill.end")
        if end <= start:
            raise illegal_argument("the backfill's start must be before its end")
        answer["end"] = iso(end)
    return answer


def _filters(body: object) -> dict[str, str]:
    """The filters of a body; one that is not known would mean more triggers than were asked for."""
    if body is None:
        return {}
    listed = body.get("filters") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise illegal_argument("give filters as a list")
    found: dict[str, str] = {}
    for one in listed:
        field = FILTERS.get(str(one.get("field")).upper()) if isinstance(one, dict) else None
        value = one.get("value") if isinstance(one, dict) else None
        if field is None or one.get("operation") != "EQUALS" or not isinstance(value, str):
            raise illegal_argument("filters are of NAMESPACE, FLOW_ID or QUERY, with EQUALS")
        found[field] = value
    return found


def _operation(action: str) -> str:
    if action not in {"pause", "unpause", "delete"}:
        raise not_found()
    return f"backfill.{action}"


def _locked(record: TriggerRecord) -> bool:
    return record.execution_id is not None


def _backfilling(record: TriggerRecord) -> bool:
    return record.backfill is not None


def _any(_: TriggerRecord) -> bool:
    return True
