"""Talking to one API server: settings, lists page by page, single objects, and refusals in plain words."""

import base64
import binascii
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from identities.connectors.contract import NotPossible, ReadIncomplete, Setting, SourceUnreachable
from identities.connectors.http import get_json, open_client, send
from identities.connectors.kubernetes.objects import GROUP
from identities.connectors.settings import BadSettings, read_settings

PAGE = 500
CORE = "/api/v1"
RBAC = f"/apis/{GROUP}/v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
LONGEST_REASON = 400

SETTINGS = (
    Setting("server", "API server", "Its address, such as https://10.0.0.1:6443.", required=True),
    Setting("ca_file", "CA certificate", "File with the cluster's CA certificate; the system's own when left out."),
    Setting(
        "token",
        "Token",
        "Where the connector's token is. A file is read anew for every call, so a projected token may change.",
        kind="reference",
    ),
    Setting("client_certificate", "Client certificate", "File with a certificate to sign in with, instead of a token."),
    Setting("client_key", "Client key", "File with the key of that certificate."),
    Setting(
        "machine_users",
        "Machine users",
        "Names of users and groups that are machines, * for any text; docs/connectors.md has the rule for the others.",
        kind="list",
        default=(),
    ),
    Setting(
        "read_token_secrets",
        "Read token secrets",
        "List the secrets that hold tokens without an end. Only their names are asked for, but the right to list "
        "secrets shows their content to whoever has it.",
        kind="flag",
        default=True,
    ),
    Setting("read_pods", "Read pods", "Count the pods that run as each account.", kind="flag", default=True),
    Setting(
        "watch_minutes",
        "Longest watch (minutes)",
        "How long a watch that was opened before may go on: twice --min-request-timeout of the API server.",
        kind="integer",
        default=60,
    ),
    Setting("timeout", "Patience (seconds)", "How long to wait for each answer.", kind="integer", default=30),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the API server is and as whom to call it."""

    server: str
    ca_file: str = ""
    bearer: str = field(default="", repr=False)
    client_certificate: tuple[str, str] | None = None
    machine_users: tuple[str, ...] = ()
    read_token_secrets: bool = True
    read_pods: bool = True
    watch_minutes: int = 60
    timeout: int = 30


def parse_settings(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    values = read_settings(SETTINGS, settings, secrets)
    address = urlsplit(values["server"])
    if address.scheme not in ("https", "http") or not address.hostname or address.username or address.query:
        raise BadSettings("The setting 'server' must be an address such as https://10.0.0.1:6443.", setting="server")
    if address.scheme == "http" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings("Over a network the connector speaks https only; its token would be read.", setting="server")
    certificate, key = values["client_certificate"], values["client_key"]
    if bool(certificate) != bool(key):
        missing = "client_key" if certificate else "client_certificate"
        raise BadSettings("A client certificate and its key belong together.", setting=missing)
    if not 1 <= values["timeout"] <= 600:
        raise BadSettings("The setting 'timeout' must be a whole number from 1 to 600.", setting="timeout")
    return Settings(
        server=values["server"].rstrip("/"),
        ca_file=values["ca_file"] or "",
        bearer=values["token"],
        client_certificate=(certificate, key) if certificate else None,
        machine_users=tuple(values["machine_users"]),
        read_token_secrets=values["read_token_secrets"],
        read_pods=values["read_pods"],
        watch_minutes=values["watch_minutes"],
        timeout=values["timeout"],
    )


@contextmanager
def connect(settings: Settings) -> Iterator[httpx.Client]:
    """A client that signs in with the connector's own credential. Raises SourceUnreachable."""
    headers = {"Accept": "application/json", "User-Agent": "remit"}
    if settings.bearer:
        headers["Authorization"] = f"Bearer {settings.bearer}"
    try:
        opened = open_client(
            settings.server,
            headers=headers,
            ca_file=settings.ca_file,
            client_certificate=settings.client_certificate,
            timeout=settings.timeout,
        )
        client = opened.__enter__()
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SourceUnreachable(
            f"The connector's certificates can't be used ({type(error).__name__}): look at ca_file, "
            "client_certificate and client_key."
        ) from error
    try:
        yield client
    finally:
        opened.__exit__(None, None, None)


def own_name(settings: Settings) -> str:
    """The service account that the connector's own token belongs to, as far as the token says so."""
    parts = settings.bearer.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return ""
    name = claims.get("sub") if isinstance(claims, dict) else None
    return name if isinstance(name, str) else ""


def each_item(client: httpx.Client, path: str, *, accept: str = "", selector: str = "") -> Iterator[dict[str, Any]]:
    """Every object of a list, page by page; all pages show the state of one moment. Raises ReadIncomplete."""
    parameters = {"limit": str(PAGE)} | ({"fieldSelector": selector} if selector else {})
    headers = {"Accept": accept} if accept else {}
    while True:
        response = send(client, "GET", path, params=parameters, headers=headers)
        if response.status_code == httpx.codes.GONE:
            raise ReadIncomplete(f"Reading {path} took so long that the API server forgot the state it began with.")
        page = _page(client, path, response)
        yield from page["items"]
        token = page["metadata"].get("continue")
        if not token:
            return
        parameters["continue"] = str(token)


def _page(client: httpx.Client, path: str, response: httpx.Response) -> dict[str, Any]:
    if response.status_code == httpx.codes.FORBIDDEN:
        raise ReadIncomplete(f"The connector may not list {path}: it needs the verb list on it (docs/connectors.md).")
    if response.status_code != httpx.codes.OK:
        raise ReadIncomplete(f"{client.base_url.host} answered {response.status_code} to GET {path}.")
    page = _object(client, path, response)
    items = page.get("items")
    if items is None and str(page.get("kind", "")).endswith("List"):
        items = []
    if not isinstance(items, list) or not isinstance(page.get("metadata"), dict):
        raise ReadIncomplete(f"{client.base_url.host} answered GET {path} with something that is no list.")
    return {"items": items, "metadata": page["metadata"]}


def _object(client: httpx.Client, path: str, response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError as error:
        raise ReadIncomplete(f"{client.base_url.host} answered {path} with something that is no JSON.") from error
    if not isinstance(found, dict):
        raise ReadIncomplete(f"{client.base_url.host} answered {path} with something that is no list and no object.")
    return found


def find(client: httpx.Client, path: str, *, accept: str = "") -> dict[str, Any] | None:
    """One object, or None where it does not exist. Raises SourceUnreachable, ReadIncomplete."""
    response = send(client, "GET", path, headers={"Accept": accept} if accept else {})
    if response.status_code == httpx.codes.NOT_FOUND:
        return None
    if response.status_code != httpx.codes.OK:
        raise ReadIncomplete(f"{client.base_url.host} answered {response.status_code} to GET {path}.")
    return _object(client, path, response)


def change(client: httpx.Client, method: str, path: str, body: Any) -> None:
    """One change. Raises NotPossible where it is refused for good, SourceUnreachable where looking again may help."""
    kind = "application/json"
    if method == "PATCH":
        kind = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
    headers = {"Content-Type": kind}
    response = send(client, method, path, content=json.dumps(body), headers=headers)
    if response.is_success:
        return
    reason = _reason(response)
    is_late: dict[int, bool] = {
        httpx.codes.CONFLICT: True,
        httpx.codes.NOT_FOUND: method != "POST",
        httpx.codes.UNPROCESSABLE_ENTITY: method == "PATCH",
    }
    if is_late.get(response.status_code, False):
        # Somebody else was faster. The next look says what is there now.
        raise SourceUnreachable(f"The object changed at the same moment: {reason}")
    raise NotPossible(reason)


def ask(client: httpx.Client, kind: str, spec: Mapping[str, Any]) -> tuple[bool, str] | None:
    """One access review: (allowed, why). None where the connector may not ask."""
    path = f"/apis/authorization.k8s.io/v1/{kind.lower()}s"
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": dict(spec)}
    response = send(client, "POST", path, json=body)
    if response.status_code != httpx.codes.CREATED:
        return None
    status = _object(client, path, response).get("status") or {}
    return status.get("allowed") is True, str(status.get("reason") or "")


def server_version(client: httpx.Client) -> str:
    """Such as v1.30.2."""
    found = get_json(client, "/version")
    return str(found.get("gitVersion", "")) if isinstance(found, dict) else ""


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """The address of an object, or without a name of the list that it is created in."""
    base, plural = _PLURALS[kind]
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{base}{scope}/{plural}" + (f"/{quote(name, safe=':')}" if name else "")


_PLURALS = {
    "Role": (RBAC, "roles"),
    "ClusterRole": (RBAC, "clusterroles"),
    "RoleBinding": (RBAC, "rolebindings"),
    "ClusterRoleBinding": (RBAC, "clusterrolebindings"),
    "ServiceAccount": (CORE, "serviceaccounts"),
    "Secret": (CORE, "secrets"),
    "Namespace": (CORE, "namespaces"),
    "Pod": (CORE, "pods"),
}


def _reason(response: httpx.Response) -> str:
    """The API server's own sentence on one line; it names objects and rights, never contents."""
    try:
        message = response.json().get("message")
    except (ValueError, AttributeError):
        message = None
    text = " ".join(str(message or f"the API server answered {response.status_code}").split())
    return text[:LONGEST_REASON]
