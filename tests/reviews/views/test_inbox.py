"""The inbox: whose questions, in which order, filtered; and answering many with a look before."""

import html
import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.web.statuses import look_of
from reviews.decisions import decide
from reviews.models import Answer, Decision, Draft, Order, ReviewItem
from reviews.queue import MOST_COUNTED, Wish, list_waiting, read_page
from reviews.views.drafts import DOES
from reviews.views.rows import reach_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(make):
    return make.person(Role.OWNER, name="Olga Brandt")


@pytest.fixture
def full_inbox(make, owner):
    """Three questions for one owner: plain access, privileged access, a credential."""
    identity = make.identity(owner=owner, name="svc-plain")
    admin = make.identity(owner=owner, name="svc-admin")
    plain, privileged = make.grant(identity), make.grant(admin, make.PRIVILEGED)
    credential = make.credential(identity)
    campaign = make.campaign(item_kinds=["grant", "credential"], deadline_at=timezone.now() + timedelta(days=9))
    return [make.get_item(campaign, thing) for thing in (privileged, plain, credential)]


def bulk(client, items, answer, **more):
    data = {"answer": answer, "item": [f"{item.pk}:{item.version}" for item in items]} | more
    return client.post(reverse("reviews:items_bulk"), data)


def test_privileged_questions_come_first(full_inbox, owner, page_of):
    text = page_of(owner, "reviews:inbox")
    assert text.index("svc-admin") < text.index("svc-plain")
    assert "3 questions" in text
    assert "read and add every row" in text


def test_nobody_sees_the_questions_of_others(full_inbox, make, page_of):
    text = page_of(make.person(*Role), "reviews:inbox")
    assert "svc-plain" not in text
    assert "Nothing waits for you" in text


def test_filters_narrow_and_say_so(full_inbox, owner, page_of):
    only_credentials = page_of(owner, "reviews:inbox", kind="credential")
    nothing = page_of(owner, "reviews:inbox", recommendation="revoke")
    nonsense = page_of(owner, "reviews:inbox", kind="x", campaign="y", recommendation="'")
    assert "Password" in only_credentials
    assert "svc-admin" not in only_credentials
    assert "Nothing matches this filter" in nothing
    assert "svc-admin" in nonsense


def test_a_fragment_is_the_rows_alone(full_inbox, owner, browse):
    text = browse(owner).get(reverse("reviews:inbox"), headers={"HX-Request": "true"}).content.decode()
    assert text.strip().startswith('<div id="inbox-rows"')
    assert "<html" not in text


def test_the_count_is_a_number_or_nothing(full_inbox, owner, make, browse):
    path = reverse("reviews:inbox_count")
    assert browse(owner).get(path).content.decode().startswith("3<span")
    assert browse(make.person(Role.OWNER)).get(path).content == b""


def test_rows_cost_no_further_queries(make, owner, browse, django_assert_max_num_queries):
    identity = make.identity(owner=owner)
    for _ in range(40):
        make.grant(make.identity(identity.source, owner=owner))
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    client = browse(owner)
    client.get(reverse("reviews:inbox"))
    for by in ("identity", "source", "permission", "change"):
        with django_assert_max_num_queries(11):
            client.get(reverse("reviews:inbox"), {"by": by, "cols": ["use", "owner", "last", "exposure"]})


def test_credentials_are_read_only_where_a_question_is_about_one(make, owner):
    actor = make.actor(owner)

    def page_reads_credentials():
        with CaptureQueriesContext(connection) as asked:
            read_page(actor, Wish(), list_waiting(actor))
        return any("identities_credential" in each["sql"] for each in asked)

    identity = make.identity(owner=owner)
    make.grant(identity)
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    assert not page_reads_credentials()

    make.credential(identity)
    make.campaign(item_kinds=["credential"], deadline_at=timezone.now() + timedelta(days=9))
    assert page_reads_credentials()


def test_bulk_says_first_how_many_rows_change_and_why_the_others_do_not(full_inbox, owner, browse, make):
    _, plain, _ = full_inbox
    make.change_grant(plain.grant, make.NARROWER)

    response = bulk(browse(owner), full_inbox, "approve")

    text = response.content.decode()
    assert response.status_code == 200
    assert "Approve: 1 of 3 will change" in text
    assert text.count("Will be kept") == 1
    assert text.count("answered one question at a time") == 2  # in the reasons and in its row
    assert "changed at the source" in text
    assert not Decision.objects.exists()


