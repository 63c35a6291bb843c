"""A daemon behind TLS that asks for certificates, on loopback."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.jobs.harness import runner
from tests.taskrunners import real_docker
from tests.taskrunners.real_docker import in_container

from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.choice import choose
from penstock_runner.taskrunners.docker_access import (
    DockerAccess,
    certificates_of,
    hosts_of,
)

pytestmark = pytest.mark.docker


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


def certificates(folder: Path) -> None:
    """An authority, a server and a client, as the files that Docker's client reads."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *key, "-days", "2", "-subj", "/CN=ca",
            "-keyout", "ca-key.pem", "-out", "ca.pem")  # fmt: skip
    uses = {"server": "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth",
            "client": "extendedKeyUsage=clientAuth"}  # fmt: skip
    for name, use in uses.items():
        (folder / "use").write_text(use)
        openssl(folder, "req", *key, "-subj", f"/CN={name}",
                "-keyout", f"{name}-key.pem", "-out", "request.pem")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey",
                "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "use",
                "-out", f"{name}.pem")  # fmt: skip
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")


class Guarded:
    """The daemon of the tests behind TLS: only who has a certificate of the authority gets in."""

    def __init__(self, folder: Path, there: str) -> None:
        self._there = there
        self._context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem"
        )
        self._context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        return f"tcp://127.0.0.1:{self.listening.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(ours,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        """Both ways in one thread: a TLS connection is not for two."""
        theirs = socket.socket(socket.AF_UNIX)
        with (
            theirs,
            contextlib.suppress(OSError),
            self._context.wrap_socket(plain, server_side=True) as ours,
        ):
            theirs.connect(self._there)
            while True:
                waiting = [ours] if ours.pending() else []
                for ready in waiting or select.select([ours, theirs], [], [])[0]:
                    chunk = ready.recv(65536)
                    if not chunk:
                        return
                    (theirs if ready is ours else ours).sendall(chunk)


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The variables by which Docker's own client finds the daemon."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to make certificates")
    there = real_docker.daemon().host
    if not there.startswith("unix://"):
        pytest.skip("the daemon listens on no socket that could be guarded")
    with tempfile.TemporaryDirectory() as name:
        certificates(Path(name))
        guarded = Guarded(Path(name), there.removeprefix("unix://"))
        yield {"DOCKER_HOST": guarded.host, "DOCKER_CERT_PATH": name, "DOCKER_TLS_VERIFY": "1"}
        guarded.listening.close()


def access(environment: dict[str, str]) -> DockerAccess:
    return DockerAccess(
        hosts=hosts_of(environment, os.getuid()), certificates=certificates_of(environment)
    )


def test_a_job_runs_on_a_daemon_that_asks_for_a_certificate(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    wanted = in_container(
        "cat in.txt", "echo out > out.txt", inputFiles={"in.txt": "hello\n"},
        outputFiles=["out.txt"], runner={"networkMode": "none"},
    )  # fmt: skip
    with runner(tmp_path, docker=access(environment)) as core:
        report = core.do(wanted)
        assert (report["state"], core.texts(wanted)) == ("SUCCESS", ["hello"])
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]


def test_without_the_certificates_it_is_said_why_there_is_no_daemon(
    environment: dict[str, str],
) -> None:
    named = {"type": real_docker.TASK_RUNNER}
    plain = replace(access(environment), certificates=None)
    with pytest.raises(SetupFailed, match=r"tcp://127\.0\.0\.1"):
        choose(named, default="auto", access=plain)
    with tempfile.TemporaryDirectory() as empty:
        strangers = replace(access(environment), certificates=Path(empty))
        with pytest.raises(SetupFailed, match="CERTIFICATE_VERIFY_FAILED"):
            choose(named, default="auto", access=strangers)
