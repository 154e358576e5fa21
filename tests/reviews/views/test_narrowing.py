"""Trying a narrowing: the same bench for a question and for a grant that nobody asks about; nothing is written."""

import json
import re

import pytest
from django.urls import reverse

from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from reviews import recommend
from reviews.evidence import place_key
from reviews.models import Campaign, Decision, ReviewItem

pytestmark = pytest.mark.django_db
FRAGMENT = {"HX-Request": "true", "HX-Target": "preview"}
PAYMENTS = "table:ledger/public/payments"
BUCKET = {
    "dialect": "aws",
    "statements": [
        {"actions": ["s3:GetObject", "s3:PutObject"], "resources": ["arn:aws:s3:::ledger/*", "arn:aws:s3:::logs/*"]}
    ],
}


def url(name, thing):
    return reverse(f"reviews:{name}", args=[thing.pk])


def ticked(text):
    return re.findall(r'name="keep" value="(\w+)" checked', text)


def keys(text):
    found = re.findall(r'name="keep" value="(\w+)".*?<span class="piece-words">(.*?)</span>', text, flags=re.DOTALL)
    return {words: key for key, words in found}


@pytest.fixture
def owner(make):
    return make.person(Role.OWNER, name="Olga Brandt")


@pytest.fixture
def grant(make, owner):
    identity = make.identity(owner=owner, name="etl")
    make.window(identity.source)
    make.use(identity, "SELECT", PAYMENTS, count=4212)
    return make.grant(identity)


@pytest.fixture
def bucket(make, owner):
    return make.grant(make.identity(owner=owner), BUCKET)


@pytest.fixture
def try_it(browse, reviewer):
    """`try_it(grant, keep=[…], …)`: the text of the preview."""

    def go(grant, by=None, **fields):
        form = {"sent": "yes"} | fields
        response = browse(by or reviewer).post(url("narrow_preview", grant), form, headers=FRAGMENT)
        assert response.status_code == 200, response.content
        return response.content.decode()

    return go


def test_the_page_shows_use_and_presets_what_was_used(grant, reviewer, page_of):
    text = page_of(reviewer, "reviews:narrow_grant", grant.pk)
    assert "Could etl do with less?" in text
    assert len(keys(text)) == 4
    assert ticked(text) == [keys(text)["read every row of table payments in database ledger"]]


def test_trying_proves_replays_and_writes_nothing(grant, reviewer, page_of, try_it, verbs):
    kept = ticked(page_of(reviewer, "reviews:narrow_grant", grant.pk))
    before = verbs()

    text = try_it(grant, keep=kept)

    assert "<html" not in text
    assert "Proved:" in text
    assert "0 of 4\u202f212</strong> calls seen until now would have been refused" in text
    assert "A person has to do this." in text
    assert (verbs(), Campaign.objects.count(), Decision.objects.count()) == (before, 0, 0)


def test_boxes_of_a_suggestion_that_use_has_overtaken_are_not_taken_for_others(make, grant, try_it):
    assert "has changed meanwhile" in try_it(grant, keep=["0123456789abcdef"])


def test_nothing_kept_and_all_kept_are_no_narrowing(grant, reviewer, page_of, try_it):
    everything = list(keys(page_of(reviewer, "reviews:narrow_grant", grant.pk)).values())
    assert "Nothing would remain" in try_it(grant)
    assert "exactly what is held" in try_it(grant, keep=everything)


def test_a_typed_smaller_place_is_proved_and_a_foreign_one_refuted_in_words(bucket, reviewer, page_of, try_it):
    everything = list(keys(page_of(reviewer, "reviews:narrow_grant", bucket.pk)).values())
    only = f"only_{place_key('arn:aws:s3:::ledger/*')}"

    inside = try_it(bucket, keep=everything, **{only: "arn:aws:s3:::ledger/daily/*"})
    outside = try_it(bucket, keep=everything, **{only: "arn:aws:s3:::salaries/*"})

    assert "Proved:" in inside
    assert "Not inside what is held." in outside
    assert "It would newly allow, for example:" in outside
    assert "in bucket salaries" in outside


def test_a_place_that_the_source_cannot_read_is_refused_beside_its_field(grant, reviewer, browse, page_of, try_it):
    kept = ticked(page_of(reviewer, "reviews:narrow_grant", grant.pk))
    only = {f"only_{place_key(PAYMENTS)}": "payments!"}
    assert "This is no resource here" in try_it(grant, keep=kept, **only)
    page = browse(reviewer).post(url("narrow_preview", grant), {"sent": "yes", "keep": kept, **only}).content.decode()
    assert 'value="payments!"' in page
    assert 'aria-invalid="true"' in page


