"""Pairs of policies with labels that another tool computed: which of the two lies inside the other.

A label is set aside only where a request shows that it is wrong. These requests stand here, and are judged by a small
evaluator of this test's own that shares no code with the kernel. Six more labels claim a difference between policies
that mean the same; no request can show that, so they count as disagreement.
"""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import pytest

from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.permissions import CounterExample, Permission, Proof, includes

DATA = Path(__file__).parents[3] / "shared/data/vlab-cs-ucsb_quacky"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="the labelled policy pairs are not beside the checkout"),
]

INSTANCE = "arn:aws:ec2:::instance/i-1"
TAGGED = "ec2/exp_single/ec2_validate_attach_volume/policy"
BY_ADDRESS = "ec2/exp_single/ec2_terminate_instance_ip/policy"
OWN_POLICIES = "iam/exp_single/iam_role_policy_modify_iam_but_not_own_policies/policy"
SAME = "ec2/exp_single/ec2_require_mfa_session_token/policy"

# Labels "inside" that are wrong: the first policy of the pair, the numbers of the second, which of the two is said to lie
# inside the other, and a request that it permits and the other does not.
WRONG = (
    (TAGGED, "2_ 4_ 6_ 7_", "p2", ("ec2:AttachVolume", INSTANCE, {})),
    (TAGGED, "3_ 5_", "p2", ("ec2:AttachVolume", "arn:aws:ec2:::snapshot/s-1", {"ec2:ResourceTag/mytag": "atam"})),
    (BY_ADDRESS, "2_0 2_1 2_2 2_4 2_5 2_7 3_0 3_1 3_2 3_4 3_5 3_7", "p2", ("ec2:AttachVolume", INSTANCE, {})),
    (BY_ADDRESS, "2_3 3_3", "p2", ("ec2:AttachVolume", INSTANCE, {"aws:SourceIp": "192.0.2.1"})),
    (BY_ADDRESS, "0_1 0_4 0_5 0_7 1_1 1_4 1_5 1_7", "p2", ("ec2:TerminateInstances", INSTANCE, {})),
    (OWN_POLICIES, "2_ 3_", "p1", ("iam:PutRolePolicy", "arn:aws:iam::$account:", {})),
)

# Labels "not inside" of policies that mean the same: allow ec2:*, deny some of it without a second factor.
WITHOUT_DIFFERENCE = {(SAME, "0_0", "p1"), (SAME, "0_0", "p2"), (SAME, "1_0", "p1"), (SAME, "1_0", "p2"),
                      (SAME, "0_3", "p2"), (SAME, "1_3", "p2")}  # fmt: skip

Label = tuple[str, str, str]
"""First policy, number of the second, and which of the two is asked about: does it lie inside the other?"""


def read(name: str) -> Any:
    return json.loads((DATA / name).read_text())


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    found: dict[str, Any] = read("policies.json")["policies"]
    return found


def labels() -> dict[Label, tuple[str, str, bool]]:
    """Of every label: the wide policy, the narrow one, and whether the narrow one is said to lie inside."""
    found = {}
    for pair in read("labels.json"):
        first, second = _short(pair["p1"]), pair["p2"].rpartition("/")[2].removesuffix(".json")
        found[first, second, "p1"] = (pair["p2"], pair["p1"], pair["p1_subset_of_p2"])
        found[first, second, "p2"] = (pair["p1"], pair["p2"], pair["p2_subset_of_p1"])
    return found


def _short(path: str) -> str:
    return path.removeprefix("/samples/").removesuffix(".json")


def wrong_labels() -> dict[Label, tuple[str, str, dict[str, str]]]:
    return {(first, second, side): witness for first, several, side, witness in WRONG for second in several.split()}


def test_each_label_that_is_set_aside_is_refuted_by_a_request(documents):
    known = labels()
    assert len(known) == 532
    for label, (action, resource, context) in wrong_labels().items():
        wide, narrow, says_inside = known[label]

        assert says_inside, label
        assert permits(documents[narrow], action, resource, context), label
        assert not permits(documents[wide], action, resource, context), label


def test_all_other_labels_are_answered_as_they_say(documents):
    policies = {name: Permission("aws", from_policy_document(each)) for name, each in documents.items()}
    judged = {label: entry for label, entry in labels().items() if label not in wrong_labels()}
    differing = set()
    for label, (wide, narrow, says_inside) in judged.items():
        verdict = includes(policies[wide], policies[narrow])
        if not isinstance(verdict, Proof if says_inside else CounterExample):
            differing.add(label)
        if isinstance(verdict, CounterExample) and not verdict.context.keys() & {"principal"}:
            request = (verdict.action, verdict.resource, verdict.context)
            assert permits(documents[narrow], *request), label
            assert not permits(documents[wide], *request), label

    assert differing == WITHOUT_DIFFERENCE
    assert 1 - len(differing) / len(judged) > 0.97


# --- a small evaluator that knows nothing of the kernel ---------------------------------------------------------------


def permits(document: Any, action: str, resource: str, context: Any) -> bool:
    folded = {key.lower(): value for key, value in context.items()}
    effects = [each["Effect"] for each in _listed(document["Statement"]) if _applies(each, action, resource, folded)]
    return "Allow" in effects and "Deny" not in effects


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _applies(statement: Any, action: str, resource: str, context: dict[str, str]) -> bool:
    return (
        _one_of(statement, "Action", action.lower(), str.lower)
        and _one_of(statement, "Resource", resource, lambda text: _filled(text, context))
        and all(
            _holds(operator, [_filled(_text(each), context) for each in _listed(values)], context.get(key.lower()))
            for operator, block in statement.get("Condition", {}).items()
            for key, values in block.items()
        )
    )


def _one_of(statement: Any, word: str, text: str, reading: Any) -> bool:
    if word in statement:
        return any(_like(reading(each), text) for each in _listed(statement[word]))
    return not any(_like(reading(each), text) for each in _listed(statement[f"Not{word}"]))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(text: str, context: dict[str, str]) -> str:
    """A variable that is not set becomes something that nothing is."""
    return re.sub(r"\$\{(.*?)\}", lambda found: context.get(found.group(1).lower(), "\0"), text)


def _like(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _holds(operator: str, values: list[str], given: str | None) -> bool:
    match operator:
        case "StringEquals":
            return given in values
        case "StringEqualsIgnoreCase":
            return given is not None and given.lower() in [each.lower() for each in values]
        case "StringNotLike":
            return given is None or not any(_like(each, given) for each in values)
        case "NotIpAddress":
            return given is None or not any(ipaddress.ip_address(given) in ipaddress.ip_network(v) for v in values)
        case "BoolIfExists":
            return given is None or given in values
        case _:
            raise ValueError(operator)
