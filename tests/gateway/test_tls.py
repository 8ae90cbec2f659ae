"""The public listener with a certificate: both doors speak TLS, and may then stand beyond loopback."""

import shutil
import subprocess
from pathlib import Path

import grpc
import httpx
import pytest

from snowmelt.api.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from snowmelt.client import Client
from snowmelt.runtime.auth import Role
from tests.gateway.house import House


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


def test_both_doors_speak_tls(tmp_path: Path, certificate: tuple[Path, Path], redis_url: str, broker: str) -> None:
    cert, key = certificate
    places = {"grpc_address": "0.0.0.0:0", "rest_address": "0.0.0.0:0"}
    paths = {"tls_cert_path": str(cert), "tls_key_path": str(key)}
    house = House(tmp_path, redis_url, broker, **places, **paths)
    try:
        token = f"Bearer {house.tokens.of(Role.PUBLIC)}"
        rest, rpc = (a.rpartition(":")[2] for a in (house.gateway.rest_address, house.gateway.grpc_address))
        url = f"https://localhost:{rest}/v1/recommend"
        answer = httpx.post(url, json={"user_id": "u"}, headers={"authorization": token}, verify=str(cert))
        assert answer.status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.post(url.replace("https", "http"), json={"user_id": "u"})
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        with grpc.secure_channel(f"localhost:{rpc}", credentials) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            request = gateway_pb2.RecommendRequest(user_id="u")
            assert stub.Recommend(request, timeout=5, metadata=(("authorization", token),)).request_id
        public = house.tokens.of(Role.PUBLIC)
        with Client(f"localhost:{rpc}", token=public, root_certificate=cert.read_bytes()) as client:
            assert client.recommend("u").request_id
        with grpc.insecure_channel(f"localhost:{rpc}") as channel, pytest.raises(grpc.RpcError) as caught:
            gateway_pb2_grpc.GatewayServiceStub(channel).Recommend(request, timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        house.close()
