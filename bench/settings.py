"""How a run of the bench goes: how often, how much, and what it measured of the machine so far."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from tests.postgres import Cluster, binaries, running

from bench.records import Raw, Record
from bench.service import NotMeasured


@dataclass(slots=True, kw_only=True)
class Bench:
    """What every figure is given."""

    quick: bool
    stack: ExitStack
    tell: Callable[[str], None]
    at: str = ""
    known: dict[str, Raw] = field(default_factory=dict)
    cluster: Cluster | None = None

    def say(self, text: str) -> None:
        """Show what is being done."""
        self.tell(f"{self.at}: {text}")

    def count(self, full: int, quick: int) -> int:
        """How much of something: less when it has to be quick."""
        return quick if self.quick else full

    def repetitions(self, full: int = 5) -> int:
        """How often a figure is measured."""
        return 1 if self.quick else full

    def repeated(self, what: str, measure: Callable[[], float], full: int = 5) -> list[float]:
        """Measure several times."""
        values = []
        total = self.repetitions(full)
        for n in range(total):
            self.say(f"{what} ({n + 1} of {total})")
            values.append(measure())
        return values

    def raw(self, name: str, measure: Callable[[], Raw]) -> Raw:
        """A limit of the machine, measured once in a run."""
        if name not in self.known:
            self.say(f"raw limit: {name}")
            self.known[name] = measure()
        return self.known[name]

    def postgres(self) -> Cluster:
        """A PostgreSQL of this run's own."""
        if self.cluster is None:
            if binaries() is None:
                raise NotMeasured("PostgreSQL is not installed: there is no initdb")
            self.say("starting PostgreSQL")
            self.cluster = self.stack.enter_context(running())
        return self.cluster

    def postgres_url(self) -> str:
        """The URL of a new, empty database; dropped at the end of the run."""
        cluster = self.postgres()
        name = cluster.new_database()
        self.stack.callback(partial(cluster.drop_database, name))
        return f"postgresql://{cluster.user}@{cluster.host}:{cluster.port}/{name}"


Measure = Callable[[Bench], list[Record]]
