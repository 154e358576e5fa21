"""Indexes for lists that a filter narrows to few rows; each is justified at its model."""

import django.contrib.postgres.indexes
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0006_known_permissions"),
        ("people", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("retired_at", None)), fields=["segment"], name="identities_grant_segment"
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["path"], name="identities_grant_path", opclasses=["jsonb_path_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="grantversion",
            index=models.Index(
                condition=models.Q(("seen_until", None), ("valid_until__isnull", False)),
                fields=["grant"],
                name="identities_version_ending",
            ),
        ),
        migrations.AddIndex(
            model_name="identity",
            index=models.Index(
                models.OrderBy(models.F("credential_count"), descending=True),
                models.F("id"),
                condition=models.Q(("retired_at", None)),
                name="identities_by_credentials",
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("retired_at__isnull", False)),
                fields=["label", "id"],
                name="identities_grant_retired",
            ),
        ),
        migrations.AddIndex(
            model_name="identity",
            index=models.Index(
                condition=models.Q(("retired_at__isnull", False)),
                fields=["name", "id"],
                name="identities_identity_retired",
            ),
        ),
    ]
