"""Trades are append-only: the database refuses changes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0001_initial"), ("matching", "0002_triggers")]
    operations = [
        migrations.RunSQL(
            """CREATE TRIGGER trade_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON marketdata_trade
            FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();""",
            "DROP TRIGGER trade_append_only ON marketdata_trade;",
        )
    ]
