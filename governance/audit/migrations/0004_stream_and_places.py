"""The decision log with its guards, and the further places that checkpoints are sent to.

See governance/audit/stream_triggers.py and governance/audit/places.py.
"""

from django.db import migrations, models

from governance.audit import triggers


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_seal_once_per_transaction")]

    operations = [
        migrations.RunSQL(triggers.install_sql(), migrations.RunSQL.noop),
        migrations.CreateModel(
            name="AuditPlace",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("origin", models.CharField(default="", max_length=200)),
                ("size", models.BigIntegerField(default=0)),
                ("kept_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(default="", max_length=300)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_try_at", models.DateTimeField()),
            ],
        ),
    ]
