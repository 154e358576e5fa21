"""Try the connection: sign in, and ask the API server which of the needed rights the connector has. Changes nothing."""

from collections.abc import Iterator

import httpx

from governance.kernel.errors import DomainError
from identities.connectors.contract import Check
from identities.connectors.kubernetes.api import Settings, ask, connect, server_version
from identities.connectors.kubernetes.desk import Desk, Right
from identities.connectors.kubernetes.facets import BINDINGS, ROLES
from identities.connectors.kubernetes.reading import read_estate

ACCESS = (*BINDINGS, *ROLES)


def check(settings: Settings) -> Iterator[Check]:
    """Problems are checks that failed, never errors."""
    try:
        with connect(settings) as client:
            yield Check("Reach the API server", "ok", f"Kubernetes {server_version(client)}")
            if ask(client, "SelfSubjectAccessReview", {"nonResourceAttributes": {"verb": "get", "path": "/"}}) is None:
                yield Check("Sign in", "failed", "The API server does not accept the connector's credential.")
                return
            yield Check("Sign in", "ok")
            yield from _rights(client, settings)
    except DomainError as problem:
        yield Check("Reach the API server", "failed", problem.message)


def _rights(client: httpx.Client, settings: Settings) -> Iterator[Check]:
    desk = Desk(client, settings)
    reading = [Right("list", kind) for kind in (*ACCESS, "ServiceAccount")]
    reading += [Right("list", "Secret")] if settings.read_token_secrets else []
    reading += [Right("list", "Pod")] if settings.read_pods else []
    missing = [str(right) for right in reading if not desk.may(right)]
    yield _check("Read who holds what", missing, "failed", "nothing can be read")
    if not missing:
        yield _people(client, settings)
    taking = [Right("get", kind) for kind in ACCESS] + [
        Right(verb, kind) for verb in ("patch", "delete") for kind in BINDINGS
    ]
    yield _check(
        "Revoke", [str(each) for each in taking if not desk.may(each)], "warning", "revoking stays with people"
    )
    giving = [Right("create", kind) for kind in ACCESS] + [Right("delete", kind) for kind in ROLES]
    giving += [Right(verb, kind) for kind in ROLES for verb in ("escalate", "bind")]
    lacking = [str(each) for each in giving if not desk.may(each)]
    yield _check("Narrow and restore", lacking, "warning", "nothing can be narrowed, and what is revoked stays revoked")
    yield _check(
        "Lock out",
        [
            str(right)
            for right in (Right("get", "ServiceAccount"), Right("patch", "ServiceAccount"))
            if not desk.may(right)
        ],
        "warning",
        "accounts cannot be marked as locked",
    )
    yield _check(
        "End tokens without an end",
        [str(right) for right in (Right("get", "Secret"), Right("delete", "Secret")) if not desk.may(right)],
        "warning",
        "such tokens stay with people",
    )
    review = Right("create", "SubjectAccessReview")
    yield _check(
        "Ask the API server itself when verifying",
        [] if desk.may(review) else [str(review)],
        "warning",
        "verification rests on the bindings alone, without other authorizers",
    )


def _check(title: str, missing: list[str], state: str, consequence: str) -> Check:
    if not missing:
        return Check(title, "ok")
    return Check(title, state, f"The connector lacks {'; '.join(missing)}: {consequence}.")


def _people(client: httpx.Client, settings: Settings) -> Check:
    left_out = list(read_estate(client, settings).left_out())
    if not left_out:
        return Check("Tell machines from people", "ok", "Every user and group in a binding is a machine.")
    names = ", ".join(sorted(f"{each.kind.lower()} {each.name}" for each in left_out)[:10])
    return Check(
        "Tell machines from people",
        "ok",
        f"{len(left_out)} user(s) and group(s) look like people and are left out: {names}"
        f"{' …' if len(left_out) > 10 else ''}. Name those that are machines in machine_users.",
    )
