"""A real API server of Kubernetes with etcd on loopback, a proxy that can hold requests up, and recorded answers.

The binaries come from `.ci/kubernetes`; tests that need them carry the marker `kubernetes` and run in
`make test-kubernetes`. Everything else is tested against answers that were recorded from such a server.
"""

import base64
import json
import os
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.plugins.brokers import free_port

BINARIES = Path(__file__).parents[2] / ".cache" / "kubernetes"
ADMIN = "only-for-tests-admin"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CONNECTOR_RULES = [
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "delete"]},
    {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["rolebindings", "clusterrolebindings"],
        "verbs": ["get", "list", "create", "patch", "delete"],
    },
    {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "clusterroles"],
        "verbs": ["get", "list", "create", "delete", "escalate", "bind"],
    },
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


class Cluster:
    """One API server. `call` acts as the administrator unless another token is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.etcd_port, self.peer_port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def ca_file(self) -> str:
        return str(self.folder / "certificates" / "apiserver.crt")

    @property
    def trust(self) -> ssl.SSLContext:
        """For a client's `verify`."""
        return ssl.create_default_context(cafile=self.ca_file)

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def start(self) -> None:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.peer_port}"
        self._run(
            "etcd", f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        )  # fmt: skip
        private, public = self.folder / "accounts.key", self.folder / "accounts.pub"
        plain = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        private.write_bytes(self.key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
        public.write_bytes(self.key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        (self.folder / "audit.yaml").write_text(AUDIT_POLICY)
        self._run(
            "kube-apiserver", f"--etcd-servers={client}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
            "--insecure-port=0", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'certificates'}", "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}", f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}", "--service-account-issuer=https://cluster.test",
            "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self.folder / 'audit.yaml'}", f"--audit-log-path={self.audit_log}",
        )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            self.processes.append(subprocess.Popen([str(BINARIES / program), *arguments], stdout=log, stderr=log))

    def _wait(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            assert all(process.poll() is None for process in self.processes), "the API server ended by itself"
            try:
                # The bootstrap roles are the last thing that a starting server makes.
                if self.call("GET", f"{RBAC}/clusterrolebindings/system:node-proxier").status_code == 200:
                    return
            except (httpx.HTTPError, OSError):
                pass
            time.sleep(0.5)
        pytest.fail("the API server did not get ready within 180 s")

    def call(self, method: str, path: str, body: Any = None, *, bearer: str = ADMIN, kind: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": kind or "application/json"}
        content = None if body is None else json.dumps(body)
        with httpx.Client(verify=self.trust, trust_env=False, timeout=30) as client:
            return client.request(method, f"{self.url}{path}", content=content, headers=headers)

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.call("POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def sign(self, claims: dict[str, str]) -> str:
        """A JSON web token signed with the key for service accounts."""
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        signature = self.key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64(signature)])

    def make_namespace(self) -> "Namespace":
        namespace = Namespace(self, f"n{uuid.uuid4().hex[:8]}")
        self.make("/api/v1/namespaces", {"metadata": {"name": namespace.name}})
        return namespace


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Namespace:
    """A namespace of one test, and what is made in it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def path(self, plural: str, name: str = "") -> str:
        base = RBAC if "role" in plural else "/api/v1"
        return f"{base}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def make_account(self, name: str) -> str:
        """A service account; returns its username."""
        self.cluster.make(self.path("serviceaccounts"), {"metadata": {"name": name}})
        return f"system:serviceaccount:{self.name}:{name}"

    def make_role(self, name: str, *rules: dict[str, Any]) -> None:
        self.cluster.make(self.path("roles"), {"metadata": {"name": name}, "rules": list(rules)})

    def bind(self, name: str, role: str, *subjects: Any, kind: str = "Role", **metadata: Any) -> dict[str, Any]:
        """subjects: names of accounts of this namespace, or whole subjects."""
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
        body = {"metadata": {"name": name} | metadata, "roleRef": reference, "subjects": self.subjects(*subjects)}
        return self.cluster.make(self.path("rolebindings"), body)

    def subjects(self, *names: Any) -> list[dict[str, str]]:
        return [
            each if isinstance(each, dict) else {"kind": "ServiceAccount", "name": each, "namespace": self.name}
            for each in names
        ]

    def token(self, account: str) -> str:
        """A token that the API server issues for the account, as a pod gets one."""
        body = {"spec": {"expirationSeconds": 3600}}
        answer = self.cluster.call("POST", f"{self.path('serviceaccounts', account)}/token", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["status"]["token"]

    def make_legacy_token(self, account: str, secret: str) -> str:
        """A token without an end in a secret, as the controller of older clusters made one per account."""
        uid = self.cluster.call("GET", self.path("serviceaccounts", account)).json()["metadata"]["uid"]
        prefix = "kubernetes.io/serviceaccount"
        claims = {
            "iss": "kubernetes/serviceaccount", "sub": f"system:serviceaccount:{self.name}:{account}", f"{prefix}/namespace": self.name,
            f"{prefix}/secret.name": secret, f"{prefix}/service-account.name": account,
            f"{prefix}/service-account.uid": uid,
        }  # fmt: skip
        bearer = self.cluster.sign(claims)
        annotations = {"kubernetes.io/service-account.name": account, "kubernetes.io/service-account.uid": uid}
        body = {
            "metadata": {"name": secret, "annotations": annotations},
            "type": "kubernetes.io/service-account-token",
            "data": {"token": base64.b64encode(bearer.encode()).decode()},
        }
        self.cluster.make(self.path("secrets"), body)
        return bearer

    def until(self, condition: Callable[[], Any], seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that in time"
            time.sleep(0.5)

    def make_map(self, name: str, **data: str) -> None:
        self.cluster.make(self.path("configmaps"), {"metadata": {"name": name}, "data": data})

    def status(self, method: str, plural: str, name: str = "", *, bearer: str, body: Any = None) -> int:
        """What the API server answers to a real request with this token."""
        return self.cluster.call(method, self.path(plural, name), body, bearer=bearer).status_code


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running API server. Tests with the marker `kubernetes` only."""
    if not os.environ.get("REMIT_TEST_KUBERNETES"):
        pytest.skip("needs a real API server: `make test-kubernetes` builds one and runs this")
    if not (BINARIES / "kube-apiserver").exists():
        pytest.fail("there is no API server in .cache/kubernetes; .ci/kubernetes makes it")
    place = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        place.start()
        yield place
    finally:
        place.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """An empty namespace. What is bound in the whole cluster is the test's own to remove."""
    place = cluster.make_namespace()
    yield place
    for plural in ("rolebindings", "roles", "serviceaccounts", "configmaps", "secrets"):
        cluster.call("DELETE", place.path(plural))


@pytest.fixture(scope="session")
def connector_bearer(cluster: Cluster) -> str:
    """The connector's own token, with the rights that docs/connectors.md asks for."""
    home = cluster.make_namespace()
    home.make_account("remit")
    cluster.make(f"{RBAC}/clusterroles", {"metadata": {"name": "remit-connector"}, "rules": CONNECTOR_RULES})
    cluster.make(
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": "remit-connector"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "remit-connector"},
            "subjects": home.subjects("remit"),
        },
    )
    return home.token("remit")


