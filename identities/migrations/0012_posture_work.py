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
                ("people_seen_at", models.DateTimeField(blank=True, null=True)),
                ("sources", models.JSONField(default=dict)),
                ("pass_key", models.CharField(blank=True, default="", max_length=80)),
                ("pass_after", models.UUIDField(blank=True, null=True)),
                ("is_passing", models.BooleanField(default=True)),
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
                    models.UniqueConstraint(
                        fields=("source", "day"), name="identities_posture_measure_once_a_day"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AnalysedPermission",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("catalogue", models.CharField(max_length=60)),
                ("facts", models.JSONField()),
            ],
        ),
    ]
