"""Hosts that misbehave: cut connections, silence, wrong certificates, redirects, proxies."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.git.certificates import Authority
from tests.git_http import GitServer, Repository, serve_git

from penstock_runner.git.guard import Guard
from penstock_runner.git.remote import Remote, Rules, remote_of
from penstock_runner.git.store import BareStore, Wanted, look
from penstock_runner.git.trouble import GitTrouble


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "flows.git")
    made.commit({"a.yml": "id: a\n" + "# more\n" * 5000})
    return made


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


def trouble(remote: Remote) -> GitTrouble:
    with pytest.raises(GitTrouble) as raised:
        look(remote, Wanted())
    return raised.value


def test_an_answer_that_is_cut_within_the_refs_is_network_trouble(
    server: GitServer, repository: Repository
) -> None:
    server.cut_after = ("POST", 20)
    assert trouble(remote_of(server.url_of(repository))).code == "GIT_NETWORK"


def test_a_pack_that_is_cut_leaves_the_store_as_it_was(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    remote = remote_of(server.url_of(repository))
    seen = look(remote, Wanted())
    exact = Wanted(kind="commit", name=seen.commit)
    with BareStore(tmp_path / "store") as store:
        server.cut_after = ("POST", 200)
        with pytest.raises(GitTrouble) as raised:
            store.fetch(remote, exact)
        assert raised.value.code in ("GIT_NETWORK", "GIT_CORRUPT")
        assert not store.has(seen.commit)
        server.cut_after = None
        assert store.fetch(remote, exact).commit == seen.commit
        assert [entry.path for entry in store.files(seen.commit).entries] == ["a.yml"]


def test_a_name_that_means_no_host_is_network_trouble_that_says_so() -> None:
    met = trouble(remote_of("https://no-such-host.invalid/x.git"))
    assert met.code == "GIT_NETWORK"
    assert "no-such-host.invalid" in met.message


@pytest.mark.parametrize(
    ("status", "code"), [(401, "GIT_AUTH"), (403, "GIT_AUTH"), (404, "GIT_NOT_FOUND")]
)
def test_refusals_have_their_codes(
    server: GitServer, repository: Repository, status: int, code: str
) -> None:
    server.status = status
    assert trouble(remote_of(server.url_of(repository))).code == code


@pytest.mark.parametrize("status", [429, 503])
def test_a_date_of_when_to_come_back_counts_from_the_hosts_own_clock(
    server: GitServer, repository: Repository, status: int
) -> None:
    server.status = status
    server.headers = {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}
    met = trouble(remote_of(server.url_of(repository)))
    assert met.code == "GIT_NETWORK"
    assert met.retry_after is not None
    assert met.retry_after > 3600
    server.headers = {"Retry-After": "when it suits"}
    assert trouble(remote_of(server.url_of(repository))).retry_after is None


def test_an_authority_that_is_not_trusted_asks_for_its_file(
    tmp_path: Path, repository: Repository, authority: Authority
) -> None:
    with serve_git(tmp_path / "served", tls=authority.server()) as server:
        url = server.url_of(repository)
        met = trouble(remote_of(url))
        assert met.code == "GIT_TLS"
        assert "tls.caFile" in met.message
        assert look(remote_of(url, ca_file=str(authority.file)), Wanted()).ref == "refs/heads/main"
        assert look(remote_of(url, insecure=True), Wanted()).ref == "refs/heads/main"


def test_an_expired_certificate_and_one_of_another_name_ask_for_other_things(
    tmp_path: Path, repository: Repository, authority: Authority
) -> None:
    trusting = {"ca_file": str(authority.file)}
    with serve_git(tmp_path / "served", tls=authority.server(expired=True)) as server:
        met = trouble(remote_of(server.url_of(repository), **trusting))  # type: ignore[arg-type]
        assert (met.code, "Renew" in met.message) == ("GIT_TLS", True)
    with serve_git(tmp_path / "served", tls=authority.server(name="DNS:other")) as server:
        met = trouble(remote_of(server.url_of(repository), **trusting))  # type: ignore[arg-type]
        assert (met.code, "another name" in met.message) == ("GIT_TLS", True)


def test_a_host_that_asks_for_a_certificate_gets_ours(
    tmp_path: Path, repository: Repository, authority: Authority
) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serve_git(tmp_path / "served", tls=context) as server:
        url, trusting = server.url_of(repository), str(authority.file)
        own = str(authority.client())
        assert trouble(remote_of(url, ca_file=trusting)).code in ("GIT_TLS", "GIT_NETWORK")
        with_own = remote_of(url, ca_file=trusting, client_cert=own)
        assert look(with_own, Wanted()).ref == "refs/heads/main"


@pytest.mark.parametrize("name", ["ca_file", "client_cert"])
def test_a_certificate_file_that_is_not_there_is_named(name: str) -> None:
    met = trouble(remote_of("https://127.0.0.1:1/x.git", **{name: "/none.pem"}))  # type: ignore[arg-type]
    assert (met.code, "/none.pem" in met.message) == ("GIT_TLS", True)


def test_nobody_is_sent_from_https_to_http(
    tmp_path: Path, server: GitServer, repository: Repository, authority: Authority
) -> None:
    (tmp_path / "secure").mkdir()
    with serve_git(tmp_path / "secure", tls=authority.server()) as secure:
        secure.status = 302
        secure.headers = {"Location": f"{server.url_of(repository)}/info/refs"}
        remote = remote_of(f"{secure.url}/flows.git", ca_file=str(authority.file))
        assert "unencrypted" in trouble(remote).message
    assert server.requests == []


def test_a_redirect_is_followed_three_times_and_no_further(
    server: GitServer, repository: Repository
) -> None:
    server.status = 302
    server.headers = {"Location": f"{server.url_of(repository)}/info/refs"}
    assert trouble(remote_of(server.url_of(repository))).code == "GIT_NETWORK"
    assert len(server.requests) == 4


def test_private_addresses_are_refused_where_only_public_ones_are_allowed(
    server: GitServer, repository: Repository
) -> None:
    rules = Rules(private_hosts=False)
    for host in ("127.0.0.1", "localhost"):
        url = server.url_of(repository).replace("127.0.0.1", host)
        met = trouble(remote_of(url, rules=rules))
        assert (met.code, "git.allowPrivate" in met.message) == ("GIT_ADDRESS", True)
    met = trouble(remote_of("ssh://git@localhost:1/x.git", rules=rules))
    assert met.code == "GIT_ADDRESS"
    assert server.requests == [], "nothing was sent there"


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]
)
def test_a_public_host_cannot_send_us_into_the_private_network(peer: str) -> None:
    guard = Guard(remote_of("https://git.example.org/x.git"))
    guard.connected("git.example.org", "93.184.215.14")
    guard.connected("cdn.example.org", "93.184.215.15")
    with pytest.raises(GitTrouble, match="redirects"):
        guard.connected("metadata.example.org", peer)
    inside = Guard(remote_of("https://git.example.org/x.git"))
    inside.connected("git.example.org", "10.0.0.5")
    inside.connected("other.example.org", peer)


class Proxy:
    """A proxy that fetches for others, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@contextmanager
