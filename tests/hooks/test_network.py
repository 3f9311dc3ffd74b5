"""By which proxy requests go, and whom they trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.api.errors import ConnectionSettingsError
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.hooks.network import Network
from airflow_provider_nugen.hooks.settings import Settings


@pytest.fixture
def proxy_of(monkeypatch: pytest.MonkeyPatch, key: str) -> Callable[..., str | None]:
    """Return the proxy for a base URL, with variables of the environment."""

    def proxy(base_url: str = "https://service.example", extra: str | None = None, **variables: str) -> str | None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Network.of(Settings(NUGEN, "my_conn", base_url, key, proxy=extra)).proxy

    return proxy


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example"}, "http://proxy.example"),
        ({"HTTPS_PROXY": "https://proxy.example:3128/"}, "https://proxy.example:3128"),
        ({"HTTPS_PROXY": "user:p%40w@proxy.example:3128"}, "http://user:p%40w@proxy.example:3128"),
        ({"HTTPS_PROXY": "http://user@proxy.example"}, "http://user:@proxy.example"),
        ({"ALL_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"ALL_PROXY": "other.example", "HTTPS_PROXY": "proxy.example"}, "http://proxy.example"),
        ({"HTTP_PROXY": "proxy.example:3128"}, None),
    ],
)
def test_the_environment_names_the_proxy_with_or_without_a_scheme(
    proxy_of: Callable[..., str | None], variables: dict[str, str], proxy: str | None
) -> None:
    assert proxy_of(**variables) == proxy


@pytest.mark.parametrize(
    "value",
    ["socks5://proxy.example:1080", "http://", "proxy.example:port", "http://user:5ecret@proxy.example:port", "a b"],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    proxy_of: Callable[..., str | None], value: str
) -> None:
    with pytest.raises(ConnectionSettingsError, match="HTTPS_PROXY") as caught:
        proxy_of(HTTPS_PROXY=value)
    assert "5ecret" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:8765",
        "http://127.0.0.1:8765",
        "http://127.9.9.9",
        "http://[::1]",
        "http://localhost.",
        "http://[::ffff:127.0.0.1]",
        "https://localhost",
    ],
)
def test_this_machine_is_never_asked_through_a_proxy(proxy_of: Callable[..., str | None], base_url: str) -> None:
    variables = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://proxy.example:3128")
    assert proxy_of(base_url, extra="http://proxy.example:3128", **variables) is None


@pytest.mark.parametrize(
    ("base_url", "no_proxy", "direct"),
    [
        ("https://service.example", "service.example", True),
        ("https://service.example", "other.example, SERVICE.example", True),
        ("https://api.service.example", "service.example", True),
        ("https://api.service.example", ".service.example", True),
        ("https://api.service.example", "*.service.example", True),
        ("https://myservice.example", "service.example", False),
        ("https://service.example", "*", True),
        ("https://service.example", "", False),
        ("https://service.example", ", ,", False),
        ("https://service.example:8443", "service.example:8443", True),
        ("https://service.example:8443", "service.example:9", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://[fd00::1]", "[fd00::1]", True),
    ],
)
def test_no_proxy_names_what_is_asked_directly(
    proxy_of: Callable[..., str | None], base_url: str, no_proxy: str, direct: bool
) -> None:
    assert (proxy_of(base_url, HTTPS_PROXY="proxy.example", NO_PROXY=no_proxy) is None) == direct


def test_the_proxy_of_the_connection_wins(proxy_of: Callable[..., Any]) -> None:
    assert proxy_of(extra="http://mine.example", HTTPS_PROXY="proxy.example", NO_PROXY="*") == "http://mine.example"


def test_a_password_of_a_proxy_is_shown_nowhere(proxy_of: Callable[..., Any], key: str) -> None:
    settings = Settings(NUGEN, "my_conn", "https://service.example", key, proxy="http://user:p%40ss-word@proxy.example")
    network = Network.of(settings)
    assert "ss-word" not in repr(network)
    assert network.scrub(f"{key} p%40ss-word p@ss-word") == "*** *** ***"