def test_bulk_says_who_becomes_accountable_before_it_makes_them_so(full_inbox, make, owner, browse):
    make.campaign(
        item_kinds=["ownership"],
        reviewer_rules=["backup"],
        fallback_reviewer=owner,
        deadline_at=timezone.now() + timedelta(days=9),
    )
    asked = [full_inbox[2], *ReviewItem.objects.filter(kind="ownership", assignee=owner)]
    approved = bulk(browse(owner), asked, "approve").content.decode()
    revoked = bulk(browse(owner), asked, "revoke", reason="Gone.").content.decode()
    mine = len(asked) - 1
    assert f'<strong class="num">{mine}</strong><span>You answer for it from then on' in approved
    assert approved.count("Will be yours") == mine
    assert approved.count("Will be kept") == 1
    assert "Its removal is ordered" not in revoked


def test_bulk_answers_each_row_on_its_own(full_inbox, owner, browse, make):
    _, plain, credential = full_inbox
    make.change_grant(plain.grant, make.NARROWER)

    response = bulk(browse(owner), [plain, credential], "revoke", step="apply", reason="Retired project.")

    text = response.content.decode()
    assert "1 question answered, 1 not" in text
    assert dict(Decision.objects.values_list("item_id", "answer")) == {credential.pk: "deactivate"}
    assert all(Decision.objects.values_list("is_bulk", flat=True))


def test_privileged_access_is_never_answered_in_bulk_whatever_is_sent(full_inbox, owner, browse):
    response = bulk(browse(owner), full_inbox, "approve", step="apply", reason="All of it.")
    text = response.content.decode()
    assert "2 questions answered, 1 not" in text
    assert not Decision.objects.filter(item=full_inbox[0]).exists()


def test_everything_that_the_filter_shows_is_looked_at_together(full_inbox, owner, browse):
    client = browse(owner)
    text = client.post(reverse("reviews:items_bulk"), {"every": "revoke", "back": "kind=credential"}).content.decode()
    assert "Revoke: 1 of 1 will change" in text
    assert not Decision.objects.exists()


def test_more_than_can_be_answered_at_once_is_said_aloud(make, owner, browse, monkeypatch):
    monkeypatch.setattr("reviews.views.bulk.MOST_ITEMS", 2)
    for _ in range(3):
        make.grant(make.identity(owner=owner))
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    text = browse(owner).post(reverse("reviews:items_bulk"), {"every": "approve"}).content.decode()
    assert "Approve: 2 of 2 will change" in text
    assert "More questions match than can be answered at once" in text


def test_bulk_leaves_rows_of_others_alone(full_inbox, browse, make):
    response = bulk(browse(make.person(Role.REVIEWER)), full_inbox, "approve", step="apply", reason="Mine now.")
    assert response.status_code in (200, 302)
    assert not Decision.objects.exists()


def test_bulk_does_not_overwrite_what_changed_since_the_page_was_loaded(full_inbox, owner, browse):
    _, plain, _ = full_inbox
    ReviewItem.objects.filter(pk=plain.pk).update(version=plain.version + 1)
    text = bulk(browse(owner), [plain], "approve", step="apply").content.decode()
    assert "0 questions answered, 1 not" in text
    assert "Load it again" in text


@pytest.mark.parametrize("items", [[], ["nonsense"], ["nonsense:1"], [":"]])
def test_bulk_without_rows_goes_back(owner, browse, items):
    response = browse(owner).post(reverse("reviews:items_bulk"), {"answer": "approve", "item": items})
    assert response["Location"] == reverse("reviews:inbox")


def test_bulk_needs_a_csrf_token(full_inbox, owner, browse):
    assert bulk(browse(owner, csrf=True), full_inbox, "approve", step="apply", reason="x").status_code == 403
    assert not Decision.objects.exists()


def test_one_key_drafts_a_row_and_decides_nothing(full_inbox, owner, browse):
    _, plain, credential = full_inbox
    client = browse(owner)
    for item, how in ((plain, "revoke"), (credential, "approve")):
        client.post(reverse("reviews:items_bulk"), {"quick": f"{how}:{item.pk}@{item.version}"})
    assert dict(Draft.objects.values_list("item_id", "answer")) == {plain.pk: "revoke", credential.pk: "keep"}
    assert not Decision.objects.exists()
    assert not Order.objects.exists()


