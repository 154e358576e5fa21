"""Install PGMQ's SQL, the message queue that Celery uses when no other broker is configured.

It is plain SQL in a schema of its own, so it needs neither an extension nor a superuser.
"""

from django.db import migrations
from pgmq.install import get_embedded_install_sql


def install(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        raise RuntimeError("Remit needs PostgreSQL 15 or newer.")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
        (already_there,) = cursor.fetchone()
        if not already_there:
            cursor.execute(get_embedded_install_sql())


class Migration(migrations.Migration):
    dependencies = []
    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
