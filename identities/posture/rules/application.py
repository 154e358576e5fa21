"""Whether an application decides anything beyond who may enter.

What it lets everybody do who is signed in stands among the grants of each of them (`identities.posture.legacy`): no
rule and no factor asks for it in any other place.
"""

from identities.posture.facts import IdentityFacts, Missing

ALL_OR_NOTHING = frozenset({"login_implies_all", "static_allow_list_only"})
DECIDES = frozenset({"per_request", "roles"})


def implies_everything(facts: IdentityFacts) -> bool | Missing:
    """Whether being let in is all that is ever asked."""
    if isinstance(facts.authz_model, Missing):
        return facts.authz_model
    if facts.authz_model in ALL_OR_NOTHING:
        return True
    return False if facts.authz_model in DECIDES else Missing("malformed")
