"""What an application can do for whoever is signed in: the measure where a sign-in implies everything."""

from identities.posture.facts import IdentityFacts, Missing
from identities.posture.rules.reading import words

ALL_OR_NOTHING = frozenset({"login_implies_all", "static_allow_list_only"})
DECIDES = frozenset({"per_request", "roles"})
PRIVILEGED = frozenset({"admin", "destructive", "secret_read"})


def implies_everything(facts: IdentityFacts) -> bool | Missing:
    """Whether being let in is all that is ever asked."""
    if isinstance(facts.authz_model, Missing):
        return facts.authz_model
    if facts.authz_model in ALL_OR_NOTHING:
        return True
    return False if facts.authz_model in DECIDES else Missing("malformed")


def classes_in_reach(facts: IdentityFacts) -> frozenset[str]:
    """The privilege classes of the identity: where a sign-in implies everything, those of the application.

    `application_classes` are what its owner says that it can do; what the identity holds itself comes on top.
    """
    own = frozenset(name for grant in facts.grants for name in grant.classes)
    if implies_everything(facts) is not True:
        return own
    told = words(facts.attributes, "application_classes")
    return own if isinstance(told, Missing) else own | frozenset(told)


def is_privileged_in_reach(facts: IdentityFacts) -> bool:
    return facts.is_privileged or bool(classes_in_reach(facts) & PRIVILEGED)
