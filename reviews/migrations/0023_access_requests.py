import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import reviews.states


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0017_decisions"),
        ("reviews", "0022_watch_findings"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="reviewmail",
            name="kind",
            field=models.CharField(
                choices=[
                    ("invitation", "Questions are waiting"),
                    ("reminder", "The deadline is near"),
                    ("escalation", "Questions stayed unanswered"),
                    ("digest", "What waits in all reviews"),
                    ("brake", "Orders are held"),
                    ("access", "Access is asked for, or was answered"),
                ],
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="AccessRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("permission", models.JSONField()),
                ("is_privileged", models.BooleanField()),
                ("reason", models.TextField()),
                ("until", models.DateTimeField()),
                ("is_emergency", models.BooleanField(default=False)),
                ("client", models.CharField(blank=True, default="", max_length=80)),
                ("asked_at", models.DateTimeField()),
                ("answer_by", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            (
                                reviews.states.AccessRequestState["PENDING"],
                                reviews.states.AccessRequestState["PENDING"],
                            ),
                            (
                                reviews.states.AccessRequestState["GRANTED"],
                                reviews.states.AccessRequestState["GRANTED"],
                            ),
                            (reviews.states.AccessRequestState["DENIED"], reviews.states.AccessRequestState["DENIED"]),
                            (
                                reviews.states.AccessRequestState["CANCELLED"],
                                reviews.states.AccessRequestState["CANCELLED"],
                            ),
                            (reviews.states.AccessRequestState["LAPSED"], reviews.states.AccessRequestState["LAPSED"]),
                            (reviews.states.AccessRequestState["ENDED"], reviews.states.AccessRequestState["ENDED"]),
                        ],
                        max_length=10,
                    ),
                ),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("answer_reason", models.TextField(blank=True, default="")),
                ("granted_until", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_early", models.TextField(blank=True, default="")),
                ("verified_at", models.DateTimeField(blank=True, null=True)),
                ("still_effective", models.TextField(blank=True, default="")),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("was_justified", models.BooleanField(blank=True, null=True)),
                ("look_note", models.TextField(blank=True, default="")),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "answered_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "grant",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="access_request",
                        to="identities.grant",
                    ),
                ),
                (
                    "identity",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="access_requests",
                        to="identities.identity",
                    ),
                ),
                (
                    "looked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.OrderBy(models.F("asked_at"), descending=True),
                        models.OrderBy(models.F("id"), descending=True),
                        name="reviews_access_request_newest",
                    ),
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["answer_by"],
                        name="reviews_access_request_open",
                    ),
                    models.Index(
                        condition=models.Q(("state", "granted")),
                        fields=["granted_until"],
                        name="reviews_access_request_ends",
                    ),
                    models.Index(
                        condition=models.Q(("state", "ended"), ("verified_at", None)),
                        fields=["ended_at"],
                        name="reviews_access_request_check",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_emergency", True),
                            ("answered_by", None),
                            models.Q(("answered_by", models.F("asked_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="reviews_access_request_other_answers",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("looked_by", None),
                            models.Q(("looked_by", models.F("asked_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="reviews_access_request_other_looks",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "granted"), _negated=True),
                            models.Q(("ended_at", None), ("grant__isnull", False), ("granted_until__isnull", False)),
                            _connector="OR",
                        ),
                        name="reviews_access_request_has_an_end",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("granted_until", None), ("granted_until__lte", models.F("until")), _connector="OR"
                        ),
                        name="reviews_access_request_never_longer",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["pending", "granted", "denied", "cancelled", "lapsed", "ended"])
                        ),
                        name="reviews_access_request_state_known",
                    ),
                ],
            },
        ),
    ]
