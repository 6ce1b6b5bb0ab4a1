"""Candles, those of the trades there are already, and the row type in which the worker sends them."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import marketdata.fields

ROW_TYPE = """
CREATE TYPE bourse_candle_row AS (
    market_id int, open numeric, high numeric, low numeric, close numeric, volume numeric, quote_volume numeric,
    trades int, taker_buy_volume numeric);
ALTER TABLE marketdata_candle SET (fillfactor = 70);
"""

UNDO_ROW_TYPE = "DROP TYPE bourse_candle_row;"

SECONDS_OF_TRADES = """
INSERT INTO marketdata_candle (market_id, seconds, open_time, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume)
SELECT market_id, 1, date_trunc('second', executed_at), (array_agg(price ORDER BY id))[1], max(price), min(price),
    (array_agg(price ORDER BY id DESC))[1], sum(quantity), sum(notional), count(*),
    coalesce(sum(quantity) FILTER (WHERE taker_side = 'buy'), 0)
FROM marketdata_trade GROUP BY market_id, date_trunc('second', executed_at);
"""

LARGER_CANDLES = """
INSERT INTO marketdata_candle (market_id, seconds, open_time, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume)
SELECT market_id, {seconds}, date_bin('{seconds} s', open_time, 'epoch'), (array_agg(open ORDER BY open_time))[1],
    max(high), min(low), (array_agg(close ORDER BY open_time DESC))[1], sum(volume), sum(quote_volume), sum(trades),
    sum(taker_buy_volume)
FROM marketdata_candle WHERE seconds = {source}
GROUP BY market_id, date_bin('{seconds} s', open_time, 'epoch');
"""

CANDLES_OF_TRADES = "".join(
    [
        SECONDS_OF_TRADES,
        *(
            LARGER_CANDLES.format(seconds=seconds, source=source)
            for source, seconds in ((1, 60), (60, 900), (900, 3600), (3600, 86400))
        ),
    ]
)


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0002_append_only")]
    operations = [
        migrations.CreateModel(
            name="Candle",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "market_id",
                        "seconds",
                        "open_time",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("seconds", models.IntegerField(help_text="1, 60, 900, 3600 or 86400.")),
                ("open_time", models.DateTimeField()),
                ("open", marketdata.fields.AmountField(decimal_places=18, max_digits=40)),
                ("high", marketdata.fields.AmountField(decimal_places=18, max_digits=40)),
                ("low", marketdata.fields.AmountField(decimal_places=18, max_digits=40)),
                ("close", marketdata.fields.AmountField(decimal_places=18, max_digits=40)),
                ("volume", marketdata.fields.AmountField(decimal_places=18, help_text="Base asset.", max_digits=40)),
                ("quote_volume", marketdata.fields.AmountField(decimal_places=18, max_digits=40)),
                ("trades", models.IntegerField()),
                (
                    "taker_buy_volume",
                    marketdata.fields.AmountField(
                        decimal_places=18, help_text="Of the volume, what takers bought.", max_digits=40
                    ),
                ),
                (
                    "market",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="marketdata.market",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(low__gt=0, low__lte=F("open"), high__gte=F("open"))
                        & Q(low__lte=F("close"), high__gte=F("close")),
                        name="candle_prices_in_order",
                    ),
                    models.CheckConstraint(
                        condition=Q(trades__gt=0, volume__gt=0, taker_buy_volume__range=(0, F("volume"))),
                        name="candle_of_trades",
                    ),
                ],
            },
        ),
        migrations.RunSQL(ROW_TYPE, UNDO_ROW_TYPE),
        migrations.RunSQL(CANDLES_OF_TRADES, migrations.RunSQL.noop),
    ]
