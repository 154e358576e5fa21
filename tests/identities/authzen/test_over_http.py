"""The whole of it over real HTTP: the page's examples as they are written, the certification, and the public vectors."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.people.models import User
from governance.people.tokens import create_token
from tests.identities.authzen.conftest import PAGE, as_lines
from tests.identities.authzen.test_evaluation import condition, grant, identity
from tests.plugins.brokers import free_port

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT.parent / "shared" / "data" / "authzen"
PUBLIC_URL = "https://pdp.example.com"
BLOCK = re.compile(r"^```(bash|json|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Caller:
    """An enforcement point as others write them: plain HTTP, the token as the whole header."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def send(self, path: str, body: bytes | None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers."""
        sent = {"Authorization": self.token, "Content-Type": "application/json"} | headers
        request = urllib.request.Request(self.url + path, data=body, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response), _lowered(response.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), _lowered(error.headers)

    def ask(self, path: str, body: Any) -> Any:
        status, found, _ = self.send(path, json.dumps(body).encode())
        assert status == 200, (path, body, found)
        return found

    def load(self, slug: str, records: list[dict[str, Any]], **domain: Any) -> None:
        made = self.send(
            "/api/v1/sources/", json.dumps({"slug": slug, "name": slug, "kind": "push"}).encode(), **self.bearer
        )
        assert made[0] == 201, made
        lines = as_lines(records).encode()
        path = f"/api/v1/sources/{slug}/syncs/?complete=true"
        sent = self.send(path, lines, **self.bearer, **{"Content-Type": "application/x-ndjson"})
        assert sent[0] == 201, sent
        wish = {"slug": slug, "name": slug, "sources": [slug], **domain}
        made = self.send("/api/v1/domains/", json.dumps(wish).encode(), **self.bearer)
        assert made[0] == 201, made

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def _lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.fixture
def caller(committed_db: Any) -> Iterator[Caller]:
    """Remit's web process on a database of its own, and a program that may load inventories and ask."""
    call_command("createcachetable", verbosity=0)
    now = timezone.now()
    _, token = create_token(
        name="pep",
        scopes=["pdp:decide", "sync:write", "inventory:read", "inventory:write"],
        expires_at=now + timedelta(days=1),
        actor=system_actor("test"),
        now=now,
        accountable=User.objects.create_user("tomas.rey@example.org", name="Tomás Rey"),
    )
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "governance.wsgi:application"],
        cwd=ROOT,
        # Public addresses are https, as behind a proxy; what the proxy sends on is not redirected.
        env=os.environ
        | {"DATABASE_URL": committed_db.url, "PUBLIC_URL": PUBLIC_URL, "HTTPS": "false", "ALLOWED_HOSTS": "127.0.0.1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = Caller(f"http://127.0.0.1:{port}", token)
    try:
        _wait_until_it_answers(found)
        yield found
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_it_answers(caller: Caller) -> None:
    for _ in range(600):
        try:
            caller.send("/.well-known/authzen-configuration", None)
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not start")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's examples use curl, which is not installed")
def test_the_page_the_certification_and_the_public_vectors(caller: Caller, tmp_path: Path) -> None:
    run_the_page(caller, tmp_path)
    wrong = misanswered_by_policy(caller)
    if VECTORS.exists():
        load_todo(caller)
        wrong += [*misanswered_cases(caller), *misanswered_todo(caller)]
    assert wrong == []
    if not VECTORS.exists():
        pytest.skip("the page and our own cases passed; the public vectors are not beside the checkout")


def run_the_page(caller: Caller, folder: Path) -> None:
    """Each block as it is written; a block of JSON is what the block before it must have printed."""
    output = ""
    variables = {"REMIT_URL": caller.url, "REMIT_TOKEN": caller.token}
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "json":
            assert json.loads(output) == json.loads(text)
            continue
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        output = done.stdout
    records = [json.loads(line) for line in output.splitlines()]
    caller.load("directory", records[:-1], subject_types={"user": []}, registered_types=["record"])


def misanswered_by_policy(caller: Caller) -> list[str]:
    """The directory of the page, asked about every person: what its policy says, by evaluations and by searches."""
    wrong = []
    for who, wanted in {"ana": ["view"], "bo": ["delete", "edit", "view"], "cy": []}.items():
        subject, resource = {"type": "user", "id": who}, {"type": "record", "id": "101"}
        named = caller.ask("/d/directory/access/v1/search/action", {"subject": subject, "resource": resource})
        evaluations = [{"action": {"name": name}} for name in ("delete", "edit", "view")]
        body = {"subject": subject, "resource": resource, "evaluations": evaluations}
        answers = caller.ask("/d/directory/access/v1/evaluations", body)["evaluations"]
        permitted = [
            each["action"]["name"] for each, answer in zip(evaluations, answers, strict=True) if answer["decision"]
        ]
        if [each["name"] for each in named["results"]] != wanted or permitted != wanted:
            wrong.append(f"{who}: {named} {permitted}")
    return wrong


# --- certification ------------------------------------------------------------------------------------------------


