"""`manage.py fees`: the fee rules, promotions, and what the fee books say (trading/books/fee_reports.py)."""

from argparse import ArgumentParser
from typing import Any

from fees.models import FeeOverride, FeeTier
from fees.schedule import DEFAULT_TIERS
from marketdata.models import Market
from marketdata.scale import text_from_units
from marketdata.shapes import amount_text
from matching.engine import messages
from matching.engine.messages import SetFeeOverride, SetFeeTiers
from risk.models import Account
from trading import control
from trading.books import fee_reports
from trading.management.control_command import ControlCommand, add_account, add_waiting


class Command(ControlCommand):
    """Prints the fee rules as they stand after the command."""

    help = "Show or change the fee tiers by 30-day volume, own rates and promotions; reports from the fee books."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each table."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("show", help="all fee rules in force")
        tiers = actions.add_parser("tiers", help="replace the tier table")
        tiers.add_argument(
            "tiers",
            nargs="+",
            metavar="VOLUME:MAKER:TAKER",
            help="rates in percent from a 30-day volume on: 0:0.10:0.15",
        )
        tiers.add_argument(
            "--valuation", metavar="ASSET", help="what volumes are counted in; it cannot be changed later"
        )
        add_waiting(tiers)
        override = actions.add_parser("override", help="rates for a user, a market, or a user on a market")
        override.add_argument("--user")
        override.add_argument("--market", metavar="SYMBOL")
        override.add_argument("--maker", metavar="PERCENT", help="negative: a rebate")
        override.add_argument("--taker", metavar="PERCENT")
        override.add_argument("--remove", action="store_true", help="back to the tiers")
        add_account(override)
        add_waiting(override)
        fee_reports.add_arguments(actions)

    def run(self, **options: Any) -> None:
        """The subcommand, then the rules."""
        if options["action"] in fee_reports.ACTIONS:
            fee_reports.ACTIONS[options["action"]](options, self.say)
            return
        if options["action"] == "tiers":
            self._set_tiers(options["tiers"], options["valuation"])
        elif options["action"] == "override":
            self._set_override(**options)
        if not self.no_wait:
            self._show()

    def _set_tiers(self, texts: list[str], valuation: str | None) -> None:
        asset = None if valuation is None else control.find_asset(symbol=valuation)
        tiers = []
        for text in texts:
            parts = text.split(":")
            if len(parts) != 3:
                raise control.BadRequest("invalid_parameters", f"{text!r}: expected VOLUME:MAKER:TAKER.")
            volume = control.units(text=parts[0], scale=asset.scale if asset else 0)
            rates = [control.millionths(percent=part) for part in parts[1:]]
            tiers.append(messages.FeeTier(volume, *rates))
        self.execute_command(SetFeeTiers(tuple(tiers), asset.id if asset else None))

    def _set_override(self, **options: Any) -> None:
        maker, taker = options["maker"], options["taker"]
        if options["remove"] == (maker is not None) or (maker is None) != (taker is None):
            raise control.BadRequest("invalid_parameters", "give --maker and --taker, or --remove.")
        user, symbol = options["user"], options["market"]
        command = SetFeeOverride(
            account_id=None if user is None else control.find_account(username=user, name=options["account"]).id,
            market_id=None if symbol is None else control.find_market(symbol=symbol).id,
            maker_rate=None if maker is None else control.millionths(percent=maker),
            taker_rate=None if taker is None else control.millionths(percent=taker),
        )
        self.execute_command(command)

    def _show(self) -> None:
        rows = list(FeeTier.objects.select_related("valuation_asset").order_by("volume"))
        for tier in () if rows else DEFAULT_TIERS:
            self.say(f"from {tier.volume}: {_rates(tier)}")
        for row in rows:
            asset = row.valuation_asset
            volume = f"{amount_text(row.volume, asset.scale, 0)} {asset.symbol}" if asset else "0"
            self.say(f"from {volume}: {_rates(row)}")
        for override in FeeOverride.objects.order_by("account_id", "market_id"):
            self.say(f"{_target(override)}: {_rates(override)}")


def _rates(rule: FeeTier | FeeOverride | messages.FeeTier) -> str:
    maker, taker = (text_from_units(rate, control.PERCENT_DECIMALS, 2) for rate in (rule.maker_rate, rule.taker_rate))
    return f"maker {maker} %, taker {taker} %"


def _target(override: FeeOverride) -> str:
    market = "every market" if override.market_id is None else Market.objects.get(id=override.market_id).symbol
    if override.account_id is None:
        return f"everyone on {market}"
    account = Account.objects.select_related("user").get(id=override.account_id)
    return f"{account.user} ({account.name}) on {market}"