def test_the_bar_counts_apart_what_cannot_be_submitted_yet(full_inbox, owner, browse):
    privileged, plain, _ = full_inbox
    client = browse(owner)
    client.post(reverse("reviews:items_bulk"), {"quick": f"revoke:{plain.pk}@1"})
    client.post(reverse("reviews:item_draft", args=[privileged.pk]), {"answer": "revoke", "version": 1, "then": "stay"})
    text = client.get(reverse("reviews:inbox")).content.decode()
    assert "<strong>2</strong> drafted: 1 revoke, 1 unfinished" in text
    assert "Submit 1 answer<" in client.get(reverse("reviews:draft_list")).content.decode()


def test_no_answer_about_ownership_is_called_no(make, owner, browse):
    make.item(owner=owner)
    make.campaign(item_kinds=["ownership"], fallback_reviewer=owner, deadline_at=timezone.now() + timedelta(days=9))

    text = browse(owner).get("/inbox/").content.decode()

    said = {
        answer: re.search(rf"answer={answer}[^>]*#answer\">.*?</svg>([^<]*)</a>", text)[1]
        for answer in ("approve", "revoke", "mine", "retire")
    }
    assert said == {"approve": "Yes", "revoke": "No", "mine": "Mine", "retire": "Retire"}


def test_an_answer_about_ownership_is_drafted_looked_over_and_submitted(make, owner, browse):
    identity = make.identity(name="svc-orphan")
    campaign = make.campaign(
        item_kinds=["ownership"], fallback_reviewer=owner, deadline_at=timezone.now() + timedelta(days=9)
    )
    item, client = ReviewItem.objects.get(campaign=campaign), browse(owner)
    client.post(reverse("reviews:items_bulk"), {"quick": f"approve:{item.pk}@{item.version}"})
    text = client.get(reverse("reviews:draft_list")).content.decode()
    assert "It is mine: you answer for the identity from then on" in text
    assert "Who answers for it" in text
    given = client.post(reverse("reviews:drafts_submit"), {"item": [str(item.pk)]}).content.decode()
    assert "1 answer given" in given
    assert "Who answers for it" in given
    identity.refresh_from_db()
    assert identity.owner == owner


def test_an_answer_given_on_the_page_leaves_no_draft_behind(make, owner, browse):
    make.identity(name="svc-orphan")
    deadline_at = timezone.now() + timedelta(days=9)
    campaign = make.campaign(item_kinds=["ownership"], fallback_reviewer=owner, deadline_at=deadline_at)
    item, client = ReviewItem.objects.get(campaign=campaign), browse(owner)
    client.post(reverse("reviews:items_bulk"), {"quick": f"approve:{item.pk}@{item.version}"})
    assert Draft.objects.exists()
    data = {"answer": "retire", "version": item.version, "reason": "Nobody runs it."}
    assert client.post(reverse("reviews:ownership_item", args=[item.pk]), data).status_code == 302
    assert not Draft.objects.exists()


def test_no_answer_looks_like_something_unknown():
    assert {answer for answer in Answer if look_of(answer).tone == "unknown"} == set()


def test_what_submitting_does_is_said_for_every_answer_that_people_give():
    only_policies_give = {Answer.QUARANTINE}
    assert set(DOES) == set(Answer) - only_policies_give


def test_a_drafted_row_is_undone_in_its_place(full_inbox, owner, browse):
    _, plain, _ = full_inbox
    client, path = browse(owner), reverse("reviews:items_bulk")
    drafted = client.post(path, {"quick": f"approve:{plain.pk}@1"}, headers={"HX-Request": "true"}).content.decode()
    undone = client.post(path, {"quick": f"undo:{plain.pk}@1"}, headers={"HX-Request": "true"}).content.decode()
    assert drafted.strip().startswith("<tr")
    assert "has-draft" in drafted
    assert "<strong>1</strong> drafted" in drafted
    assert "has-draft" not in undone
    assert not Draft.objects.exists()


