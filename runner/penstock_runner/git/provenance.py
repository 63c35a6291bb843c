"""What a checkout says of itself: its root, its commit, its branch, where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dulwich.errors import NotGitRepository, NotTreeError
from dulwich.object_store import tree_lookup_path
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.repo import Repo

from penstock_runner.git.history import CommitInfo, commit_info
from penstock_runner.git.remote import stripped


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where files come from; what is not known is None. The address holds no password."""

    root: Path
    commit: CommitInfo | None = None
    ref: str | None = None
    url: str | None = None


def provenance(folder: Path) -> Provenance | None:
    """The checkout that a folder is in; None when it is in none, or Git's files cannot be read."""
    try:
        repository = Repo.discover(str(folder))
    except (NotGitRepository, OSError, ValueError):
        return None
    try:
        return Provenance(
            root=Path(repository.path).resolve(),
            commit=_head(repository),
            ref=_ref(repository),
            url=_origin(repository),
        )
    finally:
        repository.close()


def committed(checkout: Provenance, files: Mapping[str, str]) -> bool:
    """Whether the commit that is checked out holds these texts, by path from the root, as they are.

    Ends of lines do not count, since a checkout may write others than the commit has.
    """
    if checkout.commit is None:
        return False
    with Repo(str(checkout.root)) as repository:
        return all(
            _text_at(repository, checkout.commit.tree, path) == text.replace("\r\n", "\n")
            for path, text in files.items()
        )


def _text_at(repository: Repo, tree: str, path: str) -> str | None:
    try:
        _, sha = tree_lookup_path(
            repository.__getitem__, ObjectID(tree.encode("ascii")), path.encode()
        )
        found = repository[sha]
    except (KeyError, ValueError, OSError, NotTreeError):
        return None
    if not isinstance(found, Blob):
        return None
    return found.data.decode("utf-8-sig", "replace").replace("\r\n", "\n")


def _head(repository: Repo) -> CommitInfo | None:
    try:
        found = repository[repository.head()]
    except (KeyError, ValueError, OSError):
        return None
    return commit_info(found) if isinstance(found, Commit) else None


def _ref(repository: Repo) -> str | None:
    try:
        names, _ = repository.refs.follow(b"HEAD")  # type: ignore[arg-type]
    except (KeyError, ValueError, OSError):
        return None
    last = names[-1].decode("utf-8", "replace")
    return last if last.startswith("refs/") else None


def _origin(repository: Repo) -> str | None:
    try:
        url = repository.get_config().get((b"remote", b"origin"), b"url")
    except (KeyError, ValueError, OSError):
        return None
    return stripped(url.decode("utf-8", "replace"))
