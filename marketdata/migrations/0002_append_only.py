"""Trades are append-only: the database refuses changes. Also the row type in which the worker sends them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0001_initial"), ("matching", "0002_triggers")]
    operations = [
        migrations.RunSQL(
            """CREATE TRIGGER trade_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON marketdata_trade
            FOR EACH STATEMENT EXECUTE FUNCTION bourse_refuse_change();""",
            "DROP TRIGGER trade_append_only ON marketdata_trade;",
        ),
        migrations.RunSQL(
            """CREATE TYPE bourse_trade_row AS (
                id bigint, sequence bigint, market_id int, price numeric, quantity numeric, notional numeric,
                taker_side text, maker_order_id bigint, taker_order_id bigint, maker_account_id int,
                taker_account_id int, maker_fee numeric, taker_fee numeric);""",
            "DROP TYPE bourse_trade_row;",
        ),
    ]