def test_the_list_comes_back_with_its_view_and_filters(full_inbox, owner, browse):
    _, plain, _ = full_inbox
    data = {"quick": f"approve:{plain.pk}@1", "back": "by=source&use=not_observable&evil=x"}
    response = browse(owner).post(reverse("reviews:items_bulk"), data)
    assert response["Location"] == reverse("reviews:inbox") + "?by=source&use=not_observable"


def test_what_is_recommended_is_drafted_with_its_target(make, owner, browse):
    identity = make.identity(owner=owner)
    make.grant(identity)
    make.window(identity.source)
    make.use(identity, "SELECT", "table:ledger/public/payments", count=12)
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    item = ReviewItem.objects.get()
    browse(owner).post(reverse("reviews:items_bulk"), {"quick": f"take:{item.pk}@1"})
    draft = Draft.objects.get()
    assert (draft.answer, draft.target) == ("scope_down", item.recommended_target)


def test_one_key_on_privileged_access_opens_the_page_for_the_reason(full_inbox, owner, browse):
    privileged = full_inbox[0]
    response = browse(owner).post(reverse("reviews:items_bulk"), {"quick": f"approve:{privileged.pk}@1"})
    assert response["Location"].startswith(reverse("reviews:item_detail", args=[privileged.pk]))
    assert not Decision.objects.exists()


@pytest.mark.parametrize("quick", ["approve", "approve:x@1", "delete:00000000-0000-0000-0000-000000000000@1", ":@"])
def test_a_damaged_key_press_does_nothing(full_inbox, owner, browse, quick):
    response = browse(owner).post(reverse("reviews:items_bulk"), {"quick": quick})
    assert response.status_code == 302
    assert not Decision.objects.exists()


@pytest.fixture
def crowd(make, owner):
    """Twelve identities hold the same, one of them with other use; one holds something else; all unprivileged."""
    source = make.source(name="Ledger")
    identities = [make.identity(source, owner=owner, name=f"svc-{n:02}") for n in range(12)]
    for identity in identities:
        make.grant(identity)
    make.window(source, identities[0])
    make.use(identities[0], "SELECT", "table:ledger/public/payments")
    other = make.grant(make.identity(make.source(name="Archive"), owner=owner, name="svc-other"), make.NARROWER)
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    return other


def test_identical_access_with_the_same_use_is_one_row_that_can_be_opened(crowd, owner, page_of, browse):
    text = page_of(owner, "reviews:inbox", by="permission")
    folded = re.search(r'href="\?([^"]+)" data-open data-key="o">11 questions', text)
    assert folded
    assert text.count("<tr id=") == 3
    opened = browse(owner).get(reverse("reviews:inbox") + "?" + html.unescape(folded[1])).content.decode()
    assert opened.count("<tr id=") == 11
    assert "svc-00" not in opened
    assert "svc-other" not in opened


def test_a_folded_row_is_answered_for_all_of_its_questions(crowd, owner, page_of, browse):
    text = page_of(owner, "reviews:inbox", by="permission")
    [value] = re.findall(r'value="(fold:[^"]+)"', text)
    shown = browse(owner).post(reverse("reviews:items_bulk"), {"answer": "approve", "item": value}).content.decode()
    assert "Approve: 11 of 11 will change" in shown


def test_the_source_and_the_change_are_headings_of_their_views(crowd, owner, page_of):
    by_source = page_of(owner, "reviews:inbox", by="source")
    by_change = page_of(owner, "reviews:inbox", by="change")
    assert by_source.index("Archive</th>") < by_source.index("svc-other") < by_source.index("Ledger</th>")
    assert 'colspan="6">Never decided before</th>' in by_change


