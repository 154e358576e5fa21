"""Findings in the browser: who sees which, what the filter means, what people do on the pages, and what they cost."""

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from identities.forms.inventory import FilterForm
from identities.models import Finding, FindingAcceptance, Grant, SavedView
from identities.posture.findings.acts import ACTS
from identities.posture.findings.meanings import WHY, meaning_of
from identities.posture.results import ObjectKind, Outcome, Result, Severity
from identities.posture.rules import BY_ID
from identities.selectors.access import list_grants
from identities.selectors.filters import InvalidFilter, InventoryFilter
from identities.selectors.inventory import list_identities, list_population_grants
from identities.views.finding_rows import evidence_lines
from tests.identities.findings.conftest import DAY, NOW, make_credential, outcome, take
from tests.identities.services.conftest import fill

LIST = "/findings/"
# Session, person, roles, sources of the filter, the page, the bounded count, names of credentials, saved views.
LIST_QUERIES = 9
# Session, person, roles, the finding, exceptions (twice), held credentials, events, people, access.
PAGE_QUERIES = 12
SYSTEM = system_actor("test")


@pytest.fixture
def estate(identity: Any) -> dict[str, Finding]:
    """Findings of every severity and state, of three identities and one source, by name."""
    (bot,) = fill(1)
    key = make_credential(bot)
    take(
        [
            outcome(identity, severity=Severity.CRITICAL),
            outcome(bot, rule="NHI1-B", severity=Severity.MEDIUM),
            outcome(key, rule="NHI7-A", severity=Severity.LOW),
            outcome(bot, rule="NHI5-B"),
            Outcome("POP-2", Result.FAIL, ObjectKind.SOURCE, bot.source_id, severity=Severity.MEDIUM),
        ],
        at=NOW - DAY,
    )
    take([outcome(bot, Result.PASS, rule="NHI5-B")])
    names = {"NHI5-A": "admin", "NHI1-B": "nobody", "NHI7-A": "endless", "NHI5-B": "fixed", "POP-2": "stale"}
    return {names[each.rule]: each for each in Finding.objects.all()}


def shown(response: Any) -> set[str]:
    return {row.rule for row in response.context["page"].rows}


@pytest.mark.parametrize(
    ("query", "rules"),
    [
        ("", {"NHI5-A", "NHI1-B", "NHI7-A", "POP-2"}),
        ("finding=NHI5-A,NHI7-A", {"NHI5-A", "NHI7-A"}),
        ("finding=NHI5", {"NHI5-A"}),
        ("finding=nhi5&finding_state=fixed", {"NHI5-B"}),
        ("finding=-NHI5-A,-POP-2", {"NHI1-B", "NHI7-A"}),
        ("finding_severity=medium", {"NHI5-A", "NHI1-B", "POP-2"}),
        ("finding_state=fixed", {"NHI5-B"}),
        ("finding_state=-fixed", {"NHI5-A", "NHI1-B", "NHI7-A", "POP-2"}),
        ("finding_assignee=none&finding=NHI1-B", {"NHI1-B"}),
        ("owner=none", {"NHI1-B", "NHI7-A"}),
        ("environment=unknown", {"NHI5-A", "NHI1-B", "NHI7-A", "POP-2"}),
        ("environment=-unknown", set()),
        ("kind=workload&finding=NHI7-A", {"NHI7-A"}),
        ("privileged=yes", set()),
        ("q=svc&finding=POP-2", set()),
        ("new_days=1&finding=NHI5-A", set()),
        ("new_days=3&finding=NHI5-A", {"NHI5-A"}),
    ],
)
def test_the_filter_means_what_it_says(query: str, rules: set[str], estate: Any, make_user: Any, browse: Any) -> None:
    assert shown(browse(make_user(Role.AUDITOR)).get(f"{LIST}?{query}")) == rules


def test_one_source_is_chosen_by_its_name_also_for_findings_about_it(estate: Any, make_user: Any, browse: Any) -> None:
    slug = estate["stale"].source.slug
    assert shown(browse(make_user(Role.AUDITOR)).get(f"{LIST}?source={slug}")) == {"NHI1-B", "NHI7-A", "POP-2"}
    assert shown(browse(make_user(Role.AUDITOR)).get(f"{LIST}?source=-{slug}")) == {"NHI5-A"}


