"""The peers of the decision point, each used as its documentation says and as fast as it can: policies parsed once, sliced
per principal, asked in batches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.decision_cases import Question, Rule

_MODEL = """
[request_definition]
r = sub, obj, act, env
[policy_definition]
p = sub, obj, act, env, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && r.act == p.act && keyMatch(r.obj, p.obj) && (p.env == "*" || p.env == r.env)
"""


class Cedar:
    """cedarpy: one parsed set of policies per principal, `is_authorized_batch` for its questions."""

    name = "cedarpy"

    def __init__(self, rules: Mapping[str, Sequence[Rule]]) -> None:
        import cedarpy

        self._ask = cedarpy.is_authorized_batch
        self._allow = cedarpy.Decision.Allow
        parse = cedarpy.PolicySet.from_str
        self._entities = cedarpy.Entities.from_json_str("[]")
        self._policies: dict[str, Any] = {
            name: parse("\n".join(rule.cedar(name) for rule in held)) for name, held in rules.items()
        }

    def prepared(self, questions: Sequence[Question]) -> Any:
        return questions[0].principal, [question.cedar() for question in questions]

    def decide(self, prepared: Any) -> list[bool]:
        principal, requests = prepared
        return [
            answer.decision == self._allow for answer in self._ask(requests, self._policies[principal], self._entities)
        ]


class Casbin:
    """pycasbin: the fast enforcer, policies found by subject and action, `batch_enforce`."""

    name = "pycasbin"

    def __init__(self, rules: Mapping[str, Sequence[Rule]]) -> None:
        import logging

        import casbin
        from casbin.model import FastModel
        from casbin.persist import load_policy_line

        logging.getLogger("casbin").setLevel(logging.ERROR)
        model = FastModel([0, 2])
        model.load_model_from_text(_MODEL)
        self._enforcer = casbin.FastEnforcer(model, cache_key_order=[0, 2])
        # As its file adapter does: `add_policies` counts all policies anew for each one.
        for name, held in rules.items():
            for line in (line for rule in held for line in rule.casbin(name)):
                load_policy_line(", ".join(["p", *line]), self._enforcer.model)

    def prepared(self, questions: Sequence[Question]) -> Any:
        return [question.casbin() for question in questions]

    def decide(self, prepared: Any) -> list[bool]:
        return list(self._enforcer.batch_enforce(prepared))


PEERS = (Cedar, Casbin)
