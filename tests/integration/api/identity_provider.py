"""A Supabase project's auth service as verifiers see it: a key set over HTTP, and tokens signed with it."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class IdentityProvider:
    """Serves ``/auth/v1/.well-known/jwks.json`` on loopback."""

    def __init__(self) -> None:
        self.private: dict[str, PrivateKey] = {}
        self.extra: list[dict[str, Any]] = []
        self.status = 200
        self.redirect_to: str | None = None
        self.fetches = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/auth/v1/.well-known/jwks.json", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    def add_ec(self, kid: str) -> None:
        self.private[kid] = ec.generate_private_key(ec.SECP256R1())

    def add_rsa(self, kid: str, bits: int = 2048) -> None:
        self.private[kid] = rsa.generate_private_key(65537, bits)

    def document(self) -> dict[str, Any]:
        keys = []
        for kid, private in self.private.items():
            public = private.public_key()
            if isinstance(public, ec.EllipticCurvePublicKey):
                written, algorithm = ECAlgorithm.to_jwk(public, as_dict=True), "ES256"
            else:
                written, algorithm = RSAAlgorithm.to_jwk(public, as_dict=True), "RS256"
            keys.append({**written, "kid": kid, "alg": algorithm, "use": "sig"})
        return {"keys": [*keys, *self.extra]}

    def claims(self, user_id: UUID, **changes: Any) -> dict[str, Any]:
        now_s = int(time.time())
        values = {
            "iss": self.issuer,
            "aud": "authenticated",
            "sub": str(user_id),
            "role": "authenticated",
            "iat": now_s,
            "exp": now_s + 3600,
            "session_id": str(uuid4()),
            "is_anonymous": False,
        } | changes
        return {name: value for name, value in values.items() if value is not None}

    def token(self, kid: str, user_id: UUID, *, named: str | None = None, **changes: Any) -> str:
        """Sign as ``kid``; ``named`` is the key the header claims."""
        private = self.private[kid]
        algorithm = "ES256" if isinstance(private, ec.EllipticCurvePrivateKey) else "RS256"
        headers = {"kid": named or kid}
        return jwt.encode(self.claims(user_id, **changes), private, algorithm=algorithm, headers=headers)

    async def _answer(self, request: web.Request) -> web.Response:
        self.fetches += 1
        if self.redirect_to:
            raise web.HTTPFound(self.redirect_to)
        return web.Response(
            status=self.status, text=json.dumps(self.document()), content_type="application/json"
        )
