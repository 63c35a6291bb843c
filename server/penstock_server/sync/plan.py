"""What a commit changes, decided without touching anything.

What is said of flows here holds for files of namespaces and for test suites, too: the `id` of a
file is its path, which starts with a slash as no flow's id does, that of a suite has `test:` before
it.

`plan(desired, live, base, options)` compares the flows of a commit with those that are stored and
gives one item for every flow that is named on either side. A source only touches what it manages or
adopts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from penstock_runner.flow.faults import Fault

Key = tuple[str, str]
TEST = "test:"
DIGEST_LENGTH = 16  # short enough to be copied by hand; the same everywhere


class Action(StrEnum):
    """What happens to one flow."""

    ADDED = "ADDED"
    ADOPTED = "ADOPTED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    PRUNED = "PRUNED"
    KEPT = "KEPT"
    KEPT_INVALID = "KEPT_INVALID"
    PROTECTED = "PROTECTED"
    CONFLICT = "CONFLICT"


SAVED = frozenset({Action.ADDED, Action.ADOPTED, Action.UPDATED})


def kind_of(name: str) -> str:
    """What an `id` of a plan stands for."""
    return "file" if name.startswith("/") else "test" if name.startswith(TEST) else "flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A flow of the commit; `digest` is of its text, `pointer` says which document of its file."""

    namespace: str
    id: str
    path: str
    digest: str
    blob: str = ""
    pointer: str = ""

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return (self.namespace, self.id)

    @property
    def place(self) -> str:
        """The file, and which document of it."""
        return self.path + self.pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A flow as stored; a deleted one says only how its revisions are numbered."""

    namespace: str
    id: str
    revision: int
    digest: str
    managed_by: str | None = None
    deleted: bool = False

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return (self.namespace, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A flow as the source last applied it."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the source allows; without a source, nothing has an owner.

    `invalid` are paths that could not be read as flows this time. `heal` says that edits are
    overwritten also where the commit changes nothing. `reconfigured` says that the source reads
    something else than before; `confirmed` is the digest of a plan that a person has let through
    the guards. `held` are flows that a person keeps at a revision, `released` those for which that
    is over, so that they are healed whatever `heal` says.
    """

    source: str | None
    prune: bool = True
    percent: int = 50
    min: int = 10
    allow_empty: bool = False
    protected: Sequence[str] = ("system",)
    adopt: bool = True
    heal: bool = True
    invalid: frozenset[str] = frozenset()
    reconfigured: bool = False
    confirmed: str | None = None
    held: frozenset[Key] = frozenset()
    released: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What happens to one flow, and why; `next_revision` is the one it gets, if it gets one."""

    action: Action
    namespace: str
    id: str
    desired: Desired | None = None
    live: Live | None = None
    drifted: bool = False
    same_text: bool = False
    moved_to: Key | None = None
    next_revision: int | None = None

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return (self.namespace, self.id)

    @property
    def kind(self) -> str:
        """What it is: `flow`, `file` or `test`."""
        return kind_of(self.id)

    @property
    def is_flow(self) -> bool:
        """Whether it is a flow."""
        return self.kind == "flow"

    @property
    def is_file(self) -> bool:
        """Whether it is a file of a namespace."""
        return self.kind == "file"

    @property
    def name(self) -> str:
        """Its id, or its path, as people know it."""
        return self.id.removeprefix(TEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """Everything that a commit changes. With faults or refusals nothing of it may be applied."""

    items: tuple[Item, ...] = ()
    faults: tuple[Fault, ...] = ()
    refusals: tuple[str, ...] = ()
    digest: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def applicable(self) -> bool:
        """Whether it may be applied."""
        return not self.faults and not self.refusals

    @property
    def changes(self) -> tuple[Item, ...]:
        """All items but those that stay as they are."""
        return tuple(item for item in self.items if item.action is not Action.UNCHANGED)

    def of(self, *actions: Action) -> tuple[Item, ...]:
        """The items with one of these actions."""
        return tuple(item for item in self.items if item.action in actions)


def plan(
    desired: Iterable[Desired],
    live: Iterable[Live],
    base: Mapping[Key, Base],
    options: Options,
) -> SyncPlan:
    """Compare the flows of a commit with the stored ones.

    `live` are the flows of the source and all others that have a key of `desired`.
    """
    wanted, faults = _by_key(desired)
    known = {one.key: one for one in live}
    stored = {key: one for key, one in known.items() if not one.deleted}
    items = [_present(one, known.get(key), base.get(key), options) for key, one in wanted.items()]
    gone = [one for key, one in stored.items() if key not in wanted]
    items += [_absent(one, base.get(one.key), options) for one in gone if _mine(one, options)]
    items = _moved(items)
    faults += [_conflict(item) for item in items if item.action is Action.CONFLICT]
    items.sort(key=lambda item: item.key)
    digest = _digest(items)
    refusals = () if digest == options.confirmed else _guards(items, wanted, stored, options)
    return SyncPlan(
        items=tuple(items),
        faults=tuple(faults),
        refusals=tuple(refusals),
        digest=digest,
        counts=_counts(items),
    )


def _by_key(desired: Iterable[Desired]) -> tuple[dict[Key, Desired], list[Fault]]:
    found: dict[Key, Desired] = {}
    faults: list[Fault] = []
    for one in desired:
        first = found.setdefault(one.key, one)
        if first is not one:
            message = f"{_named(one.key)} is in {first.place} and in {one.place}"
            faults.append(
                Fault(
                    code="DUPLICATE_FLOW",
                    message=message,
                    path=one.path,
                    flow=f"{one.namespace}.{one.id}",
                    hint="keep one of them",
                )
            )
    return found, faults


def _present(one: Desired, known: Live | None, base: Base | None, options: Options) -> Item:
    live = known if known is not None and not known.deleted else None

    def item(action: Action, *, drifted: bool = False) -> Item:
        same = live is not None and live.digest == one.digest
        # Files and suites have no revisions: their history is that of the runs.
        saved = action in SAVED and not same and kind_of(one.id) == "flow"
        return Item(
            action=action,
            namespace=one.namespace,
            id=one.id,
            desired=one,
            live=live,
            drifted=drifted,
            same_text=same,
            next_revision=1 + (known.revision if known is not None else 0) if saved else None,
        )

    if live is None:
        return item(Action.ADDED)
    if live.managed_by is None and options.adopt and options.source is not None:
        return item(Action.ADOPTED)
    if live.managed_by != options.source:
        return item(Action.CONFLICT)
    if live.digest == one.digest:
        return item(Action.UNCHANGED)
    if one.key in options.held:
        return item(Action.KEPT, drifted=True)
    drifted = base is not None and base.digest != live.digest
    heal = options.heal or one.key in options.released
    kept = drifted and not heal and base is not None and base.digest == one.digest
    return item(Action.KEPT if kept else Action.UPDATED, drifted=drifted)


def _absent(live: Live, base: Base | None, options: Options) -> Item:
    if options.invalid and (base is None or base.path in options.invalid):
        # A broken file says nothing about its flows, and where a flow came from may be unknown.
        action = Action.KEPT_INVALID
    elif not options.prune or live.key in options.held:
        action = Action.KEPT
    elif _protected(live.namespace, options.protected):
        action = Action.PROTECTED
    else:
        action = Action.PRUNED
    # A deletion is a revision, too.
    numbered = action is Action.PRUNED and kind_of(live.id) == "flow"
    following = live.revision + 1 if numbered else None
    return Item(
        action=action, namespace=live.namespace, id=live.id, live=live, next_revision=following
    )


def _mine(live: Live, options: Options) -> bool:
    return live.managed_by == options.source


def _protected(namespace: str, protected: Sequence[str]) -> bool:
    return any(namespace == one or namespace.startswith(one + ".") for one in protected)


def _moved(items: list[Item]) -> list[Item]:
    """Tell a flow that went to another namespace from one that was deleted; it is shown so."""
    added = [item for item in items if item.action is Action.ADDED and not item.is_file]
    by_id: dict[str, list[Item]] = {}
    for item in added:
        by_id.setdefault(item.id, []).append(item)
    return [
        replace(item, moved_to=by_id[item.id][0].key)
        if item.action is Action.PRUNED and len(by_id.get(item.id, ())) == 1
        else item
        for item in items
    ]


def _conflict(item: Item) -> Fault:
    owner = item.live.managed_by if item.live is not None else None
    name = f"{item.namespace}.{item.name}"
    message = (
        f"{_named(item.key)} belongs to source {owner!r}"
        if owner is not None
        else f"{_named(item.key)} exists and belongs to no source"
    )
    hint = (
        "remove it from one of the two repositories"
        if owner is not None
        else "delete it here, or set `adopt: true` for the source"
    )
    path = item.desired.path if item.desired is not None else ""
    return Fault(code="OWNED_BY_OTHER", message=message, path=path, flow=name, hint=hint)


def _named(key: Key) -> str:
    namespace, name = key
    match kind_of(name):
        case "file":
            return f"file {name} of {namespace}"
        case "test":
            return f"test suite {namespace}.{name.removeprefix(TEST)}"
        case _:
            return f"flow {namespace}.{name}"


def _guards(
    items: Sequence[Item],
    wanted: Mapping[Key, Desired],
    stored: Mapping[Key, Live],
    options: Options,
) -> list[str]:
    pruned = [item for item in items if item.action is Action.PRUNED]
    mine = sum(_mine(one, options) for one in stored.values())
    if not pruned:
        return []
    said: list[str] = []
    others = sorted({f"{item.kind}s" for item in pruned if not item.is_flow})
    what = " and ".join(["flows", *others])
    lost = any(item.is_flow for item in pruned)
    no_flow = all(kind_of(name) != "flow" for _, name in wanted)
    if no_flow and (lost or not wanted) and not options.allow_empty:
        said.append(f"the commit has no flow, and {mine} {what} are stored: all would be deleted")
    elif len(pruned) > options.min and len(pruned) * 100 > options.percent * mine:
        said.append(f"{len(pruned)} of {mine} {what} would be deleted")
    if options.reconfigured:
        said.append(
            f"the source reads something else than before, and {len(pruned)} {what} would be"
            " deleted"
        )
    return said


def _digest(items: Sequence[Item]) -> str:
    """What a person confirms: every change, from which text and to which."""
    lines = (
        " ".join((item.action, item.namespace, item.id, _text(item.live), _text(item.desired)))
        for item in items
        if item.action is not Action.UNCHANGED
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGEST_LENGTH]


def _text(one: Desired | Live | None) -> str:
    return one.digest if one is not None else "-"


def _counts(items: Iterable[Item]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        name = item.action.value.lower()
        counts[name] = counts.get(name, 0) + 1
        if item.drifted:
            counts["drifted"] = counts.get("drifted", 0) + 1
    return counts
