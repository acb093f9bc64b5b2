"""The doors: the credentials that a request needs before the engine does anything for it (D36)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from engine.api import parsing
from engine.core import doors as rules
from engine.core.doors import Caller, Proof, Role
from engine.errors import Forbidden, Malformed, Unauthorized
from engine.ports.keys import Keys

SIGNATURE: Final = "x-spec11-signature"


class Doors:
    """Checks credentials. Without tokens every local program passes, but no foreign page."""

    def __init__(self, tokens: Mapping[Role, Keys], secrets: Keys | None) -> None:
        self._tokens = tokens
        self._secrets = secrets

    async def admit(
        self, request: Request, roles: frozenset[Role], *, signed: bool = False
    ) -> None:
        """Let a request pass that has one of ``roles``, or a signature where a signature counts.

        Raises Unauthorized, Forbidden, and Malformed for a page of another site. It checks all but
        a signature before it reads the body. A signature must be right even if a token is.
        """
        if Role.STRANGER in roles:
            return
        if signed and self._secrets is not None and self._wants_signature(request):
            await _require_signed(request, self._secrets)
        elif self._tokens:
            self._require_role(request, roles)
        else:
            _require_own(request)

    def _wants_signature(self, request: Request) -> bool:
        by_token = bool(self._tokens) and "authorization" in request.headers
        return SIGNATURE in request.headers or not by_token

    def _require_role(self, request: Request, roles: frozenset[Role]) -> None:
        token = rules.bearer(request.headers.getlist("authorization"))
        if token is None:
            raise Unauthorized("a bearer token is required")
        role = rules.role_of(token, {each: keys.now() for each, keys in self._tokens.items()})
        if role is None:
            raise Unauthorized("the bearer token is unknown")
        if role not in roles:
            raise Forbidden(f"a {role} may not do this")


def _require_own(request: Request) -> None:
    """Let a page of another site only read: the browser lends it the reach of this machine."""
    named: dict[bytes, list[str]] = {b"host": [], b"sec-fetch-site": [], b"origin": []}
    for name, value in request.scope["headers"]:
        if name in named:
            named[name].append(value.decode("latin-1"))
    caller = Caller(*named.values())
    if caller.misnames:
        raise Malformed("without tokens the host is localhost", code="foreign_host")
    if request.method != "GET" and caller.is_foreign:
        raise Malformed("a page of another origin asks", code="foreign_origin")


async def _require_signed(request: Request, secrets: Keys) -> None:
    proof = _fresh(rules.proof(request.headers.getlist(SIGNATURE)))
    if not proof.covers(await parsing.raw(request), secrets.now()):
        raise Unauthorized("the signature is not that of this body")


def _fresh(proof: Proof | None) -> Proof:
    if proof is None:
        raise Unauthorized(f"a signature is required: {SIGNATURE}: t=<unix seconds>,v1=<hex>")
    if not proof.is_fresh(time.time()):
        raise Unauthorized(f"the signature is not of the last {rules.VALID_S} seconds")
    return proof
