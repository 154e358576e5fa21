"""report.html: the pack for people, without script. Each number is one of the files', counted as they were written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from governance.kernel.numbers import grouped
from reviews.packs.content import SHOWN, Pin, Tally
from reviews.packs.drawing import Part, bar, clean, share, table

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
TONES = {
    "verified": "good", "recalled": "calm", "restored": "calm", "settled": "warn", "task": "warn", "planned": "calm",
    "awaiting_second": "calm", "executing": "calm", "watching": "calm", "applied": "warn",
}  # fmt: skip
KEPT = ("approve", "keep", "mine")
REDUCED = ("scope_down", "rotate", "approve_until", "quarantine")
GONE = ("revoke", "deactivate", "retire")


def report_html(pin: Pin, tally: Tally) -> Iterator[str]:
    """The whole report, section by section."""
    name = clean(pin.review["name"])
    yield format_html(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{}"><title>Evidence: {}'
        "</title><style>{}</style></head><body><main>",
        POLICY,
        pin.review["name"],
        _style(),
    )
    yield format_html('<p class="muted small">Evidence of an access review</p><h1>{}</h1>', name)
    for section in (_summary, _charts, _sources, _quality, _changes, _exceptions, _gaps, _signed, _trust):
        yield section(pin, tally)
    yield "</main></body></html>\n"


@cache
def _style() -> SafeString:
    return mark_safe((Path(__file__).parent / "report.css").read_text(encoding="utf-8"))  # noqa: S308 - our own file


def _summary(pin: Pin, tally: Tally) -> SafeString:
    review, decided = pin.review, sum(tally.answers.values())
    owed = sum(tally.orders.values()) - sum(tally.orders[each] for each in ("recalled", "restored", "settled"))
    sentences = [
        f"{_kinds(tally)} {_were(tally.asked)} asked about, {grouped(tally.privileged)} of them privileged.",
        f"{grouped(decided)} ({share(decided, tally.asked)}) {_were(decided)} decided: "
        f"{grouped(decided - tally.by_policy)} by people and {grouped(tally.by_policy)} by the rules for silence. "
        f"{grouped(tally.asked - decided)} {_were(tally.asked - decided)} not certified.",
        f"{grouped(sum(tally.orders.values()))} changes at sources followed. Of the {grouped(owed)} that were not "
        f"withdrawn, {grouped(tally.proved)} {_were(tally.proved)} proved by a later reading of the source.",
    ]
    figures = (
        ("Decided", grouped(decided), f"of {grouped(tally.asked)} questions"),
        ("Not certified", grouped(tally.asked - decided), share(tally.asked - decided, tally.asked)),
        ("Proved at the source", grouped(tally.proved), f"of {grouped(owed)} changes"),
        ("Exceptions", grouped(sum(tally.exceptions.values())), "each with a reason"),
        ("Not assessable", grouped(sum(tally.gaps.values())), "named in not_assessable.csv"),
    )
    return format_html(
        '<p class="muted">{}; closed {}; as of checkpoint {} of <code>{}</code>, {}.</p>'
        '<p class="lead">{}</p><ul class="figures">{}</ul>{}',
        str(review["state"]).capitalize(),
        _day(review["closed_at"]),
        grouped(pin.size),
        pin.origin,
        _day(pin.pinned_at.isoformat()),
        " ".join(sentences),
        format_html_join("", '<li>{}<strong>{}</strong><span class="muted small">{}</span></li>', figures),
        _notices(pin, tally),
    )


def _notices(pin: Pin, tally: Tally) -> SafeString:
    said: list[tuple[str, str]] = []
    if tally.independence["violated"]:
        count = grouped(tally.independence["violated"])
        said.append(("bad", f"{count} answers were given by owners of privileged access: see reviewers.csv."))
    if tally.completeness.get("is_the_same_population") is False:
        anew = grouped(tally.asked_anew)
        said.append(("", f"Access changed while it was reviewed: {anew} questions were asked anew, so the population "
                         "differs from the one at the opening."))  # fmt: skip
    before = tally.frozen_before.get("is_before_first_answer")
    if before is False:
        said.append(
            ("", "No checkpoint between the opening and the first answer proves that the questions were frozen.")
        )
    if before:
        said.append(("good", "A signed checkpoint proves that the population was frozen before the first answer."))
    if tally.erased:
        said.append(("", f"{grouped(tally.erased)} reasons or names were erased since; their events are proved."))
    return format_html_join("", '<p class="notice {}">{}</p>', said)


def _charts(pin: Pin, tally: Tally) -> SafeString:
    answers, undecided = tally.answers, tally.asked - sum(tally.answers.values())
    ended = [
        Part(sum(answers[each] for each in KEPT), "kept", "calm"),
        Part(sum(answers[each] for each in REDUCED), "reduced or dated", "good"),
        Part(sum(answers[each] for each in GONE), "taken away", "good"),
        Part(undecided, "not certified", "unknown"),
    ]
    known = [
        Part(tally.use["used"], "used", "calm"),
        Part(tally.use["unused"], "not used while watched", "warn"),
        Part(tally.use["not_observable"], "not observable", "unknown"),
    ]
    limit = [
        Part(tally.within_limit["yes"], f"within {pin.frozen['limit_days']} days", "good"),
        Part(tally.within_limit["no"], "later, or still open", "bad"),
        Part(tally.within_limit["not yet due"], "not yet due", "calm"),
        Part(tally.within_limit["not applicable"], "withdrawn or let rest", "unknown"),
    ]
    independence = [
        Part(tally.independence["independent"], "decided by somebody independent", "good"),
        Part(tally.independence["owner, access not privileged"], "decided by the owner, not privileged", "calm"),
        Part(tally.independence["policy"], "by the rules for silence", "warn"),
        Part(tally.independence["testimony"], "testimony", "calm"),
        Part(tally.independence["violated"], "not independent", "bad"),
        Part(tally.independence["nobody answered"], "nobody answered", "unknown"),
    ]
    return format_html(
        "<h2>In pictures</h2>{}{}{}{}{}",
        bar("How the questions ended", ended, "Each question once; all answers stand in decisions.csv."),
        bar("Was the use of the access known?", known, "Not observable is never taken for unused."),
        bar(
            "Who answered", independence, "Each answer that stands once, and each question without any; reviewers.csv."
        ),
        bar("The changes at the sources", _order_parts(tally.orders), "As of the checkpoint; remediation.csv."),
        bar("Proved in time", limit),
    )


def _order_parts(orders: Mapping[str, int]) -> list[Part]:
    return [
        Part(count, state.replace("_", " "), TONES.get(state, "bad"))
        for state, count in sorted(orders.items(), key=lambda each: (-each[1], each[0]))
    ]


def _sources(pin: Pin, tally: Tally) -> SafeString:
    rows = [
        (
            each["name"],
            "yes" if each["is_in_scope"] else f"left out ({each['questions_left_out']} questions)",
            each["freshness_at_opening"].replace("_", " "),
            _day(each["last_read_at"]),
            _or_unknown(each["records_reported"]),
            _or_unknown(each["objects_stored"]),
            _or_unknown(each["records_refused"]),
        )
        for each in tally.completeness["sources"][:SHOWN]
    ]
    head = ("Source", "Asked about", "At the opening", "Read", "Reported", "Stored", "Refused")
    questions = tally.completeness["questions"]
    whole = "all of them were asked" if questions["is_whole"] else "not all of them were asked"
    return format_html(
        "<h2>Where the population comes from</h2><p>At the opening {} questions were expected, and {}.</p>{}{}",
        grouped(questions["expected_at_opening"]),
        whole,
        table(head, rows),
        _rest(len(tally.completeness["sources"]), "sources.csv"),
    )


def _quality(pin: Pin, tally: Tally) -> SafeString:
    """How people answered, in the figures of quality.json; nobody is named here."""
    figures = tally.quality
    times, look = figures["time_per_decision"], figures["worth_a_look"]
    unknown = sum(times["not_assessable"].values())
    sentences = [
        f"{grouped(figures['answers'])} answers were given by {grouped(figures['people'])} people, "
        f"{grouped(figures['answers'] - figures['single'])} of them in bulk.",
        f"How long an answer took is known of {grouped(times['assessed'])}, and of {grouped(unknown)} it cannot be "
        "said.",
    ]
    if times["median_ms"] is not None:
        sentences.append(f"Half of those took less than {times['median_ms'] / 1000:.0f} seconds.")
    sentences.append(
        f"Of {grouped(look['of'])} people who answered enough to say anything, {grouped(look['people'])} answered in a "
        "way that is worth a look; quality.json says by which signals."
    )
    return format_html("<h2>How it was reviewed</h2><p>{}</p>", " ".join(sentences))


def _changes(pin: Pin, tally: Tally) -> SafeString:
    away = sum(tally.answers[each] for each in (*GONE, "scope_down", "rotate"))
    return format_html(
        "<h2>What was taken away</h2>{}<h2>Changes that are not finished</h2>{}",
        _shown(tally, "taken_away", ("Identity", "Access", "Answer", "By", "Reason"), away, "decisions.csv"),
        _shown(
            tally,
            "unfinished",
            ("Identity", "Access", "Change", "State", "What is known"),
            sum(count for state, count in tally.orders.items() if state not in SETTLED),
            "remediation.csv",
        ),
    )


SETTLED = ("verified", "recalled", "restored", "settled")


def _exceptions(pin: Pin, tally: Tally) -> SafeString:
    head = ("Kind", "Identity", "Access", "Accepted by", "Reason", "Until")
    return format_html(
        "<h2>Exceptions</h2>{}{}",
        _counts(tally.exceptions),
        _shown(tally, "exceptions", head, sum(tally.exceptions.values()), "exceptions.csv"),
    )


def _gaps(pin: Pin, tally: Tally) -> SafeString:
    head = ("Kind", "Source", "Identity", "Access", "Why")
    return format_html(
        "<h2>What this review cannot vouch for</h2>{}{}",
        _counts(tally.gaps),
        _shown(tally, "gaps", head, sum(tally.gaps.values()), "not_assessable.csv"),
    )


def _signed(pin: Pin, tally: Tally) -> SafeString:
    signed = tally.shown.get("signed", [])
    if not signed:
        return mark_safe(
            '<h2>Acknowledgement</h2><p class="notice">Nobody of management has acknowledged this result.</p>'
        )
    parts = [
        format_html(
            '<div class="notice {}"><p>{}</p><p class="small">Signed by <strong>{}</strong>, {}. {}</p></div>',
            "good" if current else "",
            clean(statement),
            clean(name),
            _day(at),
            "Over the state of this pack." if current else "Over an earlier state: changes at sources moved since.",
        )
        for name, at, statement, current in signed
    ]
    return format_html("<h2>Acknowledgement</h2>{}", format_html_join("", "{}", ((part,) for part in parts)))


def _trust(pin: Pin, tally: Tally) -> SafeString:
    return format_html(
        "<h2>Can this be trusted?</h2><p>{} events of the trail are in audit-log.jsonl, and one proof shows that all "
        "of them are under the checkpoint below. VERIFY.md says in three steps how to check that without us, and what "
        "that does not prove. Do not trust this page: trust the check.</p><pre>{}</pre>",
        grouped(len(tally.seqs)),
        pin.note,
    )


def _shown(tally: Tally, name: str, head: Sequence[str], total: int, file: str) -> SafeString:
    rows = tally.shown.get(name, [])
    if not rows:
        return mark_safe('<p class="muted">None.</p>')
    return format_html("{}{}", table(head, rows), _rest(total, file))


def _rest(total: int, file: str) -> SafeString:
    if total <= SHOWN:
        return mark_safe("")
    return format_html('<p class="muted small">The first {} of {}; all rows in {}.</p>', SHOWN, grouped(total), file)


def _counts(counted: Mapping[str, int]) -> SafeString:
    said = ", ".join(f"{kind}: {grouped(count)}" for kind, count in sorted(counted.items()))
    return format_html("<p>{}</p>", said) if said else mark_safe("")


def _kinds(tally: Tally) -> str:
    words = {"grant": "accesses", "credential": "credentials", "ownership": "owners of identities"}
    parts = [f"{grouped(count)} {words.get(kind, kind)}" for kind, count in sorted(tally.questions.items())]
    return ", ".join(parts) or "Nothing"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _day(text: Any) -> str:
    return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M} UTC" if text else "at no time"


def _or_unknown(value: int | None) -> str:
    return "not known" if value is None else grouped(value)
