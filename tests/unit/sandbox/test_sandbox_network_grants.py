"""Which connections a grant allows."""

import contextlib
import ipaddress

import pytest
from envcli_sandbox import NetworkConnector, SandboxError
from envcli_sandbox.network import NetworkGrant, is_allowed, parse_grant
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.example.com", "api.example.com", 443),
        ("API.Example.com.:8443", "api.example.com", 8443),
        ("*.amazonaws.com:443", "*.amazonaws.com", 443),
        ("secretsmanager.*.amazonaws.com:443", "secretsmanager.*.amazonaws.com", 443),
        ("127.0.0.1:5005", "127.0.0.1", 5005),
        ("localhost:1", "localhost", 1),
        ("[::1]:8200", "::1", 8200),
        ("[0:0::1]", "::1", 443),
        ("bücher.example:443", "xn--bcher-kva.example", 443),
    ],
)
def test_grants_are_read(text: str, host: str, port: int) -> None:
    assert parse_grant(text) == NetworkGrant(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":443", "*", "*:443", "*.com", "a.*.com:1", "a b:1", "a:0", "a:65536", "a:x", "a:-1", "a:", "http://a:1",
     "a/b:1", "a..b:1", "a:１", "foo*.example.com:443", "[::1:1", "user@host:1"],
)  # fmt: skip
def test_broken_grants_are_refused(text: str) -> None:
    with pytest.raises(SandboxError):
        parse_grant(text)


@pytest.mark.parametrize(
    ("grant", "host", "port", "is_for"),
    [
        ("*.example.com:443", "a.example.com", 443, True),
        ("*.example.com:443", "a.b.example.com", 443, True),
        ("*.example.com:443", "example.com", 443, False),
        ("*.example.com:443", "badexample.com", 443, False),
        ("*.example.com:443", "a.example.com", 80, False),
        ("*.example.com:443", "a.example.com.evil.org", 443, False),
        ("sm.*.aws.com:443", "sm.eu.aws.com", 443, True),
        ("sm.*.aws.com:443", "sm.eu.west.aws.com", 443, False),
        ("sm.*.aws.com:443", "evil.eu.aws.com", 443, False),
        ("example.com", "example.com", 443, True),
        ("example.com", "www.example.com", 443, False),
    ],
)
def test_names_are_compared_label_by_label(grant: str, host: str, port: int, is_for: bool) -> None:
    assert parse_grant(grant).is_for(host, port) is is_for


@pytest.mark.parametrize(
    ("address", "name", "grant", "allowed"),
    [
        ("93.184.216.34", "example.com", "example.com", True),
        ("93.184.216.34", "a.example.com", "*.example.com", True),
        ("10.0.0.5", "vault.corp.example", "vault.corp.example", True),
        ("10.0.0.5", "a.example.com", "*.example.com", False),
        ("192.168.1.1", "a.example.com", "*.example.com", False),
        ("100.64.0.1", "a.example.com", "*.example.com", False),
        ("fc00::1", "a.example.com", "*.example.com", False),
        ("127.0.0.1", "example.com", "example.com", False),
        ("127.0.0.1", "a.example.com", "*.example.com", False),
        ("127.0.0.1", "localhost", "localhost", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("::1", "localhost", "localhost", True),
        ("::ffff:127.0.0.1", "example.com", "example.com", False),
        ("64:ff9b::7f00:1", "example.com", "example.com", False),
        ("2002:7f00:1::", "example.com", "example.com", False),
        ("169.254.169.254", "metadata.example", "metadata.example", False),
        ("169.254.169.254", "169.254.169.254", "169.254.169.254", True),
        ("::ffff:169.254.169.254", "example.com", "example.com", False),
        ("fd00:ec2::254", "example.com", "example.com", False),
        ("fe80::1", "example.com", "example.com", False),
        ("100.100.100.200", "example.com", "example.com", False),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0", False),
        ("::", "example.com", "example.com", False),
        ("224.0.0.1", "224.0.0.1", "224.0.0.1", False),
        ("255.255.255.255", "example.com", "example.com", False),
    ],
)
def test_addresses_need_grants_of_their_class(address: str, name: str, grant: str, allowed: bool) -> None:
    parsed = parse_grant(f"[{grant}]" if ":" in grant else grant)
    assert is_allowed(ipaddress.ip_address(address), name, parsed) is allowed


@given(st.ip_addresses())
@example(ipaddress.IPv6Address("2002:808:808::1"))
def test_a_wildcard_reaches_public_addresses_only(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_allowed(address, "a.example.com", parse_grant("*.example.com")):
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=40))
def test_any_text_is_a_grant_or_an_error(text: str) -> None:
    with contextlib.suppress(SandboxError):
        grant = parse_grant(text)
        assert 0 < grant.port < 65536
        assert parse_grant(f"[{grant.host}]:{grant.port}") == grant


@pytest.mark.parametrize(
    "params",
    [{}, {"host": 1, "port": 1}, {"host": "a", "port": "1"}, {"host": "a", "port": True}, {"host": "a", "port": 0},
     {"host": "a" * 300, "port": 1}, {"host": ["a"], "port": 1}, {"host": "a\0b", "port": 443}],
)  # fmt: skip
def test_what_the_child_sends_is_checked(params: dict[str, object]) -> None:
    reply = NetworkConnector(["a"]).handle(params)
    assert reply.denied
    assert not reply.fds
