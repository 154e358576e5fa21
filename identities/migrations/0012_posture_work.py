import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0011_posture"),
    ]

    operations = [
        migrations.CreateModel(
            name="PostureCursor",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("feed_number", models.BigIntegerField(default=0)),
                ("people", models.CharField(blank=True, default="", max_length=32)),
                ("sources", models.JSONField(default=dict)),
                ("pass_key", models.CharField(blank=True, default="", max_length=80)),
                ("pass_after", models.UUIDField(blank=True, null=True)),
                ("is_passing", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="identities_posture_one_cursor")
                ],
            },
        ),
        migrations.CreateModel(
            name="PostureMark",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "identity",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="identities.identity",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PostureMeasure",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("identities", models.IntegerField(default=0)),
                ("proven_contained", models.IntegerField(default=0)),
                ("unproven_contained", models.IntegerField(default=0)),
                ("proven_broad", models.IntegerField(default=0)),
                ("unproven_broad", models.IntegerField(default=0)),
                ("unmeasured", models.IntegerField(default=0)),
                ("assurance_known", models.IntegerField(default=0)),
                ("exposure_known", models.IntegerField(default=0)),
                ("exposure_exact", models.IntegerField(default=0)),
                ("excess", models.IntegerField(default=0)),
                ("no_excess", models.IntegerField(default=0)),
                (
                    "source",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="posture_measures",
                        to="identities.source",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("source", "day"), name="identities_posture_measure_once_a_day")
                ],
            },
        ),
        migrations.CreateModel(
            name="AnalysedPermission",
            fields=[
                ("digest", models.BinaryField(editable=False, max_length=32, primary_key=True, serialize=False)),
                ("catalogue", models.CharField(max_length=60)),
                ("facts", models.JSONField()),
            ],
        ),
        migrations.AddField(
            model_name="identityposture",
            name="hops",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
        ),
        migrations.AddIndex(
            model_name="identityposture",
            index=django.contrib.postgres.indexes.GinIndex(fields=["hops"], name="identities_posture_hops"),
        ),
        migrations.AddIndex(
            model_name="credential",
            index=models.Index(
                condition=models.Q(("retired_at", None), models.Q(("fingerprint", ""), _negated=True)),
                fields=["fingerprint"],
                name="identities_credential_same",
            ),
        ),
        migrations.AddIndex(
            model_name="trustrelation",
            index=models.Index(
                condition=models.Q(("retired_at", None)), fields=["issuer"], name="identities_trust_issuer"
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("removal_expected_at__isnull", False)),
                fields=["identity"],
                name="identities_grant_removing",
            ),
        ),
    ]
