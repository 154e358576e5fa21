from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0008_request_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="savedview",
            name="version",
            field=models.PositiveIntegerField(default=1),
        ),
    ]