def misanswered_cases(caller: Caller) -> Iterator[str]:
    cases = json.loads((VECTORS / "certification" / "cases.json").read_text())["cases"]
    assert len(cases) == 62
    schema = json.loads((VECTORS / "api" / "schemas" / "evaluation-response.schema.json").read_text())
    answers: dict[str, Any] = {}
    for case in cases:
        path = _place(case["path"])
        if case["id"] == "c-4-5-2":
            token = answers["c-4-5-1"].get("page", {}).get("next_token")
            if not token:
                continue
            case["request"]["page"]["token"] = token
        raw = case.get("raw_body")
        body = (
            None
            if case["method"] == "GET"
            else raw.encode()
            if raw is not None
            else json.dumps(case["request"]).encode()
        )
        sent = {"X-Request-ID": case["id"]} | case.get("headers", {})
        status, found, headers = caller.send(path, body, **sent)
        answers[case["id"]] = found
        answers["again"] = [caller.send(path, body, **sent)[1] for _ in range(case.get("repeat", 1) - 1)]
        if case["path"].endswith("/evaluation") and status == 200:
            jsonschema.validate(found, schema)
        problems = list(_problems(case["expect"], status, found, headers, answers))
        if headers.get("x-request-id") != sent["X-Request-ID"]:
            problems.append("another request id")
        if problems:
            yield f"{case['id']}: {problems} {status} {found}"


def _place(path: str) -> str:
    if path.startswith("/.well-known"):
        return f"{path}/d/certification"
    return f"/d/certification{path}"


def _problems(
    expect: dict[str, Any], status: int, found: Any, headers: dict[str, str], answers: dict[str, Any]
) -> Iterator[str]:
    known = {
        "status": lambda wanted: status == wanted,
        "decision": lambda wanted: found["decision"] is wanted,
        "decisions": lambda wanted: [each["decision"] for each in found["evaluations"]] == wanted,
        "evaluations_len": lambda wanted: len(found["evaluations"]) == wanted,
        "results": lambda wanted: found["results"] == wanted,
        "results_include": lambda wanted: all(each in found["results"] for each in wanted),
        "results_type": lambda wanted: {each["type"] for each in found["results"]} == {wanted},
        "results_is_array": lambda _: isinstance(found["results"], list),
        "same_as": lambda other: found == answers[other],
        "page_optional": lambda _: "page" not in found or isinstance(found["page"]["next_token"], str),
        "page_next_token_is_string": lambda _: isinstance(found["page"]["next_token"], str),
        "content_type": lambda wanted: headers["content-type"] == wanted,
        "response_headers": lambda wanted: all(headers.get(name.lower()) == value for name, value in wanted.items()),
        "same_each_time": lambda _: all(again == found for again in answers.get("again", ())),
        "required": lambda names: set(names) <= found.keys(),
        "policy_decision_point_equals_base_url": lambda _: found["policy_decision_point"] == f"{PUBLIC_URL}/d/certification",
        "all_endpoints_https": lambda _: all(url.startswith("https://") for name, url in found.items()),
        "capabilities_if_present": lambda _: isinstance(found.get("capabilities", []), list),
    }  # fmt: skip
    for name, wanted in expect.items():
        if not known[name](wanted):
            yield name


# --- the tasks of the interoperability events ------------------------------------------------------------------------

PEOPLE = {
    "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": ("rick@the-citadel.com", "admin"),
    "CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": ("morty@the-citadel.com", "editor"),
    "CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": ("summer@the-smiths.com", "editor"),
    "CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": ("beth@the-smiths.com", "viewer"),
    "CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": ("jerry@the-smiths.com", "viewer"),
}
OWN = condition("StringEquals", "resource.ownerID", "${subject.email}")


def load_todo(caller: Caller) -> None:
    """Whoever has a role holds what the role brings."""
    todos = {"resources": ["todo:*"]}
    records: list[dict[str, Any]] = []
    for name, (email, role) in PEOPLE.items():
        records.append(identity(name, email=email))
        records.append(grant(f"{name}/viewer", name, actions=["can_read_user", "can_read_todos"], resources=["*"]))
        if role == "editor":
            records.append(grant(f"{name}/create", name, actions=["can_create_todo"], **todos))
            records.append(grant(f"{name}/own", name, OWN, actions=["can_update_todo", "can_delete_todo"], **todos))
        elif role == "admin":
            records.append(grant(f"{name}/admin", name, actions=["can_*_todo"], **todos))
    caller.load("todos", records, subject_types={"user": []}, request_properties=["resource.ownerID"])


def misanswered_todo(caller: Caller) -> Iterator[str]:
    asked = 0
    for version in ("01", "02"):
        file = VECTORS / "interop/authzen-todo-backend/test" / f"decisions-authorization-api-1_0-{version}.json"
        vectors = json.loads(file.read_text())
        for vector in vectors["evaluation"]:
            asked += 1
            if caller.ask("/d/todos/access/v1/evaluation", vector["request"]) != {"decision": vector["expected"]}:
                yield f"{version}: {vector}"
        for vector in vectors.get("evaluations", []):
            asked += 1
            found = caller.ask("/d/todos/access/v1/evaluations", vector["request"])
            if found != {"evaluations": vector["expected"]}:
                yield f"{version}: {vector} {found}"
    assert asked == 83
