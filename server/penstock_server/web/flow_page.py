"""The pages of flows: the list, and one flow with its tabs."""

from __future__ import annotations

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.git_flows import status_of_flow
from penstock_server.api.library import KnownFlow, Library
from penstock_server.api.parameters import whole
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.queries import ExecutionFilter, FlowFilter, Paging, briefs
from penstock_server.store.queries import home as asked
from penstock_server.store.queries.briefs import Recent
from penstock_server.web import flows, pages, rows, sources, spans, strips, topology
from penstock_server.web.errors import Missing
from penstock_server.web.flows import FlowHead
from penstock_server.web.pages import Pages

PAGE = 100
LAST = 48
LISTED = 25
SHOWN_REVISIONS = 200


class FlowPages:
    """The routes below `/flows`."""

    def __init__(self, context: WebContext, library: Library, frame: Pages) -> None:
        self._context = context
        self._library = library
        self._pages = frame

    @get("/flows")
    def listed(self) -> Response:
        """All flows by namespace."""
        now = self._context.clock.now()
        text = request.args.get("q", "").strip()
        namespace = request.args.get("namespace", "").strip()
        page = max(whole(request.args, "page", 1) or 1, 1)
        wanted = FlowFilter(text=text or None, namespace=namespace or None)
        with self._context.database.read() as connection:
            records, total = queries.flows_page(connection, wanted, Paging(page=page, size=PAGE))
            names = flows.names_of(records)
            recents = briefs.recents(connection, names, strips.SPARKS)
            following = asked.next_of_flows(connection, names)
            namespaces = queries.flow_namespaces(connection)
        shown = [
            flows.flow_row(self._library.known(record), recents[name], following.get(name), now)
            for record, name in zip(records, names, strict=True)
        ]
        asked_for = {"q": text, "namespace": namespace}
        return self._pages.render(
            "flows.html",
            groups=flows.grouped(shown),
            total=total,
            q=text,
            namespace=namespace,
            namespaces=namespaces,
            sources=flows.sources_named(records),
            older=pages.query_link("/flows", {**asked_for, "page": page + 1})
            if page * PAGE < total
            else None,
        )

    @get("/flows/<namespace>/<flow_id>")
    def show(self, namespace: str, flow_id: str) -> Response:
        """One flow: how its last executions went, and the newest of them."""
        now = self._context.clock.now()
        known = self.known(namespace, flow_id)
        name = (namespace, flow_id)
        before = request.args.get("before") or None
        wanted = ExecutionFilter(namespace=namespace, flow_id=flow_id, exact_namespace=True)
        with self._context.database.read() as connection:
            recents = briefs.recents(connection, [name], LAST)[name]
            found = briefs.briefs(connection, wanted, LISTED + 1, before)
            total = briefs.counted(connection, wanted)
            following = asked.next_of_flows(connection, [name]).get(name)
            standing = status_of_flow(connection, known.record)
        here = pages.flow_link(namespace, flow_id)
        older = found[LISTED - 1].execution.id if len(found) > LISTED else None
        return self._pages.render(
            "flow.html",
            head=flows.flow_head(known, recents, following, now, standing),
            tab="",
            sparks=strips.sparks(recents, now, LAST),
            usual=spans.usual(recents),
            rows=rows.list_rows(found[:LISTED], {name: recents[: strips.SPARKS]}, now),
            total=total,
            older=None if older is None else pages.query_link(here, {"before": older}),
            newest=here if before else None,
        )

    @get("/flows/<namespace>/<flow_id>/source")
    def source(self, namespace: str, flow_id: str) -> Response:
        """The file of a revision, the latest unless one is named."""
        known = self.known(namespace, flow_id, whole(request.args, "revision"))
        return self._pages.render(
            "source.html",
            head=self.head(known),
            tab="source",
            lines=sources.lines(known.record.stored.source),
        )

    @get("/flows/<namespace>/<flow_id>/topology")
    def topology(self, namespace: str, flow_id: str) -> Response:
        """The tasks as a graph."""
        known = self.known(namespace, flow_id)
        drawn = None if known.flow is None else topology.drawn(known.flow)
        return self._pages.render(
            "flow_topology.html", head=self.head(known), tab="topology", drawn=drawn
        )

    @get("/flows/<namespace>/<flow_id>/revisions")
    def revisions(self, namespace: str, flow_id: str) -> Response:
        """All revisions, newest first, and what the chosen one changed."""
        known = self.known(namespace, flow_id)
        with self._context.database.read() as connection:
            records = queries.revisions(connection, namespace, flow_id)[::-1]
        chosen = whole(request.args, "revision", known.record.latest)
        places = {record.stored.revision: n for n, record in enumerate(records)}
        if chosen not in places:
            raise Missing(f"No revision {chosen} of {flow_id[:100]}")
        at = places[chosen]
        before = records[at + 1] if at + 1 < len(records) else None
        difference, added, removed = sources.difference(
            before.stored.source if before is not None else "", records[at].stored.source
        )
        return self._pages.render(
            "revisions.html",
            head=self.head(known),
            tab="revisions",
            records=records[:SHOWN_REVISIONS],
            chosen=records[at],
            before=before,
            difference=difference,
            added=added,
            removed=removed,
        )

    def known(self, namespace: str, flow_id: str, revision: int | None = None) -> KnownFlow:
        """A flow, also one that was deleted; raises `Missing`."""
        known = self._library.find(namespace, flow_id, revision, deleted=True)
        if known is None:
            what = f"No flow {flow_id[:100]} in {namespace[:150]}"
            if revision is not None:
                what = f"No revision {revision} of {flow_id[:100]}"
            raise Missing(what, "It may have another name, or was never saved here.")
        return known

    def head(self, known: KnownFlow) -> FlowHead:
        """What every tab of a flow begins with."""
        now = self._context.clock.now()
        name = (known.record.stored.namespace, known.record.stored.id)
        recents: list[Recent]
        with self._context.database.read() as connection:
            recents = briefs.recents(connection, [name], 1)[name]
            following = asked.next_of_flows(connection, [name]).get(name)
            standing = status_of_flow(connection, known.record)
        return flows.flow_head(known, recents, following, now, standing)
