"""Git sources that people declare by the API: what may be said of them, and how it is kept.

They are as those of the configuration, but for what only an administrator of the machine may say:
files of the machine and proxies. Passwords and tokens are kept encrypted and never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import SecretStr, ValidationError, model_validator

from penstock_runner.executor.ciphers import Cipher
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_server.sync.settings import Auth, SourceSettings

_SEALED = ("password", "token")


class DeclaredSource(SourceSettings):
    """One Git source that somebody has declared by the API."""

    origin: ClassVar[Literal["config", "api"]] = "api"

    @model_validator(mode="after")
    def _nothing_of_the_machine(self) -> Self:
        if self.url != self.shown_url and "@" in self.url and "://" in self.url:
            raise ValueError("'url' holds a user or a password: give them in 'auth'")
        if self.tls.ca_file is not None or self.tls.client_cert is not None:
            raise ValueError(
                "'tls.caFile' and 'tls.clientCert' are files of the machine: only a source of the"
                " configuration may name them"
            )
        if self.proxy not in (None, "none"):
            raise ValueError("'proxy' may only be 'none': other proxies are in the configuration")
        return self


class BadDeclaration(Exception):
    """The settings of a source cannot be used; for HTTP that is a 422 with all `faults`."""

    status = 422

    def __init__(self, source_id: str, faults: list[dict[str, str]]) -> None:
        told = "; ".join(f"{one['path']}: {one['message']}" for one in faults)
        super().__init__(f"source {source_id!r} cannot be used: {told}")
        self.faults = faults


def declared_source(source_id: str, given: Mapping[str, Any]) -> DeclaredSource:
    """The source that a request describes; raises `BadDeclaration` with all that is wrong."""
    named = given.get("id", source_id)
    if named != source_id:
        fault = {"path": "id", "message": f"is {named!r}, but the address names {source_id!r}"}
        raise BadDeclaration(source_id, [fault])
    return _read(source_id, {**given, "id": source_id})


def _read(source_id: str, given: Mapping[str, Any]) -> DeclaredSource:
    try:
        return DeclaredSource.model_validate(given)
    except ValidationError as error:
        faults = [
            {
                "path": ".".join(str(part) for part in detail["loc"]) or "source",
                "message": detail["msg"].removeprefix("Value error, "),
            }
            for detail in error.errors(include_input=False, include_url=False)
        ]
        raise BadDeclaration(source_id, faults) from None


def sealed(source: DeclaredSource, cipher: Cipher | None) -> dict[str, Any]:
    """The settings as they are stored; raises `BadDeclaration` where nothing can encrypt."""
    stored = source.model_dump(
        mode="json", by_alias=True, exclude={"auth": set(_SEALED)}, exclude_unset=True
    )
    for name in _SEALED:
        value: SecretStr | None = getattr(source.auth, name)
        if value is None:
            continue
        if cipher is None:
            way = f"name a secret of the service (`auth.{name}Secret`), or set `encryptionKey`"
            raise BadDeclaration(source.id, [{"path": f"auth.{name}", "message": way}])
        stored["auth"][name] = cipher.encrypt(value.get_secret_value())
    return stored


def opened(stored: Mapping[str, Any], cipher: Cipher | None) -> DeclaredSource:
    """The source as it was declared; without its password when that cannot be decrypted.

    Raises `BadDeclaration` for settings that another release has taken.
    """
    source = _read(str(stored.get("id")), stored)
    kept: dict[str, SecretStr | None] = {}
    for name in _SEALED:
        value: SecretStr | None = getattr(source.auth, name)
        if value is not None:
            kept[name] = _decrypted(value, cipher)
    auth: Auth = source.auth.model_copy(update=kept)
    return source.model_copy(update={"auth": auth}) if kept else source


def _decrypted(value: SecretStr, cipher: Cipher | None) -> SecretStr | None:
    if cipher is None:
        return None
    try:
        return SecretStr(cipher.decrypt(value.get_secret_value()))
    except ExpressionFailed:
        return None
