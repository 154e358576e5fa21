"""The living pages that framework files name as evidence, by key."""

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Place:
    """A page, or a filtered list."""

    label: str
    url_name: str
    query: str = ""
    fragment: str = ""

    @property
    def url(self) -> str:
        address = reverse(self.url_name)
        return "".join((address, f"?{self.query}" if self.query else "", f"#{self.fragment}" if self.fragment else ""))


PLACES: dict[str, Place] = {
    "identities": Place("Identities", "identities:identity_list"),
    "unowned": Place("Identities that nobody answers for", "identities:identity_list", "owner=none"),
    "dormant": Place("Identities not used for 90 days", "identities:identity_list", "unused_days=90"),
    "agents": Place("AI agents", "identities:identity_list", "kind=ai_agent"),
    "proven": Place("Identities at A3 or better", "identities:identity_list", "assurance=A3,A4"),
    "access": Place("All access", "identities:access_list"),
    "privileged": Place("Privileged access", "identities:access_list", "privileged=yes"),
    "standing": Place("Privileged access without an end", "identities:access_list", "privileged=yes&standing=yes"),
    "admin_access": Place("Administrative access", "identities:access_list", "segment=admin"),
    "secret_access": Place("Access to secrets", "identities:access_list", "segment=secrets"),
    "tools": Place("Tools of agents", "identities:access_list", "segment=ai_tools"),
    "past": Place("As of a date", "identities:history"),
    "sources": Place("Sources", "identities:source_list"),
    "posture": Place("Posture and rules", "identities:posture"),
    "policy": Place("Posture policy", "identities:posture_policy"),
    "catalogues": Place("Catalogues", "identities:catalogues"),
    "findings": Place("Findings", "identities:finding_list"),
    "exceptions": Place("Accepted findings", "identities:finding_list", "finding_state=accepted"),
    "boundaries": Place("Trust boundaries", "identities:boundary_list"),
    "reviews": Place("Reviews", "reviews:campaign_list"),
    "schedules": Place("Schedules of reviews", "reviews:schedule_list"),
    "orders": Place("Orders", "reviews:order_list"),
    "programme": Place("Report of the programme", "reviews:programme"),
    "trail": Place("Audit trail", "console:audit_trail"),
    "seals": Place("Seals and checkpoints", "console:audit_seals"),
    "retention": Place("Retention", "console:retention"),
}
