from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0021_urgency_and_protests"),
    ]

    operations = [
        migrations.AlterField(
            model_name="reviewwatch",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("reappeared", "Access came back after it was taken away"),
                    ("changed", "Access or a tool changed since it was approved"),
                    ("privileged", "New privileged access"),
                    ("woke_up", "A dormant identity became active"),
                    ("owner_left", "The owner left"),
                    ("finding", "A finding of severity high or worse"),
                ],
                max_length=20,
            ),
        ),
    ]
