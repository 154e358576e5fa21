"""Legal holds, archives and the retirement of old events, with their guards; see governance/audit/retirement_triggers.py.

The database's side is made by `install_sql`, which every migration of the trail runs as this version knows it.
"""

import uuid

from django.db import migrations, models

from governance.audit import triggers

HELD = [("campaign", "A review"), ("person", "A person"), ("identity", "An identity"), ("period", "A time")]


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_seal_once_per_transaction")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(triggers.install_sql(), migrations.RunSQL.noop)],
            state_operations=[
                migrations.CreateModel(
                    name="LegalHold",
                    fields=[
                        ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                        ("kind", models.CharField(choices=HELD, max_length=20)),
                        ("subject_id", models.CharField(blank=True, default="", max_length=200)),
                        ("label", models.CharField(default="", max_length=200)),
                        ("since", models.DateTimeField(null=True)),
                        ("until", models.DateTimeField(null=True)),
                        ("reason", models.CharField(max_length=1000)),
                        ("placed_by", models.CharField(max_length=200)),
                        ("placed_at", models.DateTimeField()),
                        ("lifted_by", models.CharField(default="", max_length=200)),
                        ("lifted_at", models.DateTimeField(null=True)),
                        ("lifted_reason", models.CharField(default="", max_length=1000)),
                    ],
                ),
                migrations.CreateModel(
                    name="AuditArchive",
                    fields=[
                        ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                        ("first_seq", models.BigIntegerField()),
                        ("last_seq", models.BigIntegerField()),
                        ("leaves", models.BinaryField()),
                        ("origin", models.CharField(max_length=200)),
                        ("checkpoint_size", models.BigIntegerField()),
                        ("file", models.CharField(max_length=300)),
                        ("sha256", models.BinaryField()),
                        ("size", models.BigIntegerField()),
                        ("verified_at", models.DateTimeField()),
                    ],
                ),
                migrations.CreateModel(
                    name="AuditRetirement",
                    fields=[
                        ("archive_id", models.UUIDField(primary_key=True, serialize=False)),
                        ("last_seq", models.BigIntegerField()),
                        ("retired_at", models.DateTimeField()),
                    ],
                ),
            ],
        ),
    ]
