"""Who may call what: tokens in a file of mode 0600, and one policy row a method or route."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.runtime.config import ConfigError

TOKEN_BYTES_MAX = 4096


class Role(StrEnum):
    """What a token is for; no role includes another."""

    PUBLIC = "public"
    ADMIN = "admin"
    OPS = "ops"
    SERVICE = "service"


@dataclass(frozen=True)
class Caller:
    """Who asks, as the token says; the tenant never comes from a body."""

    role: Role
    tenant: str


@dataclass(frozen=True)
class Policy:
    """What holds for one method.

    Attributes:
        role: who may call it; None: anyone.
        deadline_ms: its deadline where the caller names none.
        checked: the door holds the message against its rules; False: the use case completes it first, then checks.
    """

    role: Role | None
    deadline_ms: int = 1000
    checked: bool = True


Policies = Mapping[str, Policy]
"""Policy by method (``/package.Service/Method``) or by route (``GET /v1/...``)."""

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the request that is being answered; LookupError outside of one."""
    return _caller.get()


def set_caller(caller: Caller) -> None:
    """Says who calls, for the rest of this request's context."""
    _caller.set(caller)


def check_policies(methods: Iterable[str], policies: Policies) -> None:
    """Refuses to start where a method has no policy row.

    Raises:
        ConfigError: naming the methods.
    """
    missing = sorted(set(methods) - set(policies))
    if missing:
        raise ConfigError("no policy row for " + ", ".join(missing))


class Tokens:
    """The tokens of an installation; only their digests are kept for comparing."""

    def __init__(self, rows: Sequence[tuple[Role, str, str]]) -> None:
        self._callers = {_digest(token): Caller(role, tenant) for role, tenant, token in rows}
        self._tokens = {role: token for role, tenant, token in reversed(rows) if tenant == DEFAULT_TENANT}

    def of(self, role: Role) -> str:
        """The default tenant's token of a role, to be sent to another process of ours."""
        return self._tokens[role]

    def authorize(self, authorization: Sequence[str], policy: Policy) -> Caller:
        """The caller behind the ``authorization`` headers of a request, if the policy lets it through.

        Raises:
            SnowmeltError: UNAUTHENTICATED, PERMISSION_DENIED, HEADERS_TOO_LARGE, or INVALID_FIELD for two headers.
        """
        if policy.role is None:
            return Caller(Role.PUBLIC, DEFAULT_TENANT)
        if len(authorization) > 1:
            raise SnowmeltError(Reason.INVALID_FIELD, "send one authorization header", field="authorization")
        scheme, _, token = (authorization[0] if authorization else "").partition(" ")
        if len(token) > TOKEN_BYTES_MAX:
            raise SnowmeltError(Reason.HEADERS_TOO_LARGE, f"a token has at most {TOKEN_BYTES_MAX} bytes")
        caller = self._callers.get(_digest(token)) if scheme.lower() == "bearer" else None
        if caller is None:
            raise SnowmeltError(
                Reason.UNAUTHENTICATED, "send 'authorization: Bearer TOKEN' with a token of this server"
            )
        if caller.role is not policy.role:
            raise SnowmeltError(
                Reason.PERMISSION_DENIED, f"this needs a token of role {policy.role}, not {caller.role}"
            )
        return caller

    @classmethod
    def load_or_create(cls, path: str) -> "Tokens":
        """Reads the tokens file; the first process that needs it makes it, with mode 0600 and one token a role.

        Raises:
            ConfigError: others may read the file, or it is not what this class wrote.
        """
        if not Path(path).exists():
            _create(Path(path))
        return cls.load(path)

    @classmethod
    def load(cls, path: str) -> "Tokens":
        """Reads the tokens file.

        Raises:
            ConfigError: there is none, others may read it, or it is not what this class wrote.
        """
        place = Path(path)
        if not place.exists():
            raise ConfigError(f"SNOWMELT_TOKENS_PATH: there is no {place}; start the gateway once, or name its file")
        if place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"SNOWMELT_TOKENS_PATH: {place} may be read by others; chmod 600 it")
        try:
            rows = json.loads(place.read_text())["tokens"]
            return cls([(Role(r["role"]), str(r["tenant"]), str(r["token"])) for r in rows])
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"SNOWMELT_TOKENS_PATH: {place} is not a tokens file; remove it to have one made"
            ) from None


def _create(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"role": role.value, "tenant": DEFAULT_TENANT, "token": f"sm_{role}_{secrets.token_urlsafe(32)}"}
        for role in Role
    ]
    draft = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"tokens": rows}, file, indent=1)
    with contextlib.suppress(FileExistsError):  # another process was first: its file stands
        os.link(draft, place)
    draft.unlink()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