# --- between the connector and the API server -----------------------------------------------------------------------


class Gate:
    """A proxy that passes everything on, keeps a record, and can hold up the n-th change before or after it is made."""

    def __init__(self, cluster: Cluster) -> None:
        self.client = httpx.Client(base_url=cluster.url, verify=cluster.trust, trust_env=False, timeout=60)
        self.record: list[dict[str, Any]] = []
        self.changes = 0
        self.hold_before = self.hold_after = 0
        self.held, self.opened = threading.Event(), threading.Event()
        self.server = Server(self.answer)
        self.url = self.server.url

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        is_change = method != "GET" and "accessreviews" not in path
        if is_change:
            self.changes += 1
            self._hold(self.changes == self.hold_before)
        passed = {name: value for name, value in headers.items() if name in ("authorization", "accept", "content-type")}
        answer = self.client.request(method, path, content=body, headers=passed)
        self.record.append(
            {"method": method, "path": path, "sent": body.decode(), "status": answer.status_code, "body": answer.text}
        )
        if is_change:
            self._hold(self.changes == self.hold_after)
        return answer.status_code, answer.headers.get("content-type", "application/json"), answer.content

    def _hold(self, is_wanted: bool) -> None:
        if is_wanted:
            self.held.set()
            self.opened.wait(60)

    def close(self) -> None:
        self.opened.set()
        self.server.close()
        self.client.close()


class Replay:
    """Answers as they were recorded: the same request gets the recorded answers in turn, the last one for ever."""

    def __init__(self, record: list[dict[str, Any]]) -> None:
        self.waiting: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for each in record:
            self.waiting.setdefault(self._key(each["method"], each["path"], each["sent"]), []).append(each)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.unknown: list[tuple[str, str]] = []
        self.server = Server(self.answer)
        self.url = self.server.url

    @staticmethod
    def _key(method: str, path: str, sent: str) -> tuple[str, str, str]:
        return method, path, json.dumps(json.loads(sent), sort_keys=True) if sent else ""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        self.requests.append((method, path, headers))
        found = self.waiting.get(self._key(method, path, body.decode()))
        if not found:
            self.unknown.append((method, path))
            return 404, "application/json", b'{"kind":"Status","message":"this was never recorded"}'
        each = found.pop(0) if len(found) > 1 else found[0]
        return each["status"], "application/json", each["body"].encode()

    def close(self) -> None:
        self.server.close()


class Server:
    """A local HTTP server; `answer(method, path, headers, body)` gives (status, content type, body)."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], bytes], tuple[int, str, bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _go(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, kind, content = answer(self.command, self.path, headers, body)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # whoever asked was killed meanwhile

            do_GET = do_POST = do_PATCH = do_DELETE = _go  # noqa: N815 - named by the standard library

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gate(cluster: Cluster) -> Iterator[Gate]:
    place = Gate(cluster)
    yield place
    place.close()
