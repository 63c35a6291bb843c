"""A daemon behind TLS that asks for certificates: one of the tests' own, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
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
    find_daemon,
    hosts_of,
)

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("dockerd-tls")]
START_SECONDS = 30.0


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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The variables by which Docker's own client finds the daemon."""
    program = shutil.which("dockerd")
    if program is None or shutil.which("openssl") is None or os.geteuid() != 0:
        pytest.skip("there is no dockerd or openssl here, or it may not be started")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        certificates(folder)
        port = free_port()
        command = [program, "--data-root", f"{name}/data", "--exec-root", f"{name}/exec"]
        command += ["--pidfile", f"{name}/pid", "--bridge=none", "--iptables=false"]
        command += ["--ip6tables=false", "-H", f"tcp://127.0.0.1:{port}", "--tlsverify"]
        command += [
            "--tlscacert",
            "ca.pem",
            "--tlscert",
            "server.pem",
            "--tlskey",
            "server-key.pem",
        ]
        with (folder / "log").open("wb") as log:
            service = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        found = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_CERT_PATH": name,
                 "DOCKER_TLS_VERIFY": "1"}  # fmt: skip
        try:
            until = time.monotonic() + START_SECONDS
            while find_daemon(access(found)) is None:
                if service.poll() is not None or time.monotonic() > until:
                    said = (folder / "log").read_text()[-300:]
                    pytest.skip(f"no daemon starts here: {said}")
                time.sleep(0.1)
            yield found
        finally:
            service.terminate()
            service.wait(30)


def access(environment: dict[str, str]) -> DockerAccess:
    return DockerAccess(
        hosts=hosts_of(environment, os.getuid()), certificates=certificates_of(environment)
    )


def test_a_job_runs_on_a_daemon_that_asks_for_a_certificate(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    found = find_daemon(access(environment))
    assert found is not None
    try:
        real_docker.give_image(found)
    except real_docker.NoDaemon as reason:
        pytest.skip(str(reason))
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
    with pytest.raises(SetupFailed, match="no Docker daemon"):
        choose(named, default="auto", access=plain)
    with tempfile.TemporaryDirectory() as empty:
        strangers = replace(access(environment), certificates=Path(empty))
        with pytest.raises(SetupFailed, match="CERTIFICATE_VERIFY_FAILED"):
            choose(named, default="auto", access=strangers)
