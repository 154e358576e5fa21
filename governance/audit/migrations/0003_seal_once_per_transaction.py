"""One firing of the seal per transaction, and indexes that give each list of the trail its order.

See governance/audit/triggers.py. `ordinal` (order of writing) settles ties of time: the events of a bulk decision all
carry the same time, and a page must be able to begin in the middle of them.
"""

from django.db import migrations

from governance.audit import triggers


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_guards")]

    operations = [
        migrations.RunSQL(triggers.install_sql(), migrations.RunSQL.noop),
        migrations.RemoveIndex("auditevent", "audit_event_time"),
        migrations.RemoveIndex("auditevent", "audit_event_subject"),
        migrations.RemoveIndex("auditevent", "audit_event_actor"),
        migrations.RemoveIndex("auditevent", "audit_event_verb"),
        migrations.RunSQL(triggers.INDEXES, triggers.REMOVE_INDEXES),
    ]
