"""The row type in which the worker sends traded volumes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("fees", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "CREATE TYPE bourse_volume_row AS (account_id int, day int, volume numeric);"
            "ALTER TABLE fees_dailyvolume SET (fillfactor = 50);",
            "ALTER TABLE fees_dailyvolume RESET (fillfactor); DROP TYPE bourse_volume_row;",
        )
    ]
