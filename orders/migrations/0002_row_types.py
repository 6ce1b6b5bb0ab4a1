"""The row types in which the worker sends orders, and room on each page for orders to change where they are."""

from django.db import migrations

ROW_TYPES = """
CREATE TYPE bourse_order_row AS (
    id bigint, account_id int, market_id int, client_order_id text, side text, order_type text, time_in_force text,
    post_only bool, self_trade_prevention text, quote_amount numeric, maker_rate int, taker_rate int,
    request_digest bigint, price numeric, quantity numeric, filled_quantity numeric, filled_notional numeric,
    remaining numeric, prevented_quantity numeric, held numeric, status text, reason text, priority bigint);
CREATE TYPE bourse_order_update_row AS (
    id bigint, price numeric, quantity numeric, filled_quantity numeric, filled_notional numeric,
    remaining numeric, prevented_quantity numeric, held numeric, status text, reason text, priority bigint);
ALTER TABLE orders_order SET (fillfactor = 85);
"""

UNDO = """
ALTER TABLE orders_order RESET (fillfactor);
DROP TYPE bourse_order_update_row;
DROP TYPE bourse_order_row;
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]
    operations = [migrations.RunSQL(ROW_TYPES, UNDO)]
