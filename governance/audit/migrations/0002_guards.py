"""The trail's guards and its seal; see governance/audit/triggers.py."""

from django.db import migrations

from governance.audit import triggers


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(triggers.COLUMNS, triggers.REMOVE_COLUMNS),
        migrations.RunSQL(triggers.install_sql(), triggers.remove_sql()),
    ]