@pytest.mark.parametrize(
    "text", ["finding=what", "finding_severity=huge", "finding_state=gone", "finding=NHI5-A,-NHI1-B"]
)
def test_a_filter_that_nobody_could_mean_lists_nothing(text: str, estate: Any, make_user: Any, browse: Any) -> None:
    with pytest.raises(InvalidFilter):
        InventoryFilter.parse(text)
    response = browse(make_user(Role.AUDITOR)).get(f"{LIST}?{text}")
    assert (response.status_code, list(response.context["page"].rows)) == (400, [])


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        ("finding=NHI5-A", {"admin"}),
        ("finding=NHI7-A", {"endless"}),
        ("finding_severity=high", {"admin"}),
        ("finding=NHI5-B", set()),
        ("finding=NHI5-B&finding_state=fixed", {"endless"}),
        ("finding=-NHI7-A", {"admin"}),
        ("finding=NHI1,NHI5&finding_severity=low", {"admin", "endless"}),
    ],
)
def test_identities_grants_and_the_population_of_a_review_are_those_with_such_a_finding(
    text: str, whose: set[str], estate: Any
) -> None:
    wanted = {estate[name].identity_id for name in whose}
    for each in {estate["admin"].identity, estate["endless"].identity}:
        _grant(each)
    filters, at = InventoryFilter.parse(text), {"actor": SYSTEM, "now": timezone.now()}

    assert {each.pk for each in list_identities(filters=filters, **at)} == wanted
    assert {each.identity_id for each in list_grants(filters=filters, **at)} == wanted
    assert set(list_population_grants(filters=filters, **at).values_list("grant__identity", flat=True)) <= wanted


def _grant(identity: Any, label: str = "everything", **fields: Any) -> Grant:
    values = {"external_id": f"g-{identity.pk}-{label}", "label": label, "content_hash": b"\0" * 32}
    times = {"first_seen_at": NOW, "last_changed_at": NOW}
    return Grant.objects.create(source=identity.source, identity=identity, **(values | times | fields))


def test_the_worst_come_first_and_among_equals_the_oldest(make_user: Any, browse: Any) -> None:
    for days, severity in enumerate((Severity.LOW, Severity.CRITICAL, Severity.HIGH)):
        for each in fill(2):
            take([outcome(each, severity=severity)], at=NOW - days * DAY)
    response = browse(make_user(Role.AUDITOR)).get(LIST)
    rows = response.context["page"].rows
    assert [row.severity for row in rows] == ["critical", "critical", "high", "high", "low", "low"]


def test_pages_go_through_all_findings_once_in_both_orders(make_user: Any, browse: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("identities.views.lists.PAGE_SIZE", 2)
    for days in range(3):
        take([outcome(each, rule=f"NHI5-{letter}") for each in fill(2) for letter in "AB"], at=NOW - days * DAY)
    client = browse(make_user(Role.AUDITOR))
    for sort in ("-severity", "severity", "finding", "-finding"):
        seen, cursor = [], ""
        while True:
            page = client.get(LIST, {"sort": sort, "cursor": cursor}).context["page"]
            seen += [row.pk for row in page.rows]
            cursor = page.next_cursor
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 12


def test_an_owner_sees_their_own_and_whoever_is_assigned_sees_that(
    estate: Any, identity: Any, make_user: Any, browse: Any
) -> None:
    assert shown(browse(identity.owner).get(LIST)) == {"NHI5-A"}
    ada = make_user(Role.OWNER)
    assert shown(browse(ada).get(LIST)) == set()
    Finding.objects.filter(pk=estate["nobody"].pk).update(assignee=ada, state="assigned")
    assert shown(browse(ada).get(LIST)) == {"NHI1-B"}
    assert browse(ada).get(f"/findings/{estate['nobody'].pk}/").status_code == 200
    assert browse(ada).get(f"/findings/{estate['admin'].pk}/").status_code == 404


def test_the_list_costs_the_same_for_few_and_for_many(make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.ADMINISTRATOR))
    take([outcome(make_credential(each), rule="NHI7-A") for each in fill(2)])
    with CaptureQueriesContext(connection) as few:
        client.get(f"{LIST}?finding_severity=low")
    take([outcome(make_credential(each), rule="NHI7-A") for each in fill(40)])
    with CaptureQueriesContext(connection) as many:
        client.get(f"{LIST}?finding_severity=low")
    assert len(_asked(many)) <= len(_asked(few)) <= LIST_QUERIES


