"""Real repositories for tests: commits written by dulwich, served by Git's own HTTP program."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE, EXECUTABLE, LINK, MODULE, FOLDER = 0o100644, 0o100755, 0o120000, 0o160000, 0o040000


@dataclass(frozen=True)
class Head:
    """A commit as tests look at it."""

    id: str
    parents: list[str]
    author: str
    message: str


class Repository:
    """A bare repository that tests write commits to."""

    def __init__(self, path: Path, branch: str = "main") -> None:
        path.mkdir(parents=True)
        self.path = path
        self.branch = branch
        self.files: dict[str, bytes] = {}
        self._repo = Repo.init_bare(str(path), default_branch=branch.encode())
        self._repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/" + branch.encode())
        self._count = 0

    def commit(
        self,
        changes: Mapping[str, str | bytes | None],
        message: str = "a change",
        *,
        branch: str | None = None,
        author: str = "Ana Ruiz <ana@example.org>",
        orphan: bool = False,
        at: datetime | None = None,
    ) -> str:
        """Commit files (None deletes) on top of the branch; `orphan` forgets all before it."""
        if orphan:
            self.files = {}
        for path, content in changes.items():
            if content is None:
                self.files.pop(path)
            else:
                self.files[path] = content.encode() if isinstance(content, str) else content
        return self.commit_tree(
            self._tree(self.files), message, branch=branch, author=author, orphan=orphan, at=at
        )

    def commit_tree(
        self,
        tree: ObjectID,
        message: str = "a tree",
        *,
        branch: str | None = None,
        author: str = "Ana Ruiz <ana@example.org>",
        orphan: bool = False,
        at: datetime | None = None,
    ) -> str:
        """Commit a tree made by hand."""
        name = b"refs/heads/" + (branch or self.branch).encode()
        commit = Commit()
        commit.tree = tree
        commit.author = commit.committer = author.encode()
        self._count += 1
        moment = int((at or NOON).timestamp()) + self._count
        commit.author_time = commit.commit_time = moment
        commit.author_timezone = commit.commit_timezone = 3600
        commit.message = message.encode()
        commit.parents = [] if orphan or name not in self._repo.refs else [self._repo.refs[name]]
        self._repo.object_store.add_object(commit)
        self._repo.refs[name] = commit.id
        return commit.id.decode()

    def blob(self, content: bytes) -> ObjectID:
        """Add a blob."""
        blob = Blob.from_string(content)
        self._repo.object_store.add_object(blob)
        return blob.id

    def tree(self, *entries: tuple[bytes, int, ObjectID]) -> ObjectID:
        """Add a tree of raw entries: name, mode, object. Names are not looked at."""
        lines = b"".join(
            b"%o %s\0" % (mode, name) + bytes.fromhex(sha.decode()) for name, mode, sha in entries
        )
        tree = Tree.from_raw_string(Tree.type_num, lines)
        self._repo.object_store.add_object(tree)
        return tree.id

    def reset(self, commit: str, branch: str | None = None) -> None:
        """Point a branch somewhere else, as a force push does."""
        self._repo.refs[b"refs/heads/" + (branch or self.branch).encode()] = commit.encode()

    def tag(self, name: str, commit: str) -> None:
        """A lightweight tag."""
        self._repo.refs[b"refs/tags/" + name.encode()] = commit.encode()

    def head(self, branch: str | None = None) -> Head:
        """The commit of a branch."""
        commit = self._repo[b"refs/heads/" + (branch or self.branch).encode()]
        assert isinstance(commit, Commit)
        return Head(
            id=commit.id.decode(),
            parents=[one.decode() for one in commit.parents],
            author=commit.author.decode(),
            message=commit.message.decode(),
        )

    def contents(self, branch: str | None = None) -> dict[str, str]:
        """Path -> text of the files of a branch."""
        return {
            path: self._repo[sha].as_raw_string().decode("utf-8", "replace")
            for path, mode, sha in self._entries(branch)
            if mode in (FILE, EXECUTABLE)
        }

    def modes(self) -> dict[str, int]:
        """Path -> mode of all entries of the branch."""
        return {path: mode for path, mode, _ in self._entries(None)}

    def _entries(self, branch: str | None) -> Iterator[tuple[str, int, ObjectID]]:
        commit = self._repo[b"refs/heads/" + (branch or self.branch).encode()]
        assert isinstance(commit, Commit)
        for entry in iter_tree_contents(self._repo.object_store, commit.tree):
            yield entry.path.decode(), entry.mode, entry.sha

    def _tree(self, files: Mapping[str, bytes]) -> ObjectID:
        here: list[tuple[bytes, int, ObjectID]] = []
        folders: dict[str, dict[str, bytes]] = {}
        for path, content in files.items():
            folder, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(folder, {})[rest] = content
            else:
                here.append((path.encode(), FILE, self.blob(content)))
        here += [(name.encode(), FOLDER, self._tree(inner)) for name, inner in folders.items()]
        # Git orders a folder as if its name ended in a slash.
        here.sort(key=lambda entry: entry[0] + (b"/" if entry[1] == FOLDER else b""))
        return self.tree(*here)


@dataclass
class GitServer:
    """A running server; what tests change while it runs.

    `cut_after` is a method and how many bytes of the answers to it are sent before the end;
    `dripping` sends byte after byte until it is set; `api` answers what is posted elsewhere.
    """

    url: str = ""
    username: str | None = None
    password: str | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hanging: threading.Event | None = None
    cut_after: tuple[str, int] | None = None
    dripping: threading.Event | None = None
    filters: bool = True
    api: Callable[[str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]] | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def url_of(self, repository: Repository) -> str:
        """The address of a repository below the served folder."""
        return f"{self.url}/{repository.path.name}"


@contextmanager
def serve_git(
    root: Path,
    username: str | None = None,
    password: str | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[GitServer]:
    """Serve all repositories below a folder over HTTP(S) on a free port of this machine."""
    program = _http_backend()
    facts = GitServer(username=username, password=password)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            return

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            facts.requests.append((self.command, self.path, headers))
            if facts.hanging is not None:
                facts.hanging.wait(30)
                return
            if facts.api is not None and self.path.startswith(("/api/", "/rest/", "/2.0/")):
                self._call(facts.api(self.path, headers, self._body()))
                return
            if facts.status is not None:
                self.send_response(facts.status)
                for name, value in facts.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            if facts.username is not None and not self._known():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            self._run()

        def _call(self, answer: tuple[int, dict[str, str], bytes]) -> None:
            status, more, content = answer
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                return self._chunks()
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length) if length else b""

        def _known(self) -> bool:
            wanted = base64.b64encode(f"{facts.username}:{facts.password}".encode()).decode()
            return self.headers.get("Authorization") == f"Basic {wanted}"

        def _run(self) -> None:
            path, _, query = self.path.partition("?")
            body = self._body()
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "GIT_CONFIG_COUNT": "3",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "GIT_CONFIG_KEY_1": "uploadpack.allowFilter",
                "GIT_CONFIG_VALUE_1": "true" if facts.filters else "false",
                "GIT_CONFIG_KEY_2": "http.receivepack",
                "GIT_CONFIG_VALUE_2": "true",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                [program], input=body, env=environment, capture_output=True, timeout=60, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in fields if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.end_headers()
            if facts.cut_after is not None and facts.cut_after[0] == self.command:
                content = content[: facts.cut_after[1]]
            if facts.dripping is not None:
                self._drip(content)
            else:
                self.wfile.write(content)

        def _drip(self, content: bytes) -> None:
            assert facts.dripping is not None
            for byte in content:
                if facts.dripping.wait(0.05):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

        def _chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(
        target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}
    )
    thread.start()
    scheme = "http" if tls is None else "https"
    facts.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    try:
        yield facts
    finally:
        for event in (facts.hanging, facts.dripping):
            if event is not None:
                event.set()
        server.shutdown()
        server.server_close()


def _http_backend() -> str:
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs the git program, to serve repositories over HTTP")
    folder = subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=True)
    program = Path(folder.stdout.strip()) / "git-http-backend"
    if not program.exists():
        pytest.skip("needs git http-backend, to serve repositories over HTTP")
    return str(program)
