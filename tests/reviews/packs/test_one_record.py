"""Writing a pack leaves exactly its record; pinning it before has the trail signed, which is recorded by itself."""

from typing import Any

from django.utils import timezone

from governance.audit.models import AuditEvent
from reviews import packs
from reviews.models import EvidencePack


def test_writing_a_pinned_pack_leaves_one_record(story: Any) -> None:
    pack = story.pack()
    EvidencePack.objects.filter(pk=pack.pk).update(state="waiting")
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    packs.build_pack(pack_id=pack.pk, now=timezone.now())
    after = AuditEvent.objects.exclude(pk__in=before)
    assert list(after.values_list("verb", flat=True)) == ["evidence_pack.built"]
    assert "@example.org" not in after.get().payload