def _asked(queries: Any) -> list[str]:
    beside = ("SAVEPOINT", "RELEASE", "SELECT current_setting", "SELECT set_config", "EXPLAIN")
    return [each["sql"] for each in queries.captured_queries if not each["sql"].startswith(beside)]


def test_a_finding_tells_what_is_wrong_how_it_is_known_and_what_ends_it(
    finding: Finding, make_user: Any, browse: Any
) -> None:
    grant = _grant(finding.identity, is_privileged=True)
    client = browse(make_user(Role.ADMINISTRATOR))
    with CaptureQueriesContext(connection) as queries:
        text = client.get(reverse("identities:finding_detail", args=[finding.pk])).content.decode()

    meaning = meaning_of("NHI5-A")
    assert meaning.title in text
    assert meaning.why in text
    assert escape(meaning.condition) in text
    assert "Base: high" in text and "policy version 1" in text
    assert reverse("reviews:narrow_grant", args=[grant.pk]) in text
    assert "finding%3DNHI5-A" in text, "a review of just this is one click away"
    assert len(queries) <= PAGE_QUERIES


def test_the_page_says_that_a_finding_could_not_be_judged(finding: Finding, make_user: Any, browse: Any) -> None:
    take([outcome(finding.identity, Result.NOT_ASSESSABLE, reasons=("no_log",))])
    text = browse(make_user(Role.AUDITOR)).get(f"/findings/{finding.pk}/").content.decode()
    assert "Could not be judged since" in text
    assert "No log watches it." in text


def test_an_exception_is_asked_for_on_one_page_and_approved_on_another(
    finding: Finding, identity: Any, make_user: Any, browse: Any
) -> None:
    own, boss = browse(identity.owner), browse(make_user(Role.ADMINISTRATOR))
    until = f"{timezone.now() + 30 * DAY:%Y-%m-%d}"
    wish = {
        "version": 1,
        "reason": "The vendor ships it in March.",
        "compensating_control": "Only one host.",
        "until": until,
    }

    assert own.post(f"/findings/{finding.pk}/request/", wish).status_code == 302
    assert "Approve the exception" not in own.get(f"/findings/{finding.pk}/").content.decode()
    assert "Approve the exception" in boss.get(f"/findings/{finding.pk}/").content.decode()
    assert boss.post(f"/findings/{finding.pk}/approve/", {"version": 2}).status_code == 302

    finding.refresh_from_db()
    assert finding.state == "accepted"
    assert "not counted as passed" in boss.get(f"/findings/{finding.pk}/").content.decode()


def test_a_form_with_a_mistake_comes_back_with_what_was_typed(finding: Finding, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.ADMINISTRATOR))
    for until, sentence in (
        ("2020-01-01", "after now"),
        (f"{NOW + 900 * DAY:%Y-%m-%d}", "at most 365"),
        ("x", "valid date"),
    ):
        wish = {
            "version": 1,
            "reason": "A reason of mine.",
            "compensating_control": "A wall around it.",
            "until": until,
        }
        response = client.post(f"/findings/{finding.pk}/request/", wish)
        text = response.content.decode()
        assert response.status_code in {400, 422}
        assert "A reason of mine." in text and sentence in text
    assert not FindingAcceptance.objects.exists()


def test_a_finding_that_changed_meanwhile_says_so(finding: Finding, make_user: Any, browse: Any) -> None:
    response = browse(make_user(Role.ADMINISTRATOR)).post(
        f"/findings/{finding.pk}/assign/", {"version": 9, "assignee": ""}
    )
    assert response.status_code == 409
    assert "changed since you opened it" in response.content.decode()


