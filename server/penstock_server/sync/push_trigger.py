"""The push trigger: which flows of an applied commit start, and what they see of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.messages import Start
from penstock_runner.git.names import Patterns
from penstock_server.sync.desired import PUSH, FlowText

MOST_CHANGED = 1000
Judge = Callable[[FlowText, Mapping[str, Any], Start], Start | None]
HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """An applied commit, as push triggers see it."""

    source: str
    url: str
    commit: str
    ref: str
    author: str
    email: str
    message: str
    before: str | None
    changed: Sequence[str]
    initial: bool = False
    again: bool = False

    @property
    def branch(self) -> str | None:
        """The branch that was pushed."""
        return self.ref.removeprefix(HEADS) if self.ref.startswith(HEADS) else None

    @property
    def tag(self) -> str | None:
        """The tag that was pushed."""
        return self.ref.removeprefix(TAGS) if self.ref.startswith(TAGS) else None


def push_of(found: Mapping[str, Any], source: str, url: str, before: str | None) -> Push:
    """The push behind an answer of the git process; `before` is the commit applied last."""
    commit = found["commit"]
    return Push(
        source=source,
        url=url,
        commit=commit["sha"],
        ref=found["ref"],
        author=commit["author_name"],
        email=commit["author_email"],
        message=commit["message"],
        before=before,
        changed=found["changed"],
        initial=before is None,
        again=before == commit["sha"],
    )


def starts_of(
    push: Push,
    flows: Iterable[FlowText],
    new_id: Callable[[], str],
    *,
    own: Collection[tuple[str, str]] | None = None,
    judge: Judge,
) -> list[Start]:
    """The executions that a commit starts: one a flow, by the first of its triggers that fires.

    Flows that are not the source's own (all are, if not said) have to name it. `judge` has the last
    word: it knows conditions, and what inputs and labels come to.
    """
    starts: list[Start] = []
    for flow in flows:
        managed_by = push.source if own is None or flow.desired.key in own else None
        if flow.disabled:
            continue
        firing = (one for one in flow.push if fires(one, push, managed_by))
        judged = (judge(flow, one, _start(flow, one, push, new_id())) for one in firing)
        start = next((one for one in judged if one is not None), None)
        if start is not None:
            starts.append(start)
    return starts


def _start(flow: FlowText, trigger: Mapping[str, Any], push: Push, execution_id: str) -> Start:
    return Start(
        namespace=flow.desired.namespace,
        flow_id=flow.desired.id,
        inputs=trigger.get("inputs") or {},
        resolve=True,
        labels=trigger.get("labels") or {},
        trigger=TriggerOrigin(id=trigger["id"], type=PUSH, variables=variables(push)),
        origin="push",
        id=execution_id,
    )


def fires(trigger: Mapping[str, Any], push: Push, managed_by: str | None) -> bool:
    """Whether a trigger wants this commit."""
    properties = trigger.get("properties") or {}
    if trigger.get("disabled") or (properties.get("source") or managed_by) != push.source:
        return False
    if push.again or (push.initial and not properties.get("initial")):
        return False
    events = properties.get("events") or ["push", "tag"]
    if ("tag" if push.tag is not None else "push") not in events:
        return False
    return (
        _names(properties.get("branches"), push.branch, properties.get("tags"))
        and _names(properties.get("tags"), push.tag, properties.get("branches"))
        and _paths(properties.get("paths"), push.changed)
    )


def _names(patterns: Any, name: str | None, other: Any) -> bool:
    """Without patterns any name will do; with patterns of the other kind only, none of this."""
    if name is None:
        return True
    if not patterns:
        return not other
    return Patterns(_list(patterns)).match(name)


def _paths(patterns: Any, changed: Iterable[str]) -> bool:
    if not patterns:
        return True
    wanted = Patterns(_list(patterns))
    return any(wanted.match(path) for path in changed)


def _list(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def variables(push: Push) -> dict[str, object]:
    """What `trigger` holds in an execution that a push started."""
    return {
        "commit": push.commit,
        "shortCommit": push.commit[:7],
        "branch": push.branch,
        "tag": push.tag,
        "author": push.author,
        "email": push.email,
        "message": push.message,
        "before": push.before,
        "changed": list(push.changed[:MOST_CHANGED]),
        "source": push.source,
        "url": push.url,
    }
