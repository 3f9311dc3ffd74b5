"""What goes wrong on the way, in the errors of :mod:`~airflow_provider_nugen.api.errors`: once for both transports."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ApiError,
    CertificateError,
    ConnectionSettingsError,
    TransportError,
    UnreadableResponseError,
)
from airflow_provider_nugen.hooks.network import MAX_BODY, Network
from airflow_provider_nugen.hooks.settings import Settings

#: What a library says is cut to this many characters.
MAX_REASON = 300


@contextmanager
def explained(call: Call[Any], settings: Settings) -> Iterator[None]:
    """Complete an error that is raised inside: what was tried, and no key in it should the service have repeated it."""
    try:
        yield
    except ApiError as e:
        e.context = e.context or call.context(settings.conn_id)
        e.problem = settings.scrub(e.problem)
        e.args = (e.problem,)  # what repr() shows
        raise


class Library(NamedTuple):
    """
    The exceptions of an HTTP library.

    :param expected: everything that it raises for a server, a network or a setting that is wrong.
    :param not_sent: what it raises before the request has left: no connection to the service, or none to the proxy or
        through it.
    :param timeouts: what it raises when time is over.
    """

    expected: tuple[type[Exception], ...]
    not_sent: tuple[type[Exception], ...]
    timeouts: tuple[type[Exception], ...]


@contextmanager
def translated(network: Network, library: Library) -> Iterator[None]:
    """
    Turn the exceptions of an HTTP library into errors of the provider.

    :param network: the way of the request.
    :param library: its exceptions.
    :raises ApiError: instead of an exception that is expected.
    """
    outer = sys.exception()
    try:
        yield
    except ApiError:
        raise
    except library.expected as e:
        raise _translate(e, network, library, outer) from None


def missing_bundle(bundle: object) -> ConnectionSettingsError:
    """Return the error for a CA bundle that cannot be read."""
    return ConnectionSettingsError(
        f"the CA bundle {str(bundle)!r} cannot be read.", hint="Correct the extra 'verify' of the connection."
    )


def too_large() -> UnreadableResponseError:
    """Return the error for a body over the limit."""
    return UnreadableResponseError(f"the answer is larger than {MAX_BODY // 2**20} MiB.")


def broken(what: str) -> TransportError:
    """Return the error for an answer that is not HTTP as it should be."""
    return TransportError(f"the answer is broken: {what}.")


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """
    Walk from an exception to what caused it; urllib3 keeps the cause in ``reason`` and ``args``.

    :param error: the exception.
    :param outer: what was being handled before: Python puts it at the end of the chain, though it caused nothing.
    """
    seen = {id(outer)}
    todo: list[object] = [error]
    while todo:
        e = todo.pop(0)
        if isinstance(e, BaseException) and id(e) not in seen:
            seen.add(id(e))
            yield e
            todo += [e.__cause__, e.__context__, getattr(e, "reason", None), *e.args]


def _translate(error: Exception, network: Network, library: Library, outer: BaseException | None) -> ApiError:
    settings, chain = network.settings, list(_chain(error, outer))
    if own := next((e for e in chain if isinstance(e, ApiError)), None):
        return own
    if any(isinstance(e, ssl.SSLError) and getattr(e, "library", None) in ("X509", "PEM") for e in chain):
        return missing_bundle(network.ca_bundle)  # what cannot be read lies on this machine, not at the server
    if any(isinstance(e, ssl.SSLCertVerificationError) for e in chain):
        return CertificateError(
            f"the TLS certificate of {settings.base_url} does not verify: {chain[-1]}.",
            hint="Set the extra 'verify' of the connection to the path of the right CA bundle.",
        )
    deepest = next((e for e in reversed(chain) if isinstance(e, OSError) and e.strerror), chain[-1])
    why = network.scrub(" ".join(f"{type(deepest).__name__}: {deepest}".split()).rstrip(": ."))
    sent = not any(isinstance(e, library.not_sent) for e in chain)
    if any(isinstance(e, library.timeouts) for e in chain):
        why = f"no answer within {settings.timeout:g} s"
    return TransportError(
        f"{settings.base_url} could not be reached ({why[:MAX_REASON]}).",
        hint="Begin the base URL (Host) with http:// if the server speaks plain http."
        if "WRONG_VERSION_NUMBER" in why
        else "Check the base URL (Host) of the connection and the network.",
        sent=sent,
    )
