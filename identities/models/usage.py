"""What was seen in use, and what could be seen at all."""

from django.db import models

from identities.models.grant import Grant, GrantVersion
from identities.models.identity import Identity
from identities.models.source import Source


class Usage(models.Model):
    """An action of an identity on a resource that a log showed. No row means unused only inside a UsageWindow.

    `counted_from`: the source counts calls since then, and tells of none when it was. `last_seen_at` is then the first
    reading that found the count as it is.
    """

    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="usages")
    action = models.CharField(max_length=256)
    resource = models.CharField(max_length=1024)
    first_seen_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField()
    count = models.BigIntegerField(default=1)
    counted_from = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["identity", "action", "resource"], name="identities_usage_once"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.resource}"


class UsageWindow(models.Model):
    """What one log could observe in an interval: `observable` is `{"actions": […], "resources": […]}` patterns.

    `identity` is null when the window holds for every identity of the source. Outside every window use is not
    observable, and an unused right is not proposed for removal.
    """

    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="usage_windows")
    identity = models.ForeignKey(
        Identity, null=True, blank=True, on_delete=models.RESTRICT, related_name="usage_windows"
    )
    log = models.CharField(max_length=120)
    observed_from = models.DateTimeField()
    observed_until = models.DateTimeField()
    observable = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "identity", "log"], name="identities_window_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.log} {self.observed_from}–{self.observed_until}"


class GrantUse(models.Model):
    """What logs say of the use of one grant, as it was last worked out for the content that `version` names.

    `used_before` is the midnight, UTC, after the day of its last use; null where no use was seen. `quiet_since` is
    since when logs that would have shown any use of it have shown none; null where some use would go unseen. No row: no
    log shows anything of it. A conclusion, not a record: posture works it out again when a log shows something new
    (`identities.posture.grant_use`), and `identities.selectors.unused` asks whether it still holds, for which
    `identity` and `source` say whose use was looked at.
    """

    grant = models.OneToOneField(Grant, primary_key=True, on_delete=models.CASCADE, related_name="use")
    version = models.ForeignKey(GrantVersion, on_delete=models.CASCADE, related_name="+", db_index=False)
    identity = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="+", db_index=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="+", db_index=False)
    used_before = models.DateTimeField(null=True, blank=True)
    quiet_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used_before__isnull=False) | models.Q(quiet_since__isnull=False),
                name="identities_grant_use_says_something",
            ),
        ]

    def __str__(self) -> str:
        return f"use of {self.grant_id}"
