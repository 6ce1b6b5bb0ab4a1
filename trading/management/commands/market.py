"""`manage.py market SYMBOL STATE`, `market create BASE QUOTE`, `market set SYMBOL`: markets, states and filters."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, get_args

import msgspec

from marketdata.models import Market
from marketdata.scale import units_from_numeric
from matching.engine.messages import (
    AnyEvent,
    CreateMarket,
    ExchangeStateChanged,
    MarketChanged,
    MarketParameters,
    MarketState,
    SetMarketParameters,
    SetMarketState,
)
from trading import control
from trading.management.control_command import ControlCommand, add_waiting

USAGE = """\
market SYMBOL open|post_only|cancel_only|halted   change a market's state; orders stay in the book
market all open|halted                            halt or resume the whole exchange
market create BASE QUOTE --tick T --lot L ...     open a market named BASE-QUOTE (or --symbol)
market set SYMBOL --price-band 20 ...             change some filters, keep the others
"""

STATES: dict[str, MarketState] = {state: state for state in get_args(MarketState)} | {"halt": "halted"}

FILTERS = {
    "tick_size": "smallest price step",
    "lot_size": "smallest quantity step",
    "min_quantity": "least quantity of an order (create: default one lot)",
    "max_quantity": "most quantity of an order (create: default 1000000 lots)",
    "min_notional": "least price times quantity of an order (create: default 0)",
    "max_notional": "most price times quantity of an order (create: default 10000000)",
    "reference_price": "centre of the price band before the first trade",
    "price_band": "percent around the last trade within which orders may trade, 0: off (create: default 20)",
    "breaker_move": "percent within the window that trips the circuit breaker, 0: off (create: default 10)",
    "breaker_window": "seconds (create: default 300)",
    "breaker_pause": "seconds a tripped market pauses (create: default 300)",
}
OPTIONS = {"tick_size": "--tick", "lot_size": "--lot"}
MAX_NOTIONAL = "10000000"
MAX_LOTS = 1_000_000


class Command(ControlCommand):
    """Prints the market as it stands after the command."""

    help = "Halt, open or restrict a market or the whole exchange; create a market; set its filters."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Words in the order people say them, and the filters."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = USAGE
        parser.add_argument("words", nargs="+", metavar="WORD", help="see below")
        parser.add_argument("--note", help="why, announced to everyone (states only)")
        parser.add_argument("--symbol", help="instead of BASE-QUOTE (create only)")
        for name, text in FILTERS.items():
            parser.add_argument(OPTIONS.get(name, "--" + name.replace("_", "-")), dest=name, help=text)
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Decide by the words; an option that the words do not call for is refused."""
        given: dict[str, str] = {name: options[name] for name in FILTERS if options[name] is not None}
        note, symbol = options["note"], options["symbol"]
        match options["words"]:
            case ["create", base, quote] if note is None:
                self._create(base, quote, symbol, given)
            case ["set", market] if note is None and symbol is None and given:
                self._set(control.find_market(symbol=market), given)
            case [market, state] if state in STATES and symbol is None and not given:
                self._enter(market, STATES[state], note or "")
            case _:
                raise control.BadRequest("invalid_parameters", f"these words and options do not go together.\n{USAGE}")

    def _enter(self, symbol: str, state: MarketState, note: str) -> None:
        market_id = None if symbol == "all" else control.find_market(symbol=symbol).id
        self._tell(SetMarketState(state, market_id, note))

    def _create(self, base: str, quote: str, symbol: str | None, given: dict[str, str]) -> None:
        if missing := {"tick_size", "lot_size"} - given.keys():
            names = " and ".join(sorted(OPTIONS[name] for name in missing))
            raise control.BadRequest("invalid_parameters", f"a new market needs {names}.")
        base_asset, quote_asset = control.find_asset(symbol=base), control.find_asset(symbol=quote)
        texts = {"min_notional": "0", "max_notional": MAX_NOTIONAL} | given
        filters = control.market_filters(texts=texts, base=base_asset, quote=quote_asset)
        lot = filters["lot_size"]
        parameters = MarketParameters(**{"min_quantity": lot, "max_quantity": lot * MAX_LOTS} | filters)
        self._tell(CreateMarket(base_asset.id, quote_asset.id, parameters, symbol))

    def _set(self, market: Market, given: dict[str, str]) -> None:
        changes = control.market_filters(texts=given, base=market.base, quote=market.quote)
        self._tell(SetMarketParameters(market.id, msgspec.structs.replace(_parameters(market), **changes)))

    def _tell(self, command: CreateMarket | SetMarketParameters | SetMarketState) -> None:
        done = self.execute_command(command)
        for event in done.events if done else ():
            self.say(_described(event))


def _described(event: AnyEvent) -> str:
    if isinstance(event, ExchangeStateChanged):
        return "The exchange is halted: no market trades." if event.halted else "The exchange is open."
    assert isinstance(event, MarketChanged)
    return f"{event.symbol} (market {event.market_id}) is {event.state}."


def _parameters(market: Market) -> MarketParameters:
    """The filters in force."""
    quote = dict.fromkeys(control.QUOTE_FILTERS, market.quote.scale)
    base = dict.fromkeys(control.BASE_FILTERS, market.base.scale)
    stored = {name: getattr(market, name) for name in MarketParameters.__struct_fields__}
    for name, scale in (quote | base).items():
        if stored[name] is not None:
            stored[name] = units_from_numeric(f"{stored[name]:f}", scale)
    return MarketParameters(**stored)