def test_many_are_chosen_previewed_and_changed(estate: Any, make_user: Any, browse: Any) -> None:
    ada = make_user(name="Ada")
    client = browse(make_user(Role.CAMPAIGN_MANAGER))
    chosen = {"do": "assign", "all": "1", "filter": "finding=NHI1-B,NHI7-A"}

    assert "all that match" in client.post("/findings/bulk/", chosen).content.decode()
    preview = client.post("/findings/bulk/", chosen | {"step": "preview", "assignee": ada.email})
    assert preview.context["change_count"] == 2
    digest = preview.context["act"].digest
    done = client.post("/findings/bulk/", chosen | {"step": "apply", "assignee": ada.email, "digest": digest})

    assert (done.status_code, Finding.objects.filter(assignee=ada).count()) == (302, 2)
    assert client.post("/findings/bulk/", {"do": "assign"}).status_code == 302
    assert client.get("/findings/bulk/").status_code == 302


def test_many_that_changed_since_the_preview_are_shown_again(estate: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.CAMPAIGN_MANAGER))
    chosen = {"do": "withdraw", "id": [str(each.pk) for each in estate.values()], "step": "apply", "digest": "old"}
    response = client.post("/findings/bulk/", chosen)
    assert response.status_code == 412
    assert response.context["refused_count"] == 5


def test_the_panel_of_an_identity_keeps_accepted_findings_apart(finding: Finding, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.AUDITOR))
    url = reverse("identities:findings_of_identity", args=[finding.identity_id])
    assert "As good as an administrator" in client.get(url).content.decode()
    Finding.objects.update(state="accepted")
    assert "Accepted for a time" in client.get(url).content.decode()
    take([outcome(finding.identity, Result.PASS)])
    assert "No rule fails on it" in client.get(url).content.decode()
    assert url in client.get(reverse("identities:identity_detail", args=[finding.identity_id])).content.decode()


def test_downloads_hold_the_filtered_list_and_leave_a_record(estate: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.AUDITOR))
    lines = b"".join(client.get("/findings.csv?finding_severity=high").streaming_content).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(lines))
    assert (row["rule"], row["severity"], row["arithmetic"]) == ("NHI5-A", "critical", "base: high")
    text = b"".join(client.get("/findings.ndjson?finding_state=fixed").streaming_content).decode()
    assert [json.loads(line)["fixed_how"] for line in text.splitlines()] == ["verified"]
    assert AuditEvent.objects.filter(verb="inventory.exported", subject_id="findings").count() == 2


def test_a_view_of_findings_is_kept_and_opened(estate: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.REVIEWER))
    kept = {"page": "findings", "name": "Keys", "filter": "finding=NHI7", "sort": "", "columns": ""}
    assert client.post(reverse("identities:saved_view_list"), kept).status_code == 302
    assert SavedView.objects.get().page == "findings"
    assert "/findings/?finding=NHI7" in client.get(reverse("identities:saved_view_list")).content.decode()


def test_every_rule_says_why_it_matters_and_names_an_act_and_an_unknown_one_is_still_told() -> None:
    failing = {rule.id for rule in BY_ID.values() if rule.base is not None}
    assert failing <= WHY.keys() <= BY_ID.keys()
    assert {rule.fix for rule in BY_ID.values()} <= ACTS.keys()
    assert meaning_of("XYZ-9").title == "XYZ-9"


def test_a_range_of_one_value_is_said_as_that_value() -> None:
    said = {line.label: line.values for line in evidence_lines({"assurance": "A1 to A1", "exposure": "62 to 75"})}

    assert said == {"Assurance": ["A1"], "Exposure": ["62 to 75"]}


def test_no_two_choices_of_a_filter_have_the_same_name() -> None:
    for name, field in FilterForm({}, sources=[]).fields.items():
        labels = [str(label) for _, label in getattr(field, "choices", [])]
        assert len(labels) == len(set(labels)), name
