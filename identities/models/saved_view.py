"""Saved views: a filter, an order and a choice of columns under a name."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class SavedViewPage(models.TextChoices):
    IDENTITIES = "identities", "Identities"
    ACCESS = "access", "Access"
    FINDINGS = "findings", "Findings"


class SavedView(models.Model):
    """What a person wants to look at again. `filter` is the text that the address bar, the API and campaigns use.

    A shared view is seen by everybody who may open the page, and changed by its owner alone; it never widens what
    anybody may see.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    page = models.CharField(max_length=20, choices=SavedViewPage.choices)
    name = models.CharField(max_length=80)
    filter = models.TextField(blank=True, default="")
    sort = models.CharField(max_length=40, blank=True, default="")
    columns = models.CharField(max_length=300, blank=True, default="")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="identities_saved_view_named"),
        ]

    def __str__(self) -> str:
        return self.name
