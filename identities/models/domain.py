"""Decision domains: name-spaced sets of sources that decisions are asked about."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from identities.models.source import Source


class DecisionDomain(models.Model):
    """A set of sources under a path of its own: names of subjects and resources mean something inside it alone.

    Without any, all sources answer together under `/access/v1/`: the default domain, which has no row.

    `is_apart`: its sources do not answer in the default domain, because the same names mean somebody else there.
    `subject_types`: what callers may call subjects, to the kinds of identities that are meant (none: every kind).
    `registered_types`: of these types only registered resources exist. `request_properties`: attributes of subject and
    resource that a request may supply where the inventory says nothing (`resource.ownerID`, `resource.*`); nothing that
    the inventory says is ever replaced. A domain is switched off, never deleted: the decision log refers to it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    sources = models.ManyToManyField(Source, related_name="decision_domains")
    is_apart = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)
    subject_types = models.JSONField(default=dict)
    registered_types = ArrayField(models.CharField(max_length=120), default=list)
    request_properties = ArrayField(models.CharField(max_length=200), default=list)
    created_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # The slug is part of an address, where it would be taken for something else.
            models.CheckConstraint(condition=~Q(slug=""), name="identities_domain_has_slug"),
        ]

    def __str__(self) -> str:
        return self.name
