"""Requests of programs that must not be carried out twice."""

from django.db import models


class RequestKey(models.Model):
    """An Idempotency-Key of a program, with what it stands for: the request, and the answer that it got.

    Written in the transaction of the request itself, so there is a key exactly when the request was carried out.
    """

    client = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    answer = models.JSONField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["client", "key"], name="identities_request_key_once"),
        ]

    def __str__(self) -> str:
        return self.key
