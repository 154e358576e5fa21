"""The use of each single grant, as far as logs show it; everything is looked at once for it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identities", "0023_fill_further_segments")]

    operations = [
        migrations.CreateModel(
            name="GrantUse",
            fields=[
                (
                    "grant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="identities.grant",
                    ),
                ),
                ("used_before", models.DateTimeField(blank=True, null=True)),
                ("quiet_since", models.DateTimeField(blank=True, null=True)),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="identities.grantversion",
                    ),
                ),
                (
                    "identity",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="identities.identity",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="identities.source",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("used_before__isnull", False), ("quiet_since__isnull", False), _connector="OR"
                        ),
                        name="identities_grant_use_says_something",
                    )
                ],
            },
        ),
        # Lists ask of single identities whether something waits to be worked out.
        migrations.AlterField(
            model_name="posturemark",
            name="identity",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identities.identity"
            ),
        ),
        # A pass over everything begins where the key is another.
        migrations.RunSQL("UPDATE identities_posturecursor SET pass_key = ''", migrations.RunSQL.noop),
    ]
