"""Where notices may go: nowhere inside, whatever a name resolves to.

The name is resolved when the connection is made, every address that it has is looked at, and the connection goes to
one of those very addresses: a name that answers differently the second time (DNS rebinding) is not asked twice.
Certificates are still checked against the name.
"""

import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore
from django.conf import settings

from governance.kernel.errors import DomainError

LONGEST_URL = 500
# Seconds for one attempt from the look-up to the last byte that is read, however slowly the other side drips.
PATIENCE = 15
# Of clouds that answer for their machines on an address that looks public.
METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Special by the IANA registries, which not every release of Python's own list knows. A cloud's metadata is among them.
SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(DomainError):
    """A webhook may not go there."""

    code = "webhook-address-refused"
    title = "The webhook can't go to this address"


def check_url(url: str) -> str:
    """The address as it may be kept: `https://host[:port]/path`. Raises AddressRefused.

    Plain http is only for hosts that `WEBHOOK_INTERNAL_HOSTS` names. Names are resolved when something is sent.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise AddressRefused("This is no address.", field="url") from None
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > LONGEST_URL:
        raise AddressRefused(f"An address has at most {LONGEST_URL} plain characters.", field="url")
    if parts.scheme not in ("https", "http") or not host:
        raise AddressRefused("The address begins with https:// and a host.", field="url")
    if parts.username is not None or parts.fragment:
        raise AddressRefused("The address holds neither a password nor a fragment; requests are signed.", field="url")
    if parts.scheme == "http" and not is_named_internal(host):
        raise AddressRefused("Notices go over https.", field="url")
    _check_literal(host)
    return url


def is_named_internal(host: str) -> bool:
    """Whether the operator named this host as one that may be inside."""
    return host.lower().rstrip(".") in {name.lower() for name in settings.WEBHOOK_INTERNAL_HOSTS}


def refusal_of(address: Address, *, may_be_inside: bool = False) -> str:
    """Why nothing is sent to this address; empty where it may be.

    may_be_inside: loopback and private addresses are fine; those of metadata services and link-local ones never are.
    """
    inner = _embedded(address)
    if inner is not None:
        return refusal_of(inner, may_be_inside=may_be_inside)
    if address in METADATA or address.is_link_local:
        return "answers for the machine itself (link-local or metadata)"
    if address.is_multicast or address.is_unspecified:
        return "is no address of one machine"
    if may_be_inside:
        return ""
    if address.is_loopback:
        return "is this machine"
    is_special = any(address in network for network in SPECIAL)
    return "is inside (private or reserved)" if is_special or not address.is_global else ""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, all of them allowed. Raises AddressRefused; socket.gaierror where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    may_be_inside = is_named_internal(host)
    for address in addresses:
        if reason := refusal_of(ipaddress.ip_address(address), may_be_inside=may_be_inside):
            raise AddressRefused(f"{host} resolves to {address}, which {reason}.")
    return addresses


class GuardedBackend(httpcore.SyncBackend):
    """Connects to addresses that were looked at, and gives up on time. One attempt at a time."""

    def __init__(self) -> None:
        self._deadline = 0.0

    def begin(self) -> None:
        """The time of an attempt starts now."""
        self._deadline = time.monotonic() + PATIENCE

    def left(self) -> float:
        """Seconds that the attempt still has, at least a moment."""
        return max(self._deadline - time.monotonic(), 0.001)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises AddressRefused and httpcore's errors."""
        try:
            addresses = resolve(host, port)
        except (socket.gaierror, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        for number, address in enumerate(addresses, 1):
            try:
                stream = super().connect_tcp(address, port, self.left(), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return _Timed(stream, self)
        raise httpcore.ConnectError(f"{host} has no address")


class _Timed(httpcore.NetworkStream):
    """A stream whose every step ends when the attempt's time is up."""

    def __init__(self, stream: httpcore.NetworkStream, clock: GuardedBackend) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._clock.left()), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _check_literal(host: str) -> None:
    """Refuse what can be seen without asking anybody."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if reason := refusal_of(address, may_be_inside=is_named_internal(host)):
        raise AddressRefused(f"{host} {reason}.", field="url")


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, Teredo, NAT64), if any."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
