"""Tasks that are one piece to the engine: Pause, Subflow, WorkingDirectory, batches."""

from __future__ import annotations

from penstock_runner.engine.flowables.api import Flowable, Role

PAUSE = Flowable(role=Role.PAUSE)
SUBFLOW = Flowable(role=Role.SUBFLOW)
WORKING_DIRECTORY = Flowable(role=Role.DIRECTORY)
BATCHES = Flowable(role=Role.BATCHES)
