import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import identities.models.decision
from identities.models.note_triggers import INSTALL, REMOVE

FIRST = {
    "staleness": {"seconds": None},
    "approval": {"required_for": "none"},
    "assurance": {"least": 0, "least_privileged": 0},
    "trust": {"issuer": "when_named"},
    "delegation": {"unknown": "not_assessed"},
    "log": {"permits": "aggregated", "denies": "each", "one_in": 100},
}


def begin(apps, schema_editor):
    policy = apps.get_model("identities", "DecisionPolicy")
    policy.objects.get_or_create(number=1, defaults={"document": FIRST, "reason": "What Remit begins with."})


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0016_decision_domains"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("grant", "withheld_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "grant",
            "withheld_why",
            models.CharField(
                blank=True,
                choices=[
                    ("withheld", "A review took it away"),
                    ("approval_lapsed", "Its approval ended"),
                    ("tool_drifted", "A tool changed after it was approved"),
                ],
                db_default="",
                default="",
                max_length=20,
            ),
        ),
        migrations.AddField("grant", "narrowed_to", models.JSONField(blank=True, null=True)),
        migrations.AddField("source", "enforced_since", models.DateTimeField(blank=True, null=True)),
        migrations.CreateModel(
            name="DecisionPolicy",
            fields=[
                ("number", models.PositiveIntegerField(primary_key=True, serialize=False)),
                ("document", models.JSONField()),
                ("reason", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DecisionNote",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("xid", models.BigIntegerField(db_default=identities.models.decision._WritingTransaction())),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("identity", "One identity"),
                            ("names", "Which identity a name means"),
                            ("source", "Every identity of one source"),
                            ("shared", "Sources, policy and switches"),
                            ("everything", "Everything"),
                        ],
                        max_length=10,
                    ),
                ),
                ("object_id", models.UUIDField(blank=True, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["xid"], name="identities_note_by_xid")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("object_id__isnull", False),
                            ("scope__in", ["identity", "source"]),
                        )
                        | models.Q(("object_id", None), ("scope__in", ["names", "shared", "everything"])),
                        name="identities_note_names_object",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DecisionMark",
            fields=[
                ("at", models.DateTimeField(primary_key=True, serialize=False)),
                ("horizon", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="DecisionTally",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("identity_id", models.UUIDField()),
                ("action", models.CharField(max_length=256)),
                ("resource", models.CharField(max_length=1024)),
                ("count", models.PositiveIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(begin, migrations.RunPython.noop, elidable=False),
        migrations.RunSQL(list(INSTALL), list(REMOVE)),
    ]
