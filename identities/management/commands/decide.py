"""`manage.py decide SUBJECT ACTION TYPE:ID`: one question for the decision point, and why it is answered so."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from identities.pdp.deciding import decide
from identities.pdp.logging import RECORDER
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Decision, Request

DENIED, UNAVAILABLE = 1, 75


class Command(BaseCommand):
    help = "May this identity do this on that, now? Exit code 0: permitted, 1: denied, 75: could not be asked."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subject", help="the identity: its external id, or its id here")
        parser.add_argument("action", help="the action, in the words of the source, such as s3:GetObject or SELECT")
        parser.add_argument("resource", help="TYPE:ID, such as table:ledger/public/payments or server:files")
        parser.add_argument("--type", default="identity", help="what the caller takes the subject for")
        parser.add_argument("--domain", default="", help="the decision domain; none is the whole inventory")
        for part in ("context", "subject-properties", "action-properties", "resource-properties"):
            parser.add_argument(f"--{part}", default="{}", help=f"JSON object: {part.replace('-', ' ')}")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        kind, colon, identifier = options["resource"].partition(":")
        if not colon or not kind or not identifier:
            raise CommandError("Name the resource as TYPE:ID, such as table:ledger/public/payments.")
        decision = decide(
            Request(
                subject_type=options["type"],
                subject_id=options["subject"],
                action=options["action"],
                resource_type=kind,
                resource_id=identifier,
                subject_properties=_object("subject-properties", options["subject_properties"]),
                action_properties=_object("action-properties", options["action_properties"]),
                resource_properties=_object("resource-properties", options["resource_properties"]),
                context=_object("context", options["context"]),
                domain=options["domain"],
                wants_explanation=True,
            ),
            now=timezone.now(),
        )
        RECORDER.flush()
        self.stdout.write(json.dumps(_document(decision), indent=1) if options["json"] else _words(decision))
        if not decision.permit:
            raise SystemExit(UNAVAILABLE if decision.reason == Reason.UNAVAILABLE else DENIED)


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"--{name} must be a JSON object.")
    return found


def _words(decision: Decision) -> str:
    lines = [
        f"{'PERMITTED' if decision.permit else 'DENIED'} ({decision.reason}): {SENTENCES[Reason(decision.reason)]}"
    ]
    lines += [
        f"  {grant.effect}s, {grant.stands}: {grant.words}  [{grant.label}, version {grant.version}]"
        for grant in decision.grants
    ]
    if decision.review:
        seen = "this very content" if decision.review.saw_this_version else "an earlier content"
        until = f", until {decision.review.approved_until:%Y-%m-%d}" if decision.review.approved_until else ""
        lines.append(f"  reviewed {decision.review.reviewed_at:%Y-%m-%d}: saw {seen}{until}")
    if decision.not_assessed:
        lines.append(f"  not known: {', '.join(decision.not_assessed)}")
    snapshot = f"{decision.snapshot_at:%Y-%m-%d %H:%M:%S} UTC" if decision.snapshot_at else "never"
    lines.append(f"  source read: {snapshot}; policy {decision.policy_number}; evaluation {decision.evaluation_id}")
    return "\n".join(lines)


def _document(decision: Decision) -> dict[str, Any]:
    return {
        "permit": decision.permit,
        "reason": decision.reason,
        "sentence": SENTENCES[Reason(decision.reason)],
        "evaluation_id": str(decision.evaluation_id),
        "policy": decision.policy_number,
        "snapshot_at": decision.snapshot_at.isoformat() if decision.snapshot_at else None,
        "grants": [{"id": str(grant.grant_id), **grant.told()} for grant in decision.grants],
        "not_assessed": list(decision.not_assessed),
    }
