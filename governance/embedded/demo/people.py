"""The people of the imaginary payments company, and who answers for which service role."""

from dataclasses import dataclass

from governance.kernel.actors import Role

REVIEWER_EMAIL = "mara.lindt@example.org"
OWNER_EMAIL = "tomas.rey@example.org"
AUDITOR_EMAIL = "noor.haddad@example.org"


@dataclass(frozen=True, slots=True)
class Member:
    """One person; `team` is a team's name, `has_left` a person who is gone but still named as owner."""

    email: str
    name: str
    roles: tuple[Role, ...] = (Role.OWNER,)
    team: str = ""
    has_left: bool = False


MEMBERS = (
    Member(
        REVIEWER_EMAIL,
        "Mara Lindt",
        (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER),
        "Security",
    ),
    Member("ines.albrecht@example.org", "Ines Albrecht", (Role.REVIEWER, Role.OWNER), "Security"),
    Member(OWNER_EMAIL, "Tomás Rey", (Role.OWNER,), "Payments"),
    Member("priya.nair@example.org", "Priya Nair", (Role.OWNER,), "Data"),
    Member("oskar.holm@example.org", "Oskar Holm", (Role.OWNER,), "Platform"),
    Member("lena.fuchs@example.org", "Lena Fuchs", (Role.OWNER,), "Support"),
    Member("david.osei@example.org", "David Osei", (Role.OWNER,), "Risk"),
    Member("sofia.marin@example.org", "Sofia Marin", (Role.OWNER,), "Finance"),
    Member(AUDITOR_EMAIL, "Noor Haddad", (Role.AUDITOR,)),
    Member("jonas.weber@example.org", "Jonas Weber", (Role.OWNER,), "Data", has_left=True),
)

OWNER_OF_ROLE = {
    "ai_agent_reconciler": OWNER_EMAIL,
    "audit_reader": "ines.albrecht@example.org",
    "backup_job": "oskar.holm@example.org",
    "bi_dashboard": "sofia.marin@example.org",
    # Left last spring; nobody noticed that the board report's role lost its owner.
    "bi_reporting": "jonas.weber@example.org",
    "dispute_handler": "david.osei@example.org",
    "etl_nightly": "priya.nair@example.org",
    "finance_ops": "sofia.marin@example.org",
    "fraud_scoring": "david.osei@example.org",
    "fx_rates_loader": "sofia.marin@example.org",
    "invoice_mailer": "sofia.marin@example.org",
    "kyc_checker": "david.osei@example.org",
    "ledger_api": OWNER_EMAIL,
    "metrics_exporter": "oskar.holm@example.org",
    "migration_job": "oskar.holm@example.org",
    "mobile_gateway": OWNER_EMAIL,
    "partner_portal": OWNER_EMAIL,
    "payment_worker": OWNER_EMAIL,
    "payout_runner": OWNER_EMAIL,
    "refund_service": "lena.fuchs@example.org",
    "support_bot": "lena.fuchs@example.org",
    "tax_report_export": "sofia.marin@example.org",
    "webhook_sender": OWNER_EMAIL,
}
