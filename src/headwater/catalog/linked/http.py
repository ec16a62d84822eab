"""Requests to another catalog: no redirect, a limit on time and size, and no forbidden address.

The standard library's client, because the address that was checked must be the one that the socket
goes to: a name that resolves anew for the request could lead elsewhere.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headwater.errors import ErrorCode, error

_METADATA_V6 = ipaddress.ip_address("fd00:ec2::254")
_LONGEST_URL = 2048
_CHUNK = 256 * 1024


class HttpError(Exception):
    """No usable answer; the text says why and holds nothing that the other side sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def check_url(text: str, *, secret: bool) -> str:
    """The URL without a slash at its end; INVALID_ARGUMENT when it is no base of an HTTP API.

    With `secret` (one is sent there), plain HTTP is accepted for this machine only.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_URL or not text.isprintable():
        raise _bad_url("it is too long or holds control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _bad_url("it cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise _bad_url("it must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("it holds a user or password", hint="give the secret apart")
    if parts.query or parts.fragment or " " in text or "\\" in text:
        raise _bad_url("it holds a query, a fragment, a space or a backslash")
    if secret and parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise _bad_url(
            "a secret would go over plain HTTP",
            hint="use https://, with ca_cert for a certificate authority of your own",
        )
    return text.rstrip("/")


def host_of(url: str) -> str:
    """The host of a URL, in lower case; empty when there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a checked URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts.scheme, parts.port)


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    ca_cert: str | None = None,
    seconds: float,
    most: int,
) -> Answer:
    """One request and its whole answer within `seconds` and `most` bytes; raises HttpError.

    Redirects are answers like others: nothing follows them.
    """
    parts = urlsplit(url)
    port = _port(parts.scheme, parts.port)
    connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=seconds)
    connection.default_port = _port(parts.scheme, None)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    late = threading.Event()
    with _translated(seconds, late):
        connection.sock = _connect(parts.hostname or "", port, seconds)
        sockets = [connection.sock]
        timer = threading.Timer(seconds, _hang_up, [sockets, late])
        timer.daemon = True
        timer.start()
        try:
            if parts.scheme == "https":
                context = ssl.create_default_context(cadata=ca_cert)
                connection.sock = context.wrap_socket(
                    connection.sock, server_hostname=parts.hostname
                )
                sockets.append(connection.sock)
            connection.request(method, target, body, {"accept-encoding": "identity", **headers})
            response = connection.getresponse()
            content = bytearray()
            while chunk := response.read1(_CHUNK):
                content += chunk
                if len(content) > most:
                    raise HttpError(f"its answer is larger than {most // 1024 // 1024} MiB")
            if late.is_set() or response.length:
                raise OSError("cut off")
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, bytes(content))
        finally:
            timer.cancel()
            connection.close()


def _connect(host: str, port: int, seconds: float) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if any(is_forbidden(str(each[4][0])) for each in found):
        raise HttpError("its host is an address that no catalog has (link-local, multicast, …)")
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(seconds)
            made.connect(address)
            return made
        except OSError as exc:
            made.close()
            failure = exc
    raise failure


def is_forbidden(text: str) -> bool:
    """True for addresses that serve machines and not people: link-local, metadata services, …"""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address == _METADATA_V6
        or (address.version == 4 and address.is_reserved)
    )


def _hang_up(sockets: list[socket.socket], late: threading.Event) -> None:
    """Wakes up whoever waits on the connection; the last socket is the one in use."""
    late.set()
    with contextlib.suppress(OSError):
        sockets[-1].shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _translated(seconds: float, late: threading.Event) -> Iterator[None]:
    try:
        yield
    except socket.gaierror:
        raise HttpError("its host name cannot be resolved") from None
    except ssl.SSLCertVerificationError as exc:
        raise HttpError(f"its certificate is not trusted: {exc.verify_message}") from None
    except TimeoutError:
        raise HttpError(f"no answer within {seconds:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as exc:
        if late.is_set():
            raise HttpError(f"no complete answer within {seconds:g} s") from None
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        raise HttpError(f"it does not answer: {why}") from None


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(scheme: str, port: int | None) -> int:
    return port if port is not None else (443 if scheme == "https" else 80)


def _bad_url(why: str, hint: str | None = None) -> Exception:
    return error(
        ErrorCode.INVALID_ARGUMENT,
        f"the catalog's URL is refused: {why}",
        hint=hint or "write https://host/path, as the catalog's documentation names it",
    )
