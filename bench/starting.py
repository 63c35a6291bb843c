"""Figures 5 and 6: how soon a service is ready, and what it takes while it idles."""

from __future__ import annotations

import subprocess
import sys
import time

from bench import flows, raw
from bench.client import Api, check_runs
from bench.records import Raw, Record, record
from bench.service import fresh, home, pss_of, service, tree
from bench.settings import Bench

IDLE_SECONDS = 10.0


def ready(bench: Bench) -> list[Record]:
    """From the start of the process to the first 200 of `/health/ready`."""
    new, again = [], []
    for n in range(bench.repetitions()):
        bench.say(f"starts of the service ({n + 1} of {bench.repetitions()})")
        with home() as folder:
            with service(folder) as first:
                new.append(first.seconds)
                with Api(first.port) as api:
                    api.add(flows.ONE)
                    check_runs(api.start("one", wait=True), [("say", None)])
            with service(folder) as second:
                again.append(second.seconds)
                with Api(second.port) as api:
                    check_runs(api.start("one", wait=True), [("say", None)])
    libraries = raw.imports(bench)
    return [
        record("start to ready, new home", "s", new, aim=2.0, raw=libraries),
        record("start to ready, existing home", "s", again, aim=1.0, raw=libraries),
    ]


def idle_memory(bench: Bench) -> list[Record]:
    """Proportional memory of all processes of a service that has run something and idles."""
    seconds = IDLE_SECONDS if not bench.quick else 1.0
    values = []
    processes = 0
    for n in range(bench.repetitions(3)):
        with fresh() as running, Api(running.port) as api:
            api.add(flows.ONE)
            check_runs(api.start("one", wait=True), [("say", None)])
            bench.say(f"idling for {seconds:g} s ({n + 1} of {bench.repetitions(3)})")
            time.sleep(seconds)
            values.append(running.memory())
            processes = len(tree(running.pid))
    return [
        record(
            "idle memory (PSS of all processes)",
            "MB",
            values,
            aim=120,
            raw=_bare(bench),
            notes=f"{processes} processes",
        )
    ]


def _bare(bench: Bench) -> Raw:
    name = "one bare Python with the libraries"

    def measure() -> Raw:
        code = f"{raw.LIBRARIES}\nprint(flush=True)\nimport sys; sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            value = pss_of(process.pid) / 1e6
            process.communicate(timeout=10)
        return Raw(name=name, value=value, unit="MB")

    return bench.raw(name, measure)
