"""Who may become a role: its trust policy as relations between the system that authenticates and this one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from identities.connectors.aws.documents import decode
from identities.connectors.contract import Record
from identities.connectors.naming import printable

MOST_CONDITIONS = 50


def trust_of(role: str, document: Any, counts: Counter[str]) -> Iterator[Record]:
    """One relation per principal, subject and set of conditions that an allowing statement names.

    A statement that can't be read is counted, never taken for "nobody".
    """
    seen: dict[str, list[dict[str, str]]] = {}
    for statement in _statements(document, counts):
        conditions = _conditions(statement.get("Condition"))
        if "NotPrincipal" in statement:
            counts["trust for everybody but some"] += 1
        for kind, name in _principals(statement):
            subjects = _values(conditions, ":sub") if kind == "Federated" else []
            audience = ", ".join(_values(conditions, ":aud")) if kind == "Federated" else ""
            further = _further(conditions, kind)
            for subject in subjects or [""]:
                key = f"{kind}|{name}|{subject}|{audience}"
                earlier = seen.setdefault(key, [])
                if further in earlier:
                    continue
                if earlier:
                    # The same under other conditions is another way in; the first keeps its id through all readings.
                    key += f"|{sorted(further.items())}"
                earlier.append(further)
                yield {
                    "type": "trust",
                    "id": f"{role[:400]}|{sha256(key.encode()).hexdigest()[:32]}",
                    "identity": role,
                    "issuer": _issuer(kind, name)[:512],
                    "subject": _subject(kind, name, subject)[:512],
                    "audience": audience[:512],
                    "conditions": further,
                }


def _further(conditions: Mapping[str, list[str]], kind: str) -> dict[str, str]:
    """What must hold beside subject and audience. What an account must present beside its name is half a secret: that
    it is asked for is said, and not which."""
    is_shown = (":sub", ":aud") if kind == "Federated" else ()
    left = [(key, values) for key, values in sorted(conditions.items()) if not key.endswith(is_shown)]
    return {
        key[:200]: "(set)" if key == "sts:externalid" else printable(", ".join(values))[:1024]
        for key, values in left[:MOST_CONDITIONS]
    }


def _issuer(kind: str, name: str) -> str:
    if kind == "AWS":
        return "any AWS account" if name == "*" else f"AWS account {_account_of(name)}"
    if kind == "Federated" and ":oidc-provider/" in name:
        return f"https://{name.partition(':oidc-provider/')[2]}"
    return name


def _subject(kind: str, name: str, subject: str) -> str:
    if kind == "AWS" and name != "*":
        return name
    return subject


def _account_of(name: str) -> str:
    return name.split(":")[4] if name.startswith("arn:") and name.count(":") >= 5 else name


def _statements(document: Any, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
    if document is None:
        return
    try:
        listed = decode(document).get("Statement", [])
    except ValueError:
        counts["trust policies that cannot be read"] += 1
        return
    for statement in listed if isinstance(listed, list) else [listed]:
        if not isinstance(statement, Mapping):
            counts["trust policies that cannot be read"] += 1
        elif statement.get("Effect") == "Allow":
            yield statement


def _principals(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    principal = statement.get("Principal")
    if isinstance(principal, str):
        yield "AWS", principal
    elif isinstance(principal, Mapping):
        for kind, names in principal.items():
            for name in names if isinstance(names, list) else [names]:
                yield str(kind), str(name)


def _conditions(block: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tests in block.values() if isinstance(block, Mapping) else ():
        for key, values in tests.items() if isinstance(tests, Mapping) else ():
            found.setdefault(str(key).lower(), []).extend(map(str, values if isinstance(values, list) else [values]))
    return found


def _values(conditions: Mapping[str, list[str]], ending: str) -> list[str]:
    return [value for key, values in conditions.items() if key.endswith(ending) for value in values]
