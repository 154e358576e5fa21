"""A grant that reaches several segments is found under each of them."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


def _further_segments() -> models.Field:
    each = models.CharField(max_length=20)
    return django.contrib.postgres.fields.ArrayField(
        base_field=each, blank=True, db_default=[], default=list, size=None
    )


class Migration(migrations.Migration):
    dependencies = [("identities", "0021_room_for_notes")]

    operations = [
        migrations.AddField(model_name="grant", name="further_segments", field=_further_segments()),
        migrations.AddField(model_name="grantversion", name="further_segments", field=_further_segments()),
        migrations.AddIndex(
            model_name="grant",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("retired_at", None), models.Q(("further_segments", []), _negated=True)),
                fields=["further_segments"],
                name="identities_grant_further",
            ),
        ),
    ]
