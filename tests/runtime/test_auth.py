"""Tokens, policies, and where a listener may stand."""

import stat
import threading
from pathlib import Path

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.auth import Policy, Role, Tokens, check_policies
from snowmelt.runtime.bind import AddressTaken, bind_address, listening_socket, split
from snowmelt.runtime.config import ConfigError


def test_the_first_start_makes_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    place = tmp_path / "state" / "tokens.json"
    tokens = Tokens.load_or_create(str(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert len({tokens.of(role) for role in Role}) == len(Role)
    assert all(len(tokens.of(role)) > 40 for role in Role)
    assert Tokens.load(str(place)).of(Role.ADMIN) == tokens.of(Role.ADMIN)
    assert list(place.parent.iterdir()) == [place]


def test_processes_that_start_together_agree_on_the_tokens(tmp_path: Path) -> None:
    found: list[str] = []
    place = str(tmp_path / "tokens.json")
    threads = [
        threading.Thread(target=lambda: found.append(Tokens.load_or_create(place).of(Role.OPS))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "tokens.json"
    Tokens.load_or_create(str(place))
    place.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        Tokens.load(str(place))


@pytest.mark.parametrize(
    "text", ["", "{}", '{"tokens": [{"role": "king", "tenant": "a", "token": "b"}]}', '{"tokens": 3}']
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "tokens.json"
    place.write_text(text)
    place.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a tokens file"):
        Tokens.load(str(place))


def test_the_matrix_of_roles() -> None:
    tokens = Tokens([(role, "default", f"t-{role}") for role in Role])
    for needed in Role:
        for role in Role:
            header = [f"Bearer t-{role}"]
            if role is needed:
                assert tokens.authorize(header, Policy(needed)).role is role
            else:
                with pytest.raises(SnowmeltError) as caught:
                    tokens.authorize(header, Policy(needed))
                assert caught.value.reason is Reason.PERMISSION_DENIED
                assert f"t-{role}" not in caught.value.detail


@pytest.mark.parametrize(
    "headers", [[], [""], ["Bearer"], ["Bearer "], ["Basic t-admin"], ["t-admin"], ["Bearer t-admin "]]
)
def test_what_is_no_token_is_unauthenticated(headers: list[str]) -> None:
    tokens = Tokens([(Role.ADMIN, "default", "t-admin")])
    with pytest.raises(SnowmeltError) as caught:
        tokens.authorize(headers, Policy(Role.ADMIN))
    assert caught.value.reason is Reason.UNAUTHENTICATED


def test_the_tenant_is_the_tokens() -> None:
    tokens = Tokens([(Role.PUBLIC, "default", "a"), (Role.PUBLIC, "shop-2", "b")])
    assert tokens.authorize(["bearer b"], Policy(Role.PUBLIC)).tenant == "shop-2"
    assert tokens.of(Role.PUBLIC) == "a"


def test_missing_policies_are_named() -> None:
    with pytest.raises(ConfigError, match="no policy row for b, c"):
        check_policies(["a", "b", "c"], {"a": Policy(None)})


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":80", "127.0.0.1:70000", "127.0.0.1:-1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        split(address)


def test_loopback_or_tls() -> None:
    for address in ("127.0.0.1:0", "localhost:0", "127.8.9.1:0"):
        assert bind_address(address) == address
    for address in ("0.0.0.0:0", "10.1.2.3:0", "gateway:0"):
        with pytest.raises(ConfigError, match="beyond loopback"):
            bind_address(address)
    assert bind_address("0.0.0.0:0", secured=True)


def test_a_taken_port_is_seen() -> None:
    with listening_socket("127.0.0.1", 0) as held:
        held.listen()
        with pytest.raises(AddressTaken):
            bind_address(f"127.0.0.1:{held.getsockname()[1]}")
