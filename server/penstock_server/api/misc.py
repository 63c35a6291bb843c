"""What clients ask about the server itself, and statistics of executions and logs."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import Blueprint, Response, request

from penstock_runner.engine.state import Execution, State
from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.problems import Problem, illegal_argument
from penstock_server.api.routing import get, post
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json, execution_to_json, iso, without_nulls
from penstock_server.store import queries
from penstock_server.store.queries import DayCount, ExecutionFilter, LogFilter
from penstock_server.store.schema import EPOCH

DEFAULT_DAYS = 30
MAX_DAYS = 732
MAX_FLOWS = 1000


class MiscRoutes:
    """`/configs`, `/usages` and `/stats`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/configs")
    def configs(self) -> Response:
        """What clients adapt to."""
        settings = self._context.settings
        return json_answer(
            without_nulls(
                {
                    "uuid": hashlib.sha256((settings.url or "penstock").encode()).hexdigest()[:22],
                    "version": settings.version,
                    "environment": (
                        {"name": settings.environment} if settings.environment else None
                    ),
                    "url": settings.url,
                    "isCustomDashboardsEnabled": False,
                    "isTaskRunEnabled": False,
                    "isAnonymousUsageEnabled": False,
                    "isTemplateEnabled": True,
                    "isBasicAuthEnabled": settings.basic_auth is not None,
                    "isBasicAuthInitialized": True,
                    "preview": {"initial": 100, "max": 5000},
                    "systemNamespace": "system",
                    "hiddenLabelsPrefixes": ["system.", "internal."],
                    "tenants": {"enabled": False},
                }
            )
        )

    @get("/usages/all")
    def usages(self) -> Response:
        """How much there is."""
        with self._context.database.read() as connection:
            flows = queries.flow_count(connection)
            namespaces = queries.flow_namespaces(connection)
            counts = queries.state_counts(connection, ExecutionFilter())
        return json_answer(
            {
                "flows": {"count": flows, "namespacesCount": len(namespaces)},
                "executions": {"count": sum(counts.values()), "states": counts},
            }
        )

    @post("/stats/summary")
    def summary(self) -> Response:
        """How many flows and triggers there are, and how executions went."""
        wanted, _ = self._wanted()
        with self._context.database.read() as connection:
            counts = queries.state_counts(connection, wanted)
            _, flows = queries.flows_page(
                connection,
                queries.FlowFilter(namespace=wanted.namespace),
                queries.Paging(size=1),
            )
            _, triggers = queries.triggers_page(
                connection, queries.Paging(size=1), namespace=wanted.namespace
            )
        return json_answer({"flows": flows, "triggers": triggers, "executions": counts})

    @post("/stats/executions/daily")
    def daily(self) -> Response:
        """Executions day by day."""
        wanted, days = self._wanted()
        with self._context.database.read() as connection:
            return json_answer(by_day(queries.daily_counts(connection, wanted), days))

    @post("/stats/taskruns/daily")
    def daily_taskruns(self) -> Response:
        """Task runs are not counted by day; clients are told so by `isTaskRunEnabled`."""
        self._wanted()
        return json_answer([])

    @post("/stats/executions/daily/group-by-flow")
    def daily_by_flow(self) -> Response:
        """Executions day by day, by namespace and flow."""
        wanted, days = self._wanted()
        with self._context.database.read() as connection:
            counts = queries.daily_counts(connection, wanted, ("namespace", "flow_id"))
        groups: dict[tuple[str, ...], list[DayCount]] = defaultdict(list)
        for count in counts:
            groups[count.group].append(count)
        answer: dict[str, Json] = defaultdict(dict)
        for (namespace, flow_id), members in sorted(groups.items()):
            answer[namespace][flow_id] = by_day(members, days)
        return json_answer(answer)

    @post("/stats/executions/daily/group-by-namespace")
    def by_namespace(self) -> Response:
        """How executions of each namespace went."""
        wanted, _ = self._wanted()
        with self._context.database.read() as connection:
            counts = queries.daily_counts(connection, wanted, ("namespace",))
        answer: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for count in counts:
            answer[count.group[0]][count.state] += count.count
        return json_answer({name: {"counts": states} for name, states in answer.items()})

    @post("/stats/executions/latest/group-by-flow")
    def latest(self) -> Response:
        """The latest execution of each flow of a list."""
        found = self._latest(_body().get("flows"))
        now = self._context.clock.now()
        return json_answer([execution_to_json(self._context.veil(one), now) for one in found])

    @post("/executions/latest")
    def latest_in_short(self) -> Response:
        """The latest execution of each flow of a list, in the few words newer clients ask for."""
        return json_answer(
            [
                {
                    "id": execution.id,
                    "namespace": execution.namespace,
                    "flowId": execution.flow_id,
                    "startDate": iso(execution.history[0][1]),
                    "status": execution.state.value,
                }
                for execution in self._latest(json_of(request))
            ]
        )

    def _latest(self, flows: object) -> list[Execution]:
        names = [
            (item["namespace"], item["id"])
            for item in (flows if isinstance(flows, list) else ())
            if isinstance(item, dict)
            and isinstance(item.get("namespace"), str)
            and isinstance(item.get("id"), str)
        ]
        if len(names) > MAX_FLOWS:
            raise illegal_argument(f"at most {MAX_FLOWS} flows at once")
        with self._context.database.read() as connection:
            return queries.latest_executions(connection, names)

    @post("/stats/logs/daily")
    def daily_logs(self) -> Response:
        """Log lines day by day and level."""
        wanted, days = self._wanted()
        lines = LogFilter(
            text=wanted.text,
            namespace=wanted.namespace,
            flow_id=wanted.flow_id,
            start=wanted.start,
            end=wanted.end,
        )
        with self._context.database.read() as connection:
            counts = queries.daily_log_counts(connection, lines)
        found: dict[int, dict[str, int]] = defaultdict(dict)
        for day, level, count in counts:
            found[day][level] = count
        return json_answer(
            [
                {"timestamp": iso(_day(day)), "groupBy": "day", "counts": found.get(day, {})}
                for day in days
            ]
        )

    def _wanted(self) -> tuple[ExecutionFilter, range]:
        """The filter of a body, and the days that it covers."""
        body = _body()
        end = _instant(body, "endDate") or self._context.clock.now()
        start = _instant(body, "startDate") or end - timedelta(days=DEFAULT_DAYS)
        if start > end:
            raise illegal_argument("Start date must be before End Date")
        if end - start > timedelta(days=MAX_DAYS):
            raise illegal_argument(f"at most {MAX_DAYS} days at once")
        states = body.get("state") or ()
        wanted = ExecutionFilter(
            text=_text(body, "q"),
            namespace=_text(body, "namespace"),
            flow_id=_text(body, "flowId"),
            start=start,
            end=end,
            states=[parameters.state(str(state), "state").value for state in states],
        )
        return wanted, range((start - EPOCH).days, (end - EPOCH).days + 1)


