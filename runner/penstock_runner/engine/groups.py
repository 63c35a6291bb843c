"""An open group of children inside one fold: counts and a cursor, never a scan."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_runner.engine.orders import InSequence, Order
from penstock_runner.engine.plan import AFTER, ERRORS, FINALLY, LISTENERS, TASKS, Node
from penstock_runner.engine.state import RunKey, State

ROOT = RunKey("")
# What a group is made of; all other stages come after the end of a flow.
WORK = (TASKS, ERRORS, FINALLY)


class Group:
    """A flowable that has begun and not ended, or the flow itself.

    `children` are the task runs that have not ended, of every stage; `open` counts those of the
    present stage. `cut` says that a group around this one has ended early: nothing more opens
    here. `sheltered` says that it belongs to a `finally`, which a kill lets through.
    """

    __slots__ = (
        "branch",
        "children",
        "cut",
        "key",
        "node",
        "nodes",
        "open",
        "order",
        "places",
        "rounds",
        "sheltered",
        "stage",
        "tallies",
        "values",
        "waiting",
    )

    def __init__(
        self,
        key: RunKey,
        node: Node,
        *,
        branch: str | None,
        values: tuple[str, ...] | None,
        places: tuple[int, ...],
        rounds: str,
        sheltered: bool,
    ) -> None:
        self.key = key
        self.node = node
        self.branch = branch
        self.values = values
        self.places = places
        self.rounds = rounds
        self.sheltered = sheltered
        self.cut = False
        self.waiting = False
        self.children: dict[RunKey, None] = {}
        self.tallies: dict[str, dict[State, int]] = {}
        self.stage = TASKS
        self.open = 0
        self.nodes: tuple[Node, ...] = ()
        self.order: Order = InSequence(0)
        self.enter(TASKS)

    def enter(self, stage: str) -> None:
        """Begin a stage: its children, and the order in which they open."""
        self.stage = stage
        self.open = 0
        self.tallies[stage] = {}
        self.nodes = self.nodes_of(stage)
        ids = [node.task.id for node in self.nodes]
        task, flowable = self.node.task, self.node.flowable
        if stage == TASKS:
            self.order = flowable.order(task, ids, self._repeat)
        elif stage == ERRORS:
            self.order = flowable.errors_order(task, ids, None)
        else:
            self.order = InSequence(len(ids))

    @property
    def _repeat(self) -> int | None:
        return None if self.values is None else len(self.values)

    def nodes_of(self, stage: str) -> tuple[Node, ...]:
        """The enabled children of a stage."""
        branch = self.branch if stage == TASKS else stage
        return () if branch is None else self.node.branches.get(branch, ())

    def place_of(self, slot: int) -> tuple[Node, int | None]:
        """The task and the value index of a slot."""
        if self.values is None or self.stage != TASKS:
            return self.nodes[slot], None
        value, position = divmod(slot, len(self.nodes))
        return self.nodes[position], value

    def slot_of(self, node: Node, place: tuple[int, ...]) -> int:
        """The slot of a child of the present stage."""
        if self.values is None or self.stage != TASKS:
            return node.position
        return place[-1] * len(self.nodes) + node.position

    def ended(self, node: Node, place: tuple[int, ...], state: State) -> None:
        """Count the end of a child."""
        tally = self.tallies.setdefault(node.stage, {})
        tally[state] = tally.get(state, 0) + 1
        if node.stage == self.stage:
            self.open -= 1
            self.order.ended(self.slot_of(node, place))

    def has(self, state: State, stage: str | None = None) -> bool:
        """Whether a child of the stage has ended in this state."""
        return bool(self.tallies.get(stage or self.stage, {}).get(state))

    def left(self, node: Node) -> bool:
        """Whether the group has ended without this child, whose end then is only noted."""
        return self.cut or (node.stage in WORK and self.stage not in WORK)

    @property
    def stopped(self) -> bool:
        """Whether a child's end keeps the stage from going on."""
        if self.stage == TASKS and self.node.flowable.goes_on(self.node.task):
            return self.has(State.KILLED)
        return self.has(State.FAILED) or self.has(State.KILLED)

    def next_stage(self, *, quiet: bool) -> str | None:
        """The stage after this one; None when the group is through. `quiet` leaves `errors` out."""
        failed = self.stage == TASKS and self.has(State.FAILED) and not self.has(State.KILLED)
        if failed and not quiet and self.nodes_of(ERRORS):
            return ERRORS
        if self.stage in (TASKS, ERRORS) and self.nodes_of(FINALLY):
            return FINALLY
        return None

    def after_stages(self) -> Sequence[str]:
        """What the flow runs once it has ended, in order."""
        listeners = [name for name in self.node.branches if name.startswith(LISTENERS)]
        return [name for name in (AFTER, *listeners) if self.node.branches.get(name)]
