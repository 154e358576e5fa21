"""What is handed to an auditor: who signed a review's result, and the packs of evidence made of it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from reviews.models.campaign import Campaign
from reviews.models.order import Order


class Acknowledgement(models.Model):
    """A named person of management says that they know the final state of a review (PCI DSS 4.0.1, 7.2.5.1).

    Never changed afterwards. `state_digest` is the sha256 over the state that was acknowledged
    (`reviews.campaigns.acknowledging.digest_of_state`) and `numbers` are its counts. `signed_name` is the name as it
    was signed. When an order moves later, this is no longer an acknowledgement of what is so: another one is needed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.RESTRICT, related_name="acknowledgements")
    signed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    signed_name = models.CharField(max_length=254)
    statement = models.TextField()
    state_digest = models.CharField(max_length=64)
    numbers = models.JSONField(default=dict)
    auth_method = models.CharField(max_length=40, blank=True, default="")
    signed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["campaign", "-signed_at"], name="reviews_acknowledged_last")]

    def __str__(self) -> str:
        return f"{self.signed_by_id} on {self.campaign_id}"


class PackState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    BUILDING = "building", "Being built"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class EvidencePack(models.Model):
    """The evidence of one review as one file, pinned to one signed checkpoint of the trail.

    `size`, `origin`, `root` and `note` are the checkpoint, once pinned; `frozen` and the rows of PackedOrder keep
    everything else that can change later, as it was at that size. From then on the file follows from the pin alone:
    built again, it is the same bytes. Whoever builds holds the row by `leased_until`; a builder that dies loses its
    lease and nothing else. `progress` is `{"file", "done", "of"}`. `problem` is a sentence for people.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.RESTRICT, related_name="packs")
    requested_by = models.JSONField()
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=PackState.choices, default=PackState.WAITING)
    origin = models.CharField(max_length=200, blank=True, default="")
    size = models.BigIntegerField(null=True, blank=True)
    root = models.BinaryField(max_length=32, null=True, blank=True)
    note = models.TextField(blank=True, default="")
    pinned_at = models.DateTimeField(null=True, blank=True)
    frozen = models.JSONField(default=dict)
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    progress = models.JSONField(default=dict)
    problem = models.TextField(blank=True, default="")
    ready_at = models.DateTimeField(null=True, blank=True)
    file_size = models.BigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, default="")
    manifest_sha256 = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(size__isnull=True, root__isnull=True, note="")
                | Q(size__isnull=False, root__isnull=False) & ~Q(note=""),
                name="reviews_pack_pinned_whole",
            ),
            # A file that nobody can name the hash of would be no evidence.
            models.CheckConstraint(
                condition=~Q(state="ready") | ~Q(sha256="") & Q(size__isnull=False, file_size__isnull=False),
                name="reviews_pack_ready_has_hash",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "-requested_at"], name="reviews_pack_of_campaign"),
            models.Index(
                fields=["requested_at"], condition=Q(state__in=["waiting", "building"]), name="reviews_pack_to_build"
            ),
        ]

    def __str__(self) -> str:
        return f"evidence of {self.campaign_id} at {self.size}"


class PackedOrder(models.Model):
    """An order as it was when a pack was pinned: the part of it that moves on (`facts`). Written once."""

    pack = models.ForeignKey(EvidencePack, on_delete=models.RESTRICT, related_name="orders")
    order = models.ForeignKey(Order, on_delete=models.RESTRICT, related_name="+")
    facts = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pack", "order"], name="reviews_packed_order_once")]

    def __str__(self) -> str:
        return f"{self.order_id} in {self.pack_id}"