def blueprint(context: WebContext) -> Blueprint:
    """`/configs`, `/usages` and `/stats`."""
    return routing.blueprint("misc", "", MiscRoutes(context))


def by_day(counts: Sequence[DayCount], days: range) -> list[Json]:
    """Daily statistics, one for each day, also those on which nothing happened."""
    found: dict[int, list[DayCount]] = defaultdict(list)
    for count in counts:
        found[count.day].append(count)
    return [_statistics(day, found.get(day, [])) for day in days]


def _statistics(day: int, counts: Sequence[DayCount]) -> Json:
    number = sum(count.count for count in counts)
    total = sum(count.total for count in counts)
    return {
        "startDate": iso(_day(day)),
        "groupBy": "day",
        "duration": {
            "min": min((count.shortest for count in counts), default=0),
            "avg": total / number if number else 0,
            "max": max((count.longest for count in counts), default=0),
            "sum": total,
            "count": number,
        },
        "executionCounts": {
            **{state.value: 0 for state in State if state is not State.SKIPPED},
            **{count.state: count.count for count in counts},
        },
    }


def _day(day: int) -> datetime:
    return EPOCH + timedelta(days=day)


def _body() -> Json:
    body = json_of(request)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise Problem(422, "a JSON object is needed", reason="Invalid json mapping")
    return body


def _instant(body: Json, name: str) -> datetime | None:
    text = body.get(name)
    return parameters.read_instant(str(text), name) if text else None


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None
