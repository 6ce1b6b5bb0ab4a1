"""`manage.py asset create SYMBOL NAME --scale N`: add an asset."""

from argparse import ArgumentParser
from typing import Any

from matching.engine.messages import AssetCreated, CreateAsset
from trading.management.control_command import ControlCommand, add_waiting


class Command(ControlCommand):
    """Prints the new asset's id."""

    help = "Add an asset."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The one subcommand."""
        create = parser.add_subparsers(dest="action", required=True).add_parser("create", help="add an asset")
        create.add_argument("symbol", help="capitals and digits, such as BTC")
        create.add_argument("name", help="for people, such as Bitcoin")
        create.add_argument("--scale", type=int, required=True, help="decimals of its smallest unit, 0 to 18; for ever")
        add_waiting(create)

    def run(self, **options: Any) -> None:
        """File, tell."""
        done = self.execute_command(CreateAsset(options["symbol"], options["name"], options["scale"]))
        for event in done.events if done else ():
            assert isinstance(event, AssetCreated)
            self.say(f"Created asset {event.asset_id}: {event.symbol} ({event.name}), scale {event.scale}.")
