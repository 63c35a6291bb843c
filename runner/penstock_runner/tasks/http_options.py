"""The properties that HTTP tasks and triggers share, in old and present spelling."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from penstock_runner.tasks.api import Properties, TaskProperties


class SslOptions(Properties):
    """How certificates are checked."""

    insecure_trust_all_certificates: bool = False


class TimeoutOptions(Properties):
    """How long to wait for a connection, and for the next bytes."""

    connect_timeout: timedelta | None = None
    read_idle_timeout: timedelta | None = None


class AuthOptions(Properties):
    """Who asks: a user with a password, or a token."""

    type: Literal["BASIC", "BEARER"] = "BASIC"
    username: str | None = None
    password: str | None = None
    token: str | None = None


class ProxyOptions(Properties):
    """The proxy to go through."""

    type: Literal["DIRECT", "HTTP", "SOCKS"] = "DIRECT"
    address: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = None


class HttpOptions(Properties):
    """The options of a request; `timeout`, `auth`, `proxy` and `ssl` are the present spelling."""

    timeout: TimeoutOptions | None = None
    auth: AuthOptions | None = None
    proxy: ProxyOptions | None = None
    ssl: SslOptions | None = None
    follow_redirects: bool = True
    allow_failed: bool = False
    allowed_response_codes: tuple[int, ...] | None = None
    default_charset: str = "UTF-8"
    max_content_length: int | None = None
    logs: tuple[str, ...] | None = None
    log_level: str | None = None
    connect_timeout: timedelta | None = None
    read_timeout: timedelta | None = None
    read_idle_timeout: timedelta | None = None
    connection_pool_idle_timeout: timedelta | None = None
    proxy_type: Literal["DIRECT", "HTTP", "SOCKS"] | None = None
    proxy_address: str | None = None
    proxy_port: int | None = None
    proxy_username: str | None = None
    proxy_password: str | None = None
    basic_auth_user: str | None = None
    basic_auth_password: str | None = None

    @property
    def login(self) -> AuthOptions | None:
        """Who asks, however it was written."""
        if self.auth is not None or self.basic_auth_user is None:
            return self.auth
        return AuthOptions(username=self.basic_auth_user, password=self.basic_auth_password)

    @property
    def way(self) -> ProxyOptions:
        """The proxy, however it was written."""
        if self.proxy is not None:
            return self.proxy
        return ProxyOptions(
            type=self.proxy_type or "DIRECT",
            address=self.proxy_address,
            port=self.proxy_port,
            username=self.proxy_username,
            password=self.proxy_password,
        )


class HttpProperties(TaskProperties):
    """What every request has."""

    uri: str
    method: str = "GET"
    body: str | None = None
    form_data: Mapping[str, object] | None = None
    params: Mapping[str, object] | None = None
    content_type: str | None = None
    headers: Mapping[str, str] | None = None
    options: HttpOptions = HttpOptions()
    ssl_options: SslOptions | None = None
