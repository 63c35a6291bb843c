"""Repositories over SSH: how `ssh` is called, and a real server where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.git_http import Repository

from penstock_runner.git.hostkeys import published
from penstock_runner.git.remote import Credentials, Remote, remote_of
from penstock_runner.git.store import BareStore, Wanted, look
from penstock_runner.git.trouble import GitTrouble

FINGERPRINTS = {
    "github.com": "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
    "gitlab.com": "eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
    "bitbucket.org": "ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
    "codeberg.org": "mIlxA9k46MmM6qdJOdMnAQpzGxF4WIVVL+fj+wZbw0g",
}


def keygen(*arguments: str) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("needs ssh-keygen")
    done = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("host", sorted(FINGERPRINTS))
def test_the_keys_that_ship_have_the_fingerprints_that_forges_publish(
    tmp_path: Path, host: str
) -> None:
    file = tmp_path / "hosts"
    file.write_text(published())
    assert f"SHA256:{FINGERPRINTS[host]}" in keygen("-l", "-F", host, "-f", str(file))


@dataclass(frozen=True)
class Sshd:
    port: int
    folder: Path
    user: str
    repository: Repository

    @property
    def key(self) -> str:
        return (self.folder / "user").read_text()

    @property
    def hosts(self) -> str:
        kind, key = (self.folder / "host.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}"

    def remote(self, hosts: Path | None = None, **known: str) -> Remote:
        url = f"ssh://{self.user}@127.0.0.1:{self.port}{self.repository.path}"
        given = {"ssh_key": self.key, "known_hosts": self.hosts, **known}
        return remote_of(url, Credentials(**given), hosts_file=hosts)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    user = pwd.getpwuid(os.geteuid())
    if program is None or not shutil.which("ssh") or not shutil.which("git"):
        pytest.skip("needs sshd, ssh and git")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("needs /run/sshd, which sshd wants when it runs as root")
    # Sshd trusts no file below a folder that others may write to, as /tmp is.
    keygen("-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "host"))
    keygen("-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "user"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nAcceptEnv GIT_PROTOCOL\nUsePAM no\n"
        f"PidFile none\nPermitRootLogin prohibit-password\n"
    )
    repository = Repository(tmp_path / "flows.git")
    repository.commit({"a.yml": "id: a"})
    process = subprocess.Popen(
        [program, "-D", "-e", "-f", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert process.stderr is not None
    assert "listening" in process.stderr.readline()
    yield Sshd(port=port, folder=tmp_path, user=user.pw_name, repository=repository)
    process.terminate()
    process.wait(10)
    process.stderr.close()


def test_a_commit_is_fetched_over_ssh(tmp_path: Path, sshd: Sshd) -> None:
    with BareStore(tmp_path / "store") as store:
        fetched = store.fetch(sshd.remote())
        assert [entry.path for entry in store.files(fetched.commit).entries] == ["a.yml"]


def test_a_host_that_is_not_known_is_refused_until_its_key_is_accepted(
    tmp_path: Path, sshd: Sshd
) -> None:
    with pytest.raises(GitTrouble, match="accept-new") as raised:
        look(sshd.remote(known_hosts=""), Wanted())
    assert raised.value.code == "GIT_HOST_KEY"
    kept = tmp_path / "kept"
    assert look(sshd.remote(kept, known_hosts="accept-new"), Wanted()).ref == "refs/heads/main"
    assert sshd.hosts in kept.read_text()
    kept.write_text(kept.read_text().replace(sshd.hosts.split()[2], (other_key(tmp_path))))
    with pytest.raises(GitTrouble, match="not the known one") as raised:
        look(sshd.remote(kept, known_hosts="accept-new"), Wanted())
    assert raised.value.code == "GIT_HOST_KEY"


def test_a_key_that_the_host_does_not_take_is_an_auth_trouble(tmp_path: Path, sshd: Sshd) -> None:
    other_key(tmp_path)
    with pytest.raises(GitTrouble) as raised:
        look(sshd.remote(ssh_key=(tmp_path / "other").read_text()), Wanted())
    assert raised.value.code == "GIT_AUTH"


def test_a_key_with_a_passphrase_is_opened_with_it(tmp_path: Path, sshd: Sshd) -> None:
    keygen("-q", "-p", "-P", "", "-N", "it's s3cret", "-f", str(tmp_path / "user"))
    right = sshd.remote(passphrase="it's s3cret")
    assert look(right, Wanted()).ref == "refs/heads/main"
    with pytest.raises(GitTrouble) as raised:
        look(sshd.remote(passphrase="wr0ng"), Wanted())
    assert (raised.value.code, "wr0ng" in raised.value.message) == ("GIT_AUTH", False)


def test_a_repository_that_is_not_there_is_not_found(sshd: Sshd) -> None:
    remote = remote_of(
        f"ssh://{sshd.user}@127.0.0.1:{sshd.port}/none.git",
        Credentials(ssh_key=sshd.key, known_hosts=sshd.hosts),
    )
    with pytest.raises(GitTrouble) as raised:
        look(remote, Wanted())
    assert raised.value.code == "GIT_NOT_FOUND"


def other_key(folder: Path) -> str:
    keygen("-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other"))
    return (folder / "other.pub").read_text().split()[1]
