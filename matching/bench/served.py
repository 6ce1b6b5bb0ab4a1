"""What the benchmarks over HTTP ask of the database behind the server: a floor to trade on, and proof of what was done.

These run as parts (`manage.py bench_part`), beside the running server.
"""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from matching import inbox
from matching.bench import flow
from matching.bench.commit import make_users
from matching.bench.requests import Key, OpenFloor
from matching.engine.messages import AnyCommand, AnyEvent
from risk.models import Account

ANSWER_SECONDS_MAX = 120
DATABASE_URL_FILE = "database.url"


def hold_database() -> None:
    """Migrate, write the database's URL beside the data, and keep it running until standard input ends."""
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    database = settings.DATABASES["default"]
    where = urlencode({"host": database["HOST"], "port": database["PORT"]})
    url = f"postgresql://{database['USER']}@/{database['NAME']}?{where}"
    connection.close()
    path = Path(settings.DATA_DIR) / DATABASE_URL_FILE
    path.with_suffix(".new").write_text(url)
    path.with_suffix(".new").rename(path)
    sys.stdin.read()


def open_floor(*, accounts: int, resting: int) -> OpenFloor:
    """Open the market and the accounts on the running server, with resting orders and an API key each."""
    floor = flow.build(execute=_execute, user_ids=make_users(accounts))
    _execute(flow.commands(floor, flow.resting_orders(floor, count=resting)))
    return OpenFloor(floor, [_key(account_id) for account_id in (*floor.buyers, *floor.sellers)])


def count_orders(*, name: str) -> tuple[int, int, int]:
    """Of the flow `name`: orders placed, of these rejected, and trades that one of them took."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(DISTINCT o.id), count(DISTINCT o.id) FILTER (WHERE status = 'rejected'), count(t.id)
            FROM orders_order o LEFT JOIN marketdata_trade t ON t.taker_order_id = o.id
            WHERE client_order_id LIKE %s""",
            [name + "-%"],
        )
        placed, rejected, trades = cursor.fetchone()
    return placed, rejected, trades


def _execute(commands: Sequence[AnyCommand]) -> list[list[AnyEvent]]:
    """File commands and wait for all of them."""
    ids = inbox.file_commands(commands=list(commands), actor="bench")
    for inbox_id in ids[-1:]:
        inbox.wait_for(inbox_id=inbox_id, timeout=ANSWER_SECONDS_MAX)
    return [inbox.wait_for(inbox_id=inbox_id, timeout=ANSWER_SECONDS_MAX).events for inbox_id in ids]


def _key(account_id: int) -> Key:
    account = Account.objects.get(id=account_id)
    assert account.user is not None
    output = io.StringIO()
    call_command("create_api_key", account.user.username, "--scopes", "trade", "--json", stdout=output)
    told = json.loads(output.getvalue())
    return Key(account_id, told["key"], told["secret"])
