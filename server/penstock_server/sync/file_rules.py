"""Which files of a source are files of a namespace, and where they go.

A layout finds them by the names of folders; or the settings name the folders. What lies there is
never read as a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from penstock_runner.git.names import Patterns

FILES = "files"
UNDERLINED = "_files"
LAYOUTS = (UNDERLINED, FILES)
# Git's own marks, and names that only keep a folder alive.
_MARKS = (".git", ".gitignore", ".gitkeep")
_NEVER_FLOWS = (f"{UNDERLINED}/**", f"**/{UNDERLINED}/**")
_RESERVED = "_flows"
LONGEST = 1000


class _Rules(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class FileLayout(_Rules):
    """Folders found by their names: `auto` takes the first layout that is there."""

    layout: Literal["auto", "folders", "_files", "files", "none"] = "auto"


class FileFolder(_Rules):
    """One folder whose files go to a namespace, below `prefix`; `children` reads its folders."""

    dir: str
    namespace: str
    prefix: str = "/"
    children: bool = True


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, dict) and "dir" in value else value


FileRules = Annotated[FileLayout | tuple[FileFolder, ...], BeforeValidator(_one_or_many)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """Where a file goes; without a namespace it goes to that of the source's flows."""

    namespace: str | None
    path: str

    @property
    def problem(self) -> str | None:
        """Why a namespace cannot hold a file of this name."""
        if self.path.split("/")[1] == _RESERVED:
            return f"is below {_RESERVED}, which is reserved for flows"
        if ".." in self.path or "\\" in self.path:
            return "has a name that addresses cannot hold: '..'"
        return f"is longer than {LONGEST} characters" if len(self.path) > LONGEST else None


Place = Callable[[str], FilePlace | None]


class Sorting:
    """Tells the files of namespaces from the flow files of one tree."""

    def __init__(
        self, rules: FileLayout | Sequence[FileFolder], home: str | None, paths: Collection[str]
    ) -> None:
        """`home` is the namespace of files whose folder names none."""
        self._place, folders = _placing(rules, home, paths)
        self._elsewhere = Patterns([*_NEVER_FLOWS, *(f"{folder}/**" for folder in folders)])

    def file(self, path: str) -> FilePlace | None:
        """Where a file goes, if it is one of a namespace."""
        return None if path.endswith(_MARKS) else self._place(path)

    def may_be_flow(self, path: str) -> bool:
        """Whether the file is in no folder of namespace files."""
        return not self._elsewhere.match(path)


def _placing(
    rules: FileLayout | Sequence[FileFolder], home: str | None, paths: Collection[str]
) -> tuple[Place, list[str]]:
    """How files are placed, and the folders that hold no flows."""
    if not isinstance(rules, FileLayout):
        return _from_folders(rules), [one.dir.strip("/") for one in rules]
    layout = _found(paths) if rules.layout == "auto" else rules.layout
    if layout == "folders":
        return _by_namespace, [f"*/{FILES}"]
    if layout == "none":
        return (lambda _path: None), []
    folder = FileFolder(dir=layout, namespace=home or "")
    return _from_folders([folder]), [layout]


def _found(paths: Collection[str]) -> str:
    return next(
        (name for name in LAYOUTS if any(path.startswith(f"{name}/") for path in paths)), "none"
    )


def _by_namespace(path: str) -> FilePlace | None:
    parts = path.split("/", 2)
    if len(parts) < 3 or parts[1] != FILES:
        return None
    return FilePlace(namespace=parts[0], path=f"/{parts[2]}")


def _from_folders(folders: Sequence[FileFolder]) -> Place:
    def place(path: str) -> FilePlace | None:
        for folder in folders:
            top = f"{folder.dir.strip('/')}/".lstrip("/")
            rest = path.removeprefix(top)
            if path.startswith(top) and (folder.children or "/" not in rest):
                parts = [part for part in folder.prefix.split("/") if part not in ("", ".")]
                target = "/" + "/".join([*parts, rest])
                return FilePlace(namespace=folder.namespace or None, path=target)
        return None

    return place