def test_conditions_and_an_end_are_offered_only_where_the_source_has_words_for_them(grant, bucket, reviewer, page_of):
    assert 'name="condition_key_0"' not in page_of(reviewer, "reviews:narrow_grant", grant.pk)
    assert "has no words for conditions or ends" in page_of(reviewer, "reviews:narrow_grant", grant.pk)
    text = page_of(reviewer, "reviews:narrow_grant", bucket.pk)
    assert 'name="condition_key_0"' in text
    assert 'name="ends_at"' in text


def test_an_added_condition_and_end_are_proved(bucket, reviewer, page_of, try_it):
    kept = list(keys(page_of(reviewer, "reviews:narrow_grant", bucket.pk)).values())
    condition = {
        "condition_key_0": "aws:SourceIp",
        "condition_operator_0": "IpAddress",
        "condition_values_0": "10.0.0.0/8",
    }

    text = try_it(bucket, keep=kept, ends_at="2027-03-31", **condition)

    assert "Proved:" in text
    assert "only if the request comes from 10.0.0.0/8 and it is before 2027-03-31" in text


@pytest.mark.parametrize(
    ("key", "operator", "values"),
    [("aws:SourceIp", "IpAddress", ""), ("", "IpAddress", "10.0.0.0/8"), ("aws:SourceIp", "Nonsense", "10.0.0.0/8")],
)
def test_half_a_condition_is_said_to_be_half(bucket, reviewer, page_of, try_it, key, operator, values):
    kept = list(keys(page_of(reviewer, "reviews:narrow_grant", bucket.pk)).values())
    row = {"condition_key_0": key, "condition_operator_0": operator, "condition_values_0": values}
    assert "A condition needs" in try_it(bucket, keep=kept, **row)


def test_a_condition_sent_to_a_source_without_conditions_is_refused(grant, reviewer, page_of, try_it):
    kept = ticked(page_of(reviewer, "reviews:narrow_grant", grant.pk))
    assert "cannot end by itself" in try_it(grant, keep=kept, ends_at="2027-03-31")


def test_only_the_styles_that_the_kernel_offers_are_shown(make, grant, reviewer, page_of, monkeypatch):
    text = page_of(reviewer, "reviews:narrow_grant", grant.pk)
    assert "Only what was used" in text
    monkeypatch.setattr("reviews.evidence.suggesting.STYLES", ("exact", "readable"))
    monkeypatch.setattr("reviews.evidence.suggesting.suggest", lambda facts, style: _suggested(make, facts, style))

    text = page_of(reviewer, "reviews:narrow_grant", grant.pk, style="readable")

    assert "Readable" in text
    assert ticked(text) == [keys(text)["add every row of table payments in database ledger"]]


def _suggested(make, facts, style):
    if style == "exact":
        return recommend.suggest(facts, style)
    statement = {"actions": ["INSERT"], "resources": [PAYMENTS]}
    return Permission.from_json({"dialect": "postgresql", "statements": [statement]})


def test_a_reviewer_asks_and_the_question_carries_the_proposal(make, grant, owner, reviewer, browse, page_of):
    kept = ticked(page_of(reviewer, "reviews:narrow_grant", grant.pk))

    response = browse(reviewer).post(url("narrow_ask", grant), {"sent": "yes", "keep": kept, "reason": "Only read."})

    item = ReviewItem.objects.get()
    assert response["Location"] == url("item_detail", item)
    text = page_of(owner, "reviews:item_detail", item.pk)
    assert f"{reviewer} proposes to narrow it" in text
    assert "Only read." in text
    assert "As proposed" in text
    assert ticked(text) == kept


def test_asking_for_what_is_not_inside_shows_why_and_opens_nothing(make, grant, reviewer, browse):
    form = {"advanced": "yes", "target_json": json.dumps(make.PRIVILEGED), "reason": "Typed with care."}
    response = browse(reviewer).post(url("narrow_ask", grant), form)
    text = response.content.decode()
    assert response.status_code == 422
    assert "would be permitted, but is not permitted today" in text
    assert "Typed with care." in text
    assert not Campaign.objects.exists()


def test_an_owner_may_try_but_not_ask(grant, owner, browse, page_of, try_it):
    kept = ticked(page_of(owner, "reviews:narrow_grant", grant.pk))
    assert "Ask whether to do this" not in page_of(owner, "reviews:narrow_grant", grant.pk)
    assert "Proved:" in try_it(grant, by=owner, keep=kept)
    assert browse(owner).post(url("narrow_ask", grant), {"sent": "yes", "keep": kept}).status_code == 403
    assert not Campaign.objects.exists()