@pytest.mark.parametrize("by", ["identity", "source", "permission", "change"])
def test_pages_of_each_view_show_every_question_once_in_both_directions(make, owner, browse, monkeypatch, by):
    monkeypatch.setattr("reviews.views.inbox.PAGE_SIZE", 4)
    for number in range(7):
        identity = make.identity(owner=owner, name=f"n{number % 3}")
        make.grant(identity, make.PRIVILEGED if number == 3 else None)
        make.use(identity, "SELECT", f"t{number}")
    make.grant(make.identity(owner=owner), make.NARROWER)
    for days in (9, 5):
        make.campaign(deadline_at=timezone.now() + timedelta(days=days))
    client, path = browse(owner), f"{reverse('reviews:inbox')}?by={by}"
    pages, link = [], path
    while link:
        text = client.get(link).content.decode()
        counted = [int(each) for each in re.findall(r'data-key="o">(\d+) question', text)]
        pages.append((re.findall(r'<tr id="row-([^"]+)"', text), sum(counted) - len(counted)))
        found = re.search(r'rel="next" href="([^"]+)"', text)
        link = reverse("reviews:inbox") + html.unescape(found[1]) if found else ""
    rows = [row for page, _ in pages for row in page]
    assert len(rows) == len(set(rows))
    assert len(rows) + sum(folded for _, folded in pages) == 16
    if by != "permission":
        back = re.search(r'rel="prev" href="([^"]+)"', text)
        before = client.get(reverse("reviews:inbox") + html.unescape(back[1])).content.decode()
        assert re.findall(r'<tr id="row-([^"]+)"', before) == pages[-2][0]
        last = client.get(path + "&cursor=last").content.decode()
        assert re.findall(r'<tr id="row-([^"]+)"', last)[-1] == rows[-1]


@pytest.mark.parametrize("by", ["identity", "source", "change"])
def test_a_page_reads_no_more_rows_than_it_shows_however_many_wait(make, browse, reviewer, by):
    make.many_grants(3000)
    make.campaign(fallback_reviewer=reviewer, deadline_at=timezone.now() + timedelta(days=9))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = browse(reviewer)
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("reviews:inbox"), {"by": by})
    line = [query["sql"] for query in queries if "FROM reviews_reviewitem i" in query["sql"]]
    assert line
    with connection.cursor() as cursor:
        read = [row for sql in line for row in rows_read(cursor, sql)]
    assert max(read) <= MOST_COUNTED + 1


def rows_read(cursor, sql):
    """How many rows each step of the plan handled, and threw away."""
    cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
    plan = cursor.fetchone()[0]
    steps = [(json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]]
    while steps:
        step = steps.pop()
        steps += step.get("Plans", [])
        yield (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]


def test_columns_stand_in_the_address(crowd, owner, page_of):
    text = page_of(owner, "reviews:inbox", cols="owner")
    assert 'data-column="owner"' in text
    assert 'data-column="use"' not in text
    assert "Olga Brandt" in text


def test_the_last_decision_and_the_change_since_are_shown(make, owner, page_of):
    grants = [make.grant(make.identity(owner=owner, name=name)) for name in ("svc-same", "svc-changed")]
    first = make.campaign()
    for grant in grants:
        decide(item=make.get_item(first, grant), version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    make.change_grant(grants[1], make.NARROWER)
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    text = page_of(owner, "reviews:inbox", by="change", cols="last")
    order = [
        "Changed since the last decision</th>",
        "svc-changed",
        "Unchanged since the last decision</th>",
        "svc-same",
    ]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert "Olga Brandt" in text


def test_a_row_says_why_nothing_is_recommended_although_use_was_seen(make, owner, page_of):
    identity = make.identity(owner=owner)
    make.grant(identity)
    make.window(identity.source, days=1)
    make.use(identity, "SELECT", "table:ledger/public/payments", count=12)
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    item = ReviewItem.objects.get()
    told, doubt = item.recommendation_reasons[:2]
    text = page_of(owner, "reviews:inbox")
    assert (item.recommendation, "too short to conclude" in doubt) == ("", True)
    assert doubt in text
    assert told not in text


@pytest.mark.parametrize(("count", "words"), [(1, "shared with 1 other"), (2, "shared with 2 others")])
def test_one_other_is_not_called_others(count, words):
    assert reach_of({"shared_with": count})[-1] == words


@pytest.mark.parametrize("query", ["by=x&use='&kind=%27&campaign=1", "cols=evil&privileged=maybe"])
def test_nonsense_in_the_address_filters_nothing(full_inbox, owner, browse, query):
    response = browse(owner).get(reverse("reviews:inbox") + "?" + query)
    assert "svc-admin" in response.content.decode()


def test_a_damaged_place_in_the_list_is_said(full_inbox, owner, browse):
    assert browse(owner).get(reverse("reviews:inbox"), {"cursor": "nonsense"}).status_code == 400