def proxy(password: str | None = None) -> Iterator[Proxy]:
    facts = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            given = self.headers.get("Proxy-Authorization")
            facts.asked.append((self.path, given))
            if password is not None and given is None:
                self.send_error(407)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=pump, args=(there, self.connection), daemon=True)
                back.start()
                pump(self.connection, there)
                back.join(5)

        def log_message(self, *_: Any) -> None:
            return

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(
        target=served.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}
    )
    thread.start()
    facts.url = f"http://127.0.0.1:{served.server_address[1]}"
    try:
        yield facts
    finally:
        served.shutdown()
        served.server_close()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_a_proxy_is_used_with_its_password_which_no_message_shows(
    tmp_path: Path, repository: Repository, authority: Authority
) -> None:
    with (
        serve_git(tmp_path / "served", tls=authority.server()) as server,
        proxy("s3cret") as between,
    ):
        url, trusting = server.url_of(repository), str(authority.file)
        known = between.url.replace("//", "//user:s3cret@")
        seen = look(remote_of(url, ca_file=trusting, proxy=known), Wanted())
        assert seen.ref == "refs/heads/main"
        assert between.asked[0][0] == url.split("/")[2]
        met = trouble(remote_of(url, ca_file=trusting, proxy=between.url))
        assert (met.code, "Check `proxy`" in met.message) == ("GIT_NETWORK", True)
        gone = remote_of(url, ca_file=trusting, proxy="http://user:s3cret@127.0.0.1:1")
        assert "s3cret" not in f"{trouble(gone).message} {gone!r}"