def test_somebody_elses_access_is_not_found(make, grant, browse):
    assert browse(make.person(Role.OWNER)).get(url("narrow_grant", grant)).status_code == 404


def test_an_open_question_is_linked_and_takes_the_proposal_along(make, ask, reviewer, browse, page_of):
    item = ask(fallback_reviewer=reviewer)
    ReviewItem.objects.update(assignee=reviewer)
    kept = [
        keys(page_of(reviewer, "reviews:narrow_grant", item.grant_id))[
            "add every row of table refunds in database ledger"
        ]
    ]
    text = page_of(reviewer, "reviews:narrow_grant", item.grant_id)
    assert "Ask whether to do this" not in text
    assert f'formaction="{url("item_preview", item)}"' in text

    form = {"sent": "yes", "keep": kept, "answer": "scope_down", "version": item.version}
    question = browse(reviewer).post(url("item_preview", item), form).content.decode()

    assert ticked(question) == kept
    assert "Proved:" in question


def test_a_question_of_somebody_elses_review_is_named_without_a_link(ask, reviewer, page_of):
    item = ask()
    text = page_of(reviewer, "reviews:narrow_grant", item.grant_id)
    assert f"{item.assignee} is asked about this access already" in text
    assert url("item_preview", item) not in text


def test_what_the_source_no_longer_holds_cannot_be_tried(make, grant, reviewer, browse):
    grant.versions.update(seen_until=make.NOW)
    response = browse(reviewer).get(url("narrow_grant", grant))
    assert response.status_code == 409
    assert "no longer holds" in response.content.decode()


def test_the_pages_of_identity_and_grant_lead_there(grant, reviewer, page_of):
    link = url("narrow_grant", grant)
    assert link in page_of(reviewer, "identities:identity_detail", grant.identity_id)
    assert f'hx-get="{link}"' in page_of(reviewer, "identities:grant_detail", grant.pk)


def test_within_the_page_of_the_grant_only_the_form_comes_and_asks_no_source_by_itself(
    grant, reviewer, browse, page_of
):
    text = browse(reviewer).get(url("narrow_grant", grant), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text
    assert text.count("<form") == 1
    assert 'hx-trigger="change delay:200ms"' in text
    assert 'hx-trigger="change delay:200ms, load"' in page_of(reviewer, "reviews:narrow_grant", grant.pk)


def test_the_page_costs_a_fixed_number_of_queries(make, grant, reviewer, browse, django_assert_max_num_queries):
    client = browse(reviewer)
    client.get(url("narrow_grant", grant))
    for number in range(30):
        make.use(grant.identity, "SELECT", f"table:ledger/public/t{number}")
    with django_assert_max_num_queries(16):
        client.get(url("narrow_grant", grant))


def test_hostile_names_are_printed_as_text(make, owner, reviewer, page_of):
    name = "arn:aws:s3:::<script>alert(1)</script>/*"
    statement = {"actions": ["s3:GetObject", "s3:PutObject"], "resources": [name]}
    grant = make.grant(make.identity(owner=owner), {"dialect": "aws", "statements": [statement]}, label="<b>x</b>")
    text = page_of(reviewer, "reviews:narrow_grant", grant.pk)
    assert "<script>alert(1)" not in text
    assert "<b>x</b>" not in text


def test_too_many_parts_to_tick_leave_suggestions_and_text(make, owner, reviewer, page_of):
    tables = [f"table:ledger/public/t{number}" for number in range(500)]
    statement = {"actions": ["SELECT", "INSERT"], "resources": tables}
    grant = make.grant(make.identity(owner=owner), {"dialect": "postgresql", "statements": [statement]})
    text = page_of(reviewer, "reviews:narrow_grant", grant.pk)
    assert "too many parts to tick" in text
    assert 'name="keep"' not in text


def test_nine_hundred_rights_can_be_ticked_sent_and_tried(make, owner, reviewer, page_of, try_it):
    tables = [f"table:ledger/public/t{number}" for number in range(450)]
    statement = {"actions": ["SELECT", "INSERT"], "resources": tables}
    grant = make.grant(make.identity(owner=owner), {"dialect": "postgresql", "statements": [statement]})
    kept = ticked(page_of(reviewer, "reviews:narrow_grant", grant.pk))
    assert len(kept) == 900
    assert "exactly what is held" in try_it(grant, keep=kept)
    assert "Proved:" in try_it(grant, keep=kept[1:])
