"""What has changed since a process last asked is told by a function of the database, whose plan is kept."""

from django.db import migrations

from identities.models.decision_news import INSTALL_NEWS, REMOVE_NEWS


class Migration(migrations.Migration):
    dependencies = [("identities", "0018_gateway")]
    operations = [migrations.RunSQL(list(INSTALL_NEWS), list(REMOVE_NEWS))]
