import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from identities.models.note_triggers import INSTALL_SWITCHES, REMOVE_SWITCHES


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0017_decisions"),
        ("people", "PEOPLE"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
    ]
