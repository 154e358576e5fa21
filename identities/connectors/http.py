"""HTTP with JSON towards a source: one client with limits, and answers that are errors in our words."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from identities.connectors.contract import ReadIncomplete, SourceUnreachable

LARGEST_ANSWER = 256 * 1024 * 1024
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@contextmanager
def open_client(
    address: str,
    *,
    headers: dict[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    ca_file: str = "",
    client_certificate: tuple[str, str] | None = None,
    timeout: float = 30,
) -> Iterator[httpx.Client]:
    """A client for one source. It follows no redirect (a secret must not travel on) and heeds no proxy of the process.

    ca_file: a bundle to trust instead of the usual one.
    """
    verify: Any = True
    if ca_file or client_certificate:
        verify = ssl.create_default_context(cafile=ca_file or None)
        if client_certificate:
            verify.load_cert_chain(*client_certificate)
    with httpx.Client(
        base_url=address,
        headers=headers,
        auth=auth,
        verify=verify,
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client


def send(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    """One request. Raises SourceUnreachable where there is no answer, sign-in is refused or trying later may help.

    Other answers, 4xx included, are the caller's to judge. Words of the source never reach the message.
    """
    try:
        with client.stream(method, path, **options) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ReadIncomplete(f"The answer to {path} is larger than {LARGEST_ANSWER // 1024**2} MB.")
    except httpx.HTTPError as error:
        raise SourceUnreachable(f"{client.base_url.host} did not answer ({type(error).__name__}).") from error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise SourceUnreachable(f"{client.base_url.host} does not accept the connector's credential (401).")
    if response.status_code in TRANSIENT:
        raise SourceUnreachable(f"{client.base_url.host} answered {response.status_code}.")
    return httpx.Response(
        response.status_code, headers=_without_encoding(response.headers), content=bytes(body), request=response.request
    )


def get_json(client: httpx.Client, path: str, **options: Any) -> Any:
    """The decoded answer to a GET that must succeed. Raises SourceUnreachable, ReadIncomplete."""
    return decoded(send(client, "GET", path, **options))


def decoded(response: httpx.Response) -> Any:
    """The JSON of an answer that must be one. Raises ReadIncomplete."""
    host, path = response.request.url.host, response.request.url.path
    if response.status_code != httpx.codes.OK:
        raise ReadIncomplete(f"{host} answered {response.status_code} to GET {path}.")
    try:
        return response.json()
    except ValueError as error:
        raise ReadIncomplete(f"{host} answered GET {path} with something that is no JSON.") from error


def _without_encoding(headers: httpx.Headers) -> dict[str, str]:
    """The body is unpacked by now."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}
