"""What script tasks need of their world beside `RunContext`: files, caches, and where they run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

from penstock_runner.flow.model import Level
from penstock_runner.jobs import files
from penstock_runner.jobs.checkout import check_out
from penstock_runner.jobs.environment import Earlier
from penstock_runner.jobs.logs import LogBook
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.parts import Outside, Parts
from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.rendering import JobRender
from penstock_runner.jobs.settings import DEFAULT_PATH
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.taskrunners import choice
from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.tasks import places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.storage import Storage

COPY_BYTES = 1 << 20


class ScriptWorld:
    """The part of a job's context that only script tasks use; `JobContext` is the whole."""

    renderer: JobRender
    task_id: str
    taskrun_id: str
    _job: Job
    _outside: Outside
    _parts: Parts
    _folders: Workspace
    _log: LogBook
    _masker: Masker
    _storage: Storage
    _earlier: Earlier | None
    _last_choice: tuple[Mapping[str, object] | None, choice.Choice] | None

    @property
    def search_path(self) -> str:
        """The PATH of processes on this machine."""
        return self._parts.settings.environment.get("PATH", DEFAULT_PATH)

    @property
    def index_settings(self) -> Mapping[str, str]:
        """Where the machine gets packages from; passwords in there are masked from now on."""
        settings = self._parts.settings.index_settings
        for value in settings.values():
            for word in re.findall(r"://([^/\s@]+)@", value):
                self._masker.add(word.rpartition(":")[2])
        return settings

    @property
    def docker_access(self) -> DockerAccess:
        """How this runner may use Docker."""
        return self._parts.settings.docker

    def stands_in(self, task_runner: Mapping[str, object] | None) -> bool:
        """Whether a process takes the place of a container the task did not ask to do without."""
        try:
            return self._chosen(task_runner).stands_in
        except SetupFailed as failed:
            raise TaskFailed(str(failed), reason="setup") from None

    def in_container(self, task_runner: Mapping[str, object] | None) -> bool:
        """Whether a process with this task runner would not run on this machine itself."""
        try:
            return self._chosen(task_runner).kind != "process"
        except SetupFailed as failed:
            raise TaskFailed(str(failed), reason="setup") from None

    def cache_folder(self, name: str, *, shared: bool = False) -> Path:
        """A folder of this runner that outlives its jobs.

        Its jobs write to it, and where they have users of their own those of one user; one that is
        `shared` is read by all and written by the runner alone.
        """
        settings = self._parts.settings
        root = settings.cache or settings.home / "cache"
        if settings.slot_users and settings.run_as is not None and not shared:
            root /= f"user-{settings.run_as.user}"
        folder = root / name
        if not folder.is_dir():
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if not shared:
                self._folders.give(folder)
        return folder

    def check_out(self) -> None:
        """Put the tree of the execution's commit into the working directory."""
        self._folders.make()
        home, target = self._parts.settings.home, self._folders.path
        made = check_out(self._job.git, home, target, self._bring)
        self._folders.give(*made)
        commit = self._job.git.get("commit", "")
        self._log.say(Level.INFO, f"Checked out {commit[:7]} of {self._job.git.get('source')}")

    def _bring(self, source: str, commit: str) -> bool:
        return bool(self._outside.call("git.bring", {"source": source, "commit": commit}))

    def place_files(
        self,
        *,
        namespace_files: Mapping[str, Any] | None = None,
        input_files: object = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Put namespace files and `inputFiles` (unrendered) into the working directory."""
        where = {
            "workspace": self._folders,
            "storage": self._storage,
            "namespace": self._job.namespace,
            "render": (self.renderer.having(more) if more else self.renderer).typed,
        }
        first = files.place_namespace_files(namespace_files, **where)  # type: ignore[arg-type]
        second = files.place_input_files(input_files, **where)  # type: ignore[arg-type]
        for name in sorted(set(first) & set(second)):
            self._log.say(Level.DEBUG, f"inputFiles overwrites the namespace file {name}")

    def localise(self, text: str) -> str:
        """The text with addresses of the internal storage replaced by paths of local copies."""
        return files.localise(text, workspace=self._folders, storage=self._storage)

    def write_file(self, name: str, content: str) -> Path:
        """Write a text file into the working directory."""
        return self._folders.write(name, content)

    def collect_files(self, patterns: Iterable[str], *, output_dir: bool = False) -> dict[str, str]:
        """Store what matches `outputFiles`, and what is in the output directory."""
        below = places.task_prefix(
            self._job.namespace,
            self._job.flow_id,
            self._job.execution_id,
            self.task_id,
            self.taskrun_id,
        )
        return files.collect(
            patterns,
            workspace=self._folders,
            storage=self._storage,
            address=lambda name: f"{below}/{name}",
            refused=lambda message: self._log.say(Level.WARN, f"outputFiles: {message}"),
            output_dir=output_dir,
            move=self._earlier is None,
        )

    def find_files(self, patterns: Iterable[str]) -> dict[str, Path]:
        """The files of the working directory that match, by relative path."""
        return files.find(
            patterns,
            workspace=self._folders,
            refused=lambda message: self._log.say(Level.WARN, f"patterns: {message}"),
        )

    def place_stream(self, name: str, content: IO[bytes], *, mode: int = 0) -> None:
        """Put a file into the working directory."""

        def fill(target: Path) -> None:
            with target.open("wb") as out:
                shutil.copyfileobj(content, out, COPY_BYTES)
            if mode:
                target.chmod(mode)

        self._folders.place(name, fill)

    def open_file(self, path: Path) -> BinaryIO:
        """Open a file that a process of the job may have made."""
        return self._folders.open(path)

    def _chosen(self, task_runner: Mapping[str, object] | None) -> choice.Choice:
        """The task runner, asked for once for the same properties."""
        if self._last_choice is None or self._last_choice[0] != task_runner:
            settings = self._parts.settings
            chosen = choice.choose(
                task_runner, default=settings.task_runner, access=settings.docker
            )
            self._last_choice = (task_runner, chosen)
        return self._last_choice[1]
