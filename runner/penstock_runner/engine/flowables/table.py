"""Which kind of task is which flowable: adding one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine.flowables.api import Flowable, Role
from penstock_runner.engine.flowables.condition import IF
from penstock_runner.engine.flowables.dag import DAG
from penstock_runner.engine.flowables.each import EACH_PARALLEL, EACH_SEQUENTIAL, FOR_EACH
from penstock_runner.engine.flowables.iterate import ITERATION, LOOP
from penstock_runner.engine.flowables.leaves import BATCHES, PAUSE, SUBFLOW, WORKING_DIRECTORY
from penstock_runner.engine.flowables.loop import LOOP_UNTIL
from penstock_runner.engine.flowables.parallel import PARALLEL
from penstock_runner.engine.flowables.sequential import ALLOW_FAILURE, SEQUENTIAL
from penstock_runner.engine.flowables.switch import SWITCH
from penstock_runner.engine.flowables.template import CONTENT_OF_TEMPLATE

PREFIX = "io.kestra.plugin.core.flow."
FOR_EACH_ITEM = PREFIX + "ForEachItem"
SPLIT = FOR_EACH_ITEM + "$Split"
ITEMS = FOR_EACH_ITEM + "$Items"
MERGE = FOR_EACH_ITEM + "$Merge"
LOOP_KIND = PREFIX + "Loop"
TEMPLATE = PREFIX + "Template"
ITERATION_KIND = LOOP_KIND + "$Iteration"

FLOWABLES: Mapping[str, Flowable] = {
    PREFIX + "Sequential": SEQUENTIAL,
    PREFIX + "AllowFailure": ALLOW_FAILURE,
    PREFIX + "Parallel": PARALLEL,
    PREFIX + "Dag": DAG,
    PREFIX + "If": IF,
    PREFIX + "Switch": SWITCH,
    PREFIX + "ForEach": FOR_EACH,
    PREFIX + "EachSequential": EACH_SEQUENTIAL,
    PREFIX + "EachParallel": EACH_PARALLEL,
    PREFIX + "LoopUntil": LOOP_UNTIL,
    PREFIX + "WaitFor": LOOP_UNTIL,
    PREFIX + "Pause": PAUSE,
    PREFIX + "Approval": PAUSE,
    PREFIX + "Subflow": SUBFLOW,
    PREFIX + "WorkingDirectory": WORKING_DIRECTORY,
    FOR_EACH_ITEM: SEQUENTIAL,
    ITEMS: BATCHES,
    LOOP_KIND: LOOP,
    ITERATION_KIND: ITERATION,
    TEMPLATE: CONTENT_OF_TEMPLATE,
}

RUNNABLE = Flowable(role=Role.JOB)


def flowable(kind: str) -> Flowable:
    """The flowable of a kind; what is none is a job."""
    return FLOWABLES.get(kind, RUNNABLE)
