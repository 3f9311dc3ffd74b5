"""An Airflow connection becomes settings, or an error that names field and connection."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import yarl
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_nugen.api.errors import ConnectionSettingsError
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.settings import Settings


@dataclass
class Conn:
    """What is read of an Airflow connection."""

    conn_id: str = "my_conn"
    conn_type: str | None = None
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    password: str | None = "a-key"
    extra: str | None = None


def read(service: Service = NUGEN, *, extras: Any = None, **fields: Any) -> Settings:
    if extras is not None:
        fields["extra"] = json.dumps(extras)
    return Settings.from_connection(service, Conn(**fields))


def refusal(service: Service = NUGEN, **fields: Any) -> str:
    with pytest.raises(ConnectionSettingsError) as caught:
        read(service, **fields)
    assert str(caught.value).startswith(f"{service.name} (connection 'my_conn'): ")
    assert not caught.value.transient
    return str(caught.value)


@pytest.mark.parametrize(
    ("service", "base_url", "authorization", "revision"),
    [
        (NUGEN, "https://api.nugen.in", "Bearer a-key", "auto"),
        (SEEKR, "https://flow.seekr.com", "a-key", ""),
    ],
    ids=["nugen", "seekr"],
)
@pytest.mark.parametrize("extra", [None, "", "  ", "{}"])
def test_a_key_is_all_that_a_connection_needs(
    service: Service, base_url: str, authorization: str, revision: str, extra: str | None
) -> None:
    settings = read(service, extra=extra)
    assert settings.base_url == base_url
    assert settings.all_headers() == {"Authorization": authorization}
    assert (settings.conn_id, settings.api_key, settings.revision) == ("my_conn", "a-key", revision)
    assert (settings.timeout, settings.verify, settings.proxy) == (30.0, True, None)
    assert (settings.max_requests_per_second, settings.unknown_extras) == (None, ())


@pytest.mark.parametrize(
    ("extra", "sent", "field", "value"),
    [
        ("timeout", 5, "timeout", 5.0),
        ("timeout", "2.5", "timeout", 2.5),
        ("timeout", "", "timeout", 30.0),
        ("timeout", None, "timeout", 30.0),
        ("verify", False, "verify", False),
        ("verify", "false", "verify", False),
        ("verify", "False", "verify", False),
        ("verify", "true", "verify", True),
        ("verify", " ", "verify", True),
        ("verify", "/etc/ca.pem", "verify", "/etc/ca.pem"),
        ("proxy", "http://user:pw@proxy:3128", "proxy", "http://user:pw@proxy:3128"),
        ("proxy", "proxy:3128", "proxy", "http://proxy:3128"),
        ("proxy", "user:p%40w@PROXY:3128/", "proxy", "http://user:p%40w@proxy:3128"),
        ("proxy", "", "proxy", None),
        ("max_requests_per_second", 5, "max_requests_per_second", 5.0),
        ("max_requests_per_second", "0.5", "max_requests_per_second", 0.5),
        ("api_revision", "C", "revision", "C"),
        ("api_revision", " c ", "revision", "C"),
        ("api_revision", "b", "revision", "B"),
        ("api_revision", "Auto", "revision", "auto"),
        ("api_revision", "", "revision", "auto"),
    ],
)
def test_every_extra_is_read_also_as_the_text_of_a_form(extra: str, sent: Any, field: str, value: Any) -> None:
    settings = read(extras={extra: sent})
    assert getattr(settings, field) == value
    assert type(getattr(settings, field)) is type(value)
    assert settings.unknown_extras == ()


@pytest.mark.parametrize(
    ("team_id", "headers"),
    [
        ("team-7", {"x-team-id": "team-7"}),
        (" team-7 ", {"x-team-id": "team-7"}),
        (7, {"x-team-id": "7"}),
        ("", {}),
        (None, {}),
    ],
)
def test_the_team_goes_out_in_its_header(team_id: Any, headers: dict[str, str]) -> None:
    assert read(SEEKR, extras={"team_id": team_id}).all_headers() == {"Authorization": "a-key", **headers}


@pytest.mark.parametrize("conn_type", [None, "", "nugen"])
def test_the_type_may_be_the_services_or_none(conn_type: str | None) -> None:
    assert read(conn_type=conn_type).api_key == "a-key"


@pytest.mark.parametrize("conn_type", ["seekr", "http"])
def test_no_key_of_another_type_of_connection_is_sent(conn_type: str) -> None:
    with pytest.raises(ConnectionSettingsError, match=f"has the type '{conn_type}'. Use one of the type 'nugen'"):
        read(conn_type=conn_type)


@pytest.mark.parametrize(
    ("extras", "unknown"),
    [
        ({"tiemout": 5, "timeout": 5}, ("tiemout",)),
        ({"b": 1, "a": 2}, ("a", "b")),
        ({"team_id": "t"}, ("team_id",)),
    ],
)
def test_extras_that_mean_nothing_are_remembered(extras: dict[str, Any], unknown: tuple[str, ...]) -> None:
    assert read(extras=extras).unknown_extras == unknown


def test_seekr_has_no_revisions() -> None:
    settings = read(SEEKR, extras={"api_revision": "Z"})
    assert (settings.revision, settings.unknown_extras) == ("", ("api_revision",))


@pytest.mark.parametrize(
    ("extras", "field"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"timeout": 1e12}, "timeout"),
        ({"verify": []}, "verify"),
        ({"proxy": "http://"}, "proxy"),
        ({"proxy": "proxy:port"}, "proxy"),
        ({"proxy": "http://proxy:3128/path"}, "proxy"),
        ({"proxy": "http://us\u20acr:pw@proxy:3128"}, "proxy"),
        ({"proxy": "http://us%3Aer:pw@proxy:3128"}, "proxy"),
        ({"proxy": "socks5://proxy:3128"}, "proxy"),
        ({"allow_http": "perhaps"}, "allow_http"),
        ({"max_requests_per_second": 0}, "max_requests_per_second"),
        ({"max_requests_per_second": "inf"}, "max_requests_per_second"),
        ({"api_revision": "A"}, "api_revision"),
        ({"api_revision": "D"}, "api_revision"),
        ({"api_revision": {}}, "api_revision"),
    ],
)
def test_a_wrong_extra_is_refused_by_name(extras: dict[str, Any], field: str) -> None:
    assert f"'{field}'" in refusal(extras=extras)


def test_a_wrong_revision_is_refused_with_the_right_ones() -> None:
    assert "auto or B or C" in refusal(extras={"api_revision": "D"})


@pytest.mark.parametrize("extra", ["{", "[]", "5", '"text"', "timeout=5"])
def test_extras_that_are_no_object_are_refused(extra: str) -> None:
    assert "Extra field is not a JSON object" in refusal(extra=extra)


@pytest.mark.parametrize("team_id", ["a\nb", "a\r\nx-evil: 1", "täm"])
def test_a_team_that_no_header_can_carry_is_refused(team_id: str) -> None:
    assert "x-team-id" in refusal(SEEKR, extras={"team_id": team_id})


@pytest.mark.parametrize(
    ("password", "says"),
    [
        (None, "(password) is empty"),
        ("", "(password) is empty"),
        (" \n", "(password) is empty"),
        ("Bearer 5ecret", "'Bearer '"),
        ("bearer 5ecret", "'Bearer '"),
        ("5ecret\nx", "no HTTP header can carry"),
        ("5ecrét", "no HTTP header can carry"),
    ],
)
def test_a_password_that_is_no_key_is_refused_without_showing_it(password: str | None, says: str) -> None:
    message = refusal(password=password)
    assert says in message
    assert "5ecr" not in message


def test_blanks_around_a_key_do_not_matter() -> None:
    assert read(password=" a-key\n").api_key == "a-key"


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": None}, "https://api.nugen.in"),
        ({"host": " "}, "https://api.nugen.in"),
        ({"host": "https://api.example.com"}, "https://api.example.com"),
        ({"host": " https://api.example.com/ "}, "https://api.example.com"),
        ({"host": "HTTPS://API.Example.com."}, "https://api.example.com."),
        ({"host": "https://b\u00fccher.example/\u00fc/%2F"}, "https://xn--bcher-kva.example/%C3%BC/%2F"),
        ({"host": "https://api.example.com/%41%2f%7e"}, "https://api.example.com/A%2F~"),
        ({"host": "https://[0:0::1]:8443/x"}, "https://[::1]:8443/x"),
        ({"host": "https://api.example.com/nugen//"}, "https://api.example.com/nugen"),
        ({"host": "https://api.example.com:8443"}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com:8443", "port": 9}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com/x", "port": 8443}, "https://api.example.com:8443/x"),
        ({"host": "api.example.com"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "https"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "public", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "api.example.com/x"}, "https://api.example.com/x"),
        ({"host": "localhost", "schema": "http", "port": 8765}, "http://localhost:8765"),
        ({"host": "http://127.0.0.1:8765/"}, "http://127.0.0.1:8765"),
        ({"host": "http://127.9.9.9"}, "http://127.9.9.9"),
        ({"host": "http://[::1]:8765"}, "http://[::1]:8765"),
        ({"host": "http://10.0.0.7", "extras": {"allow_http": True}}, "http://10.0.0.7"),
        ({"host": "http://10.0.0.7", "extras": {"allow_http": "true"}}, "http://10.0.0.7"),
    ],
)
def test_a_host_may_be_a_url_or_a_name(fields: dict[str, Any], base_url: str) -> None:
    assert read(**fields).base_url == base_url


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "http://api.example.com"},
        {"host": "http://10.0.0.7:8765"},
        {"host": "http://localhost.example.com"},
        {"host": "http://127.0.0.1.example.com"},
        {"host": "HTTP://api.example.com"},
        {"host": "api.example.com", "schema": "http"},
        {"host": "http://api.example.com", "extras": {"allow_http": "false"}},
        {"host": "http://api.example.com", "extras": {"allow_http": ""}},
    ],
)
def test_the_key_goes_unencrypted_only_to_this_machine_unless_allowed(fields: dict[str, Any]) -> None:
    message = refusal(**fields)
    assert "unencrypted" in message
    assert "'allow_http'" in message


@pytest.mark.parametrize(
    "host",
    [
        "ftp://api.example.com",
        "https://",
        "https:///path",
        "https://api.example.com?x=1",
        "https://api.example.com/#x",
        "https://user@api.example.com",
        "https://:5ecret@api.example.com",
        "https://user:5ecret@api.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://[::1",
        "https://api example.com",
        "https://api..example.com",
        # Each of these one library or another chokes on, or reads as something else.
        "https://api.example.com:0",
        "https://api.example.com:\u0663",
        "https://\u2488.example.com",
        "https://\u0661.example.com",
        "https://a\u200db.example.com",
        "https://user\u2100.example.com",
        "https://a\ud83d.example.com",
        "https://[v1.a]",
        "https://[::1%eth0]",
        "https://ex%ample.com",
        "https://ex%41mple.com",
        "https://api.example.com\\x",
        "https://a|b.example.com",
        "https://a{b}.example.com",
        "https://*.example.com",
        "https://-a.example.com",
        "https://...",
        f"https://{'.'.join(['x' * 60] * 5)}",
        "https://api.example.com/../x",
        "https://api.example.com/%2e%2E/x",
        "https://api.example.com/%zz",
        "https://api.example.com/a%20b",
        "https://api.example.com/\ud83d",
        "https://api.example.com/a\x00b",
        f"https://{'x' * 70}.example.com",
    ],
)
def test_a_host_that_is_no_base_url_is_refused(host: str) -> None:
    message = refusal(host=host)
    assert "(Host)" in message
    assert "https://api.nugen.in" in message
    assert "5ecret" not in message


@pytest.mark.parametrize("port", [-1, 65536, 10**30])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    assert "the port is not a number from 1 to 65535" in refusal(host="api.example.com", port=port)


def test_settings_show_neither_key_nor_proxy_password(key: str, hidden: Callable[[object], None]) -> None:
    settings = read(password=key, extras={"proxy": "http://user:pr0xy-pw@proxy:3128"})
    hidden(settings)
    assert "pr0xy-pw" not in repr(settings)
    assert settings.scrub(f"you sent {key}!") == "you sent ***!"


def test_settings_are_equal_when_nothing_changed() -> None:
    assert read(extras={"timeout": 5}) == read(extras={"timeout": "5"})
    assert read() != read(password="another")


@given(
    st.dictionaries(
        st.sampled_from(["timeout", "verify", "proxy", "allow_http", "api_revision", "max_requests_per_second"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    ),
    st.none() | st.text(),
    st.none() | st.text(),
)
def test_any_connection_gives_settings_or_an_error_that_names_it(
    extras: dict[str, Any], host: str | None, password: str | None
) -> None:
    settings, error = None, None
    try:
        settings = read(extras=extras, host=host, password=password)
    except ConnectionSettingsError as e:
        error = e
    if settings is None:
        assert "'my_conn'" in str(error)
    else:
        assert settings.base_url.startswith(("https://", "http://"))
        assert settings.all_headers()["Authorization"].isprintable()


TLS = ssl.create_default_context()
hosts = st.text(
    st.sampled_from("a-_.:/[]@%\\?#&'\"<>{}|^` 019\u00df\u2488\u0661\u200d\u3002\ud83d\u212a*~\t\n\0")
    | st.characters(),
    max_size=20,
)


@given(st.sampled_from(["", "https://", "http://"]), hosts, st.none() | st.integers(-1, 70_000))
@example("https://", "a" * 64, None)
@example("https://", ".".join(["a" * 60] * 5), None)
@example("https://", "[::ffff:1.2.3.4]", 443)
@example("https://", "1.2.3.999/%41", None)
def test_a_host_that_is_taken_is_the_same_to_every_client(scheme: str, host: str, port: int | None) -> None:
    try:
        base_url = read(host=scheme + host, port=port, extras={"allow_http": True}).base_url
    except ConnectionSettingsError as e:
        assert "(Host)" in str(e)  # noqa: PT017
        str(e).encode()
        return
    url = f"{base_url}/x"
    assert base_url.isascii()
    assert yarl.URL(url) == yarl.URL(url, encoded=True)
    prepared = requests.Request("GET", url).prepare().url
    assert prepared is not None
    assert yarl.URL(prepared) == yarl.URL(url)
    name = yarl.URL(url).raw_host
    assert name
    TLS.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
