"""Every method and route against every kind of token, and start-up without a policy row."""

import grpc
import httpx
import pytest

from services.gateway import policies, rest
from services.gateway.use_cases import PublicUses
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.config import ConfigError
from tests.gateway.house import House

ROWS = {
    **{key: ("public", row) for key, row in policies.PUBLIC.items()},
    **{key: ("admin", row) for key, row in policies.ADMIN.items()},
}
METHODS = [key for key in ROWS if key.startswith("/")]
ROUTES = [key for key in ROWS if not key.startswith("/") and key != "GET /openapi.json"]
TOKENS = ("none", "wrong", *Role)


def _headers(house: House, token: str) -> dict[str, str]:
    if token == "none":
        return {}
    return {"authorization": "Bearer wrong" if token == "wrong" else f"Bearer {house.tokens.of(Role(token))}"}


def _expected(key: str, token: str) -> str:
    if token in ("none", "wrong"):
        return "unauthenticated"
    return "in" if ROWS[key][1].role == token else "permission_denied"


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("key", METHODS)
def test_every_method(house: House, key: str, token: str) -> None:
    gateway = house.gateway
    address = gateway.grpc_address if ROWS[key][0] == "public" else gateway.admin_grpc_address
    with grpc.insecure_channel(address) as channel:
        try:
            # What is no message: whoever is let in is told so, and nothing is done.
            channel.unary_unary(key)(b"\xff", timeout=5, metadata=tuple(_headers(house, token).items()))
        except grpc.RpcError as error:
            code = error.code()
    found = {
        grpc.StatusCode.INVALID_ARGUMENT: "in",
        grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
        grpc.StatusCode.PERMISSION_DENIED: "permission_denied",
    }[code]
    assert found == _expected(key, token)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("key", ROUTES)
def test_every_route(house: House, key: str, token: str) -> None:
    verb, path = key.split(" ")
    address = house.gateway.rest_address if ROWS[key][0] == "public" else house.gateway.admin_address
    path = path.format(user_id="u", release_id="none-such")
    # A query is refused of whoever is let in, before anything is done.
    answer = httpx.request(verb, f"http://{address}{path}?x=1", headers=_headers(house, token), timeout=10)
    expected = _expected(key, token)
    assert answer.json()["code"] == ("invalid_field" if expected == "in" else expected)
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


def test_the_admin_routes_are_not_on_the_public_listener_nor_the_other_way_round(house: House) -> None:
    with house.rest(Role.ADMIN) as public, house.rest(Role.PUBLIC, admin=True) as admin:
        assert public.get("/admin/v1/status").status_code == 404
        assert admin.post("/v1/recommend", json={"user_id": "u"}).status_code == 404
    with grpc.insecure_channel(house.gateway.grpc_address) as channel:
        metadata = (("authorization", f"Bearer {house.tokens.of(Role.ADMIN)}"),)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/snowmelt.api.admin.v1.AdminService/GetStatus")(b"", timeout=5, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_openapi_page_is_open_in_embedded_mode_alone(house: House) -> None:
    address = house.gateway.rest_address
    assert httpx.get(f"http://{address}/openapi.json").status_code == 200
    assert "<script" not in httpx.get(f"http://{address}/docs").text
    uses = PublicUses(*[None] * 5)  # type: ignore[arg-type] # no route is called
    tokens = Tokens([(Role.PUBLIC, "default", "t")])
    app = rest.public_app(uses, tokens, ["testserver"], embedded=False)
    transport = httpx.ASGITransport(app=app)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            open_ = [await client.get(path) for path in ("/openapi.json", "/docs")]
            keyed = await client.get("/openapi.json", headers={"authorization": "Bearer t"})
            return [answer.status_code for answer in (*open_, keyed)]

    assert house.run(ask()) == [401, 404, 200]


@pytest.mark.parametrize("missing", ["POST /v1/events", "GET /openapi.json"])
def test_a_route_without_a_policy_row_cannot_be_served(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    rows = {key: row for key, row in policies.PUBLIC.items() if key != missing}
    monkeypatch.setattr(policies, "PUBLIC", rows)
    uses = PublicUses(*[None] * 5)  # type: ignore[arg-type] # no route is called
    with pytest.raises(ConfigError, match="no policy row"):
        rest.public_app(uses, Tokens([]), ["localhost"], embedded=False)
