"""An authority and certificates of its own for a test, made by the `openssl` program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Signs certificates for 127.0.0.1; `file` is its own."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("needs the openssl program, to make certificates")
        self._program = program
        self._folder = folder
        folder.mkdir()
        self.file = folder / "ca.pem"
        self._run("req", "-x509", *self._key("ca"), "-out", "ca.pem", "-subj", "/CN=Test CA")

    def server(self, *, expired: bool = False, name: str = "IP:127.0.0.1") -> ssl.SSLContext:
        """The TLS side of a server with a certificate of this authority."""
        (self._folder / "ext").write_text(f"subjectAltName={name}\n")
        self._run("req", *self._key("server"), "-out", "server.csr", "-subj", "/CN=server")
        span = (
            ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
            if expired
            else ("-days", "2")
        )
        self._sign("server.csr", "server.pem", span)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
        return context

    def client(self) -> Path:
        """A file with a key and a certificate that this authority has signed."""
        self._run("req", *self._key("client"), "-out", "client.csr", "-subj", "/CN=client")
        (self._folder / "ext").write_text("")
        self._sign("client.csr", "client.pem", ("-days", "2"))
        both = self._folder / "both.pem"
        parts = [(self._folder / name).read_text() for name in ("client.key", "client.pem")]
        both.write_text("".join(parts))
        return both

    def _sign(self, request: str, out: str, span: tuple[str, ...]) -> None:
        database = self._folder / "index.txt"
        database.write_text("")
        (self._folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index.txt\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        dates = ("-startdate", span[1], "-enddate", span[3]) if len(span) == 4 else span
        self._run(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem"),
            *("-keyfile", "ca.key", "-extfile", "ext", "-in", request, "-out", out, *dates),
        )

    def _key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [self._program, *arguments], cwd=self._folder, check=True, capture_output=True
        )
