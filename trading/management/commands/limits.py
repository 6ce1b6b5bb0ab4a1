"""`manage.py limits USER|default`: what an account, or every account without limits of its own, may do."""

from argparse import ArgumentParser
from typing import Any

import msgspec

from marketdata.models import Asset
from marketdata.scale import text_from_units
from matching.engine.messages import Limits, SetLimits
from risk.models import Account, Limit
from trading import control
from trading.management.control_command import ControlCommand, add_account, add_waiting

DEFAULT = "default"


class Command(ControlCommand):
    """Changes what the options say, keeps the rest, and prints the limits as they stand."""

    help = "Show the limits of a user's account or the default ones; with options, change them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose limits, and what changes."""
        parser.add_argument("user", help=f"a user, or {DEFAULT} for accounts without limits of their own")
        parser.add_argument("--max-open-orders", type=_count, metavar="N|none", help="open orders on one market")
        parser.add_argument("--orders-per-second", type=_count, metavar="N|none", help="orders placed or amended")
        parser.add_argument(
            "--max-position", action="append", default=[], metavar="ASSET=AMOUNT|ASSET=none", help="may be repeated"
        )
        parser.add_argument("--reset", action="store_true", help="back to the default limits")
        add_account(parser)
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file if anything changes, tell."""
        user = options["user"]
        account = None if user == DEFAULT else control.find_account(username=user, name=options["account"])
        account_id = None if account is None else account.id
        changes = {
            name: options[name] for name in ("max_open_orders", "orders_per_second") if options[name] is not None
        }
        positions = options["max_position"]
        if options["reset"]:
            if changes or positions:
                raise control.BadRequest("invalid_parameters", "--reset goes with no other change.")
            self.execute_command(SetLimits(account_id, None if account else Limits()))
        elif changes or positions:
            limits = msgspec.structs.replace(limits_of(account=account), **{k: _value(v) for k, v in changes.items()})
            limits = msgspec.structs.replace(limits, max_positions=_positions(limits.max_positions, positions))
            self.execute_command(SetLimits(account_id, limits))
        if not self.no_wait:
            self._show(account, user)

    def _show(self, account: Account | None, user: str) -> None:
        own = account is not None and Limit.objects.filter(account=account).exists()
        limits = limits_of(account=account)
        self.say(
            f"Limits of {user}{f' ({account.name})' if account else ''}{'' if own or not account else ': default'}"
        )
        self.say(f"  open orders on one market  {_shown(limits.max_open_orders)}")
        self.say(f"  orders per second          {_shown(limits.orders_per_second)}")
        for asset in Asset.objects.filter(id__in=limits.max_positions).order_by("id"):
            amount = text_from_units(limits.max_positions[asset.id], asset.scale, 0)
            self.say(f"  position                   {amount} {asset.symbol}")


def limits_of(*, account: Account | None) -> Limits:
    """The limits in force for an account, or the default ones."""
    rows = Limit.objects.filter(account=None)
    if account is not None:
        rows = rows | Limit.objects.filter(account=account)
    row = rows.order_by("account_id").first()  # NULL comes last
    return Limits() if row is None else msgspec.json.decode(row.limits, type=Limits)


def _count(text: str) -> int | str:
    return text if text == "none" else int(text)


def _value(count: int | str) -> int | None:
    return None if isinstance(count, str) else count


def _shown(count: int | None) -> str:
    return "no limit" if count is None else f"{count:,}"


def _positions(old: dict[int, int], changes: list[str]) -> dict[int, int]:
    positions = dict(old)
    for change in changes:
        symbol, separator, text = change.partition("=")
        if not separator:
            raise control.BadRequest("invalid_parameters", f"{change!r}: expected ASSET=AMOUNT or ASSET=none.")
        asset = control.find_asset(symbol=symbol)
        if text == "none":
            positions.pop(asset.id, None)
        else:
            positions[asset.id] = control.units(text=text, scale=asset.scale)
    return positions
