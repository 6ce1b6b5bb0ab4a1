"""`manage.py create_api_key USER`: a new API key, its secret printed once."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from risk.models import Account
from trading.api_keys import InvalidApiKey, issue_api_key
from trading.models import User


class Command(BaseCommand):
    """Works whether or not the server runs; a running server knows the key at once."""

    help = "Make an API key for a user's account and print it, with its secret, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, and what the key may do."""
        parser.add_argument("user", help="The user's name.")
        parser.add_argument("--scopes", default="read,trade", help="Of read, trade, withdraw (default: read,trade).")
        parser.add_argument("--account", default="main", help="Which of the user's accounts (default: main).")
        parser.add_argument("--ed25519", type=Path, metavar="FILE", help="The public key (PEM, OpenSSH or base64).")
        parser.add_argument("--ips", default="", metavar="CIDR,...", help="Addresses it may be used from (all).")
        parser.add_argument("--expires", metavar="ISO", help="When it ends, ISO 8601, UTC unless it says otherwise.")
        parser.add_argument("--label", default="", help="A note for people.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the key or fail with the reason."""
        try:
            api_key, secret = issue_api_key(
                account=_account(options["user"], options["account"]),
                scopes=_items(options["scopes"]),
                networks=_items(options["ips"]),
                expires_at=_moment(options["expires"]),
                public_key=_file(options["ed25519"]),
                label=options["label"],
            )
        except InvalidApiKey as error:
            raise CommandError(f"{error.code}: {error}") from error
        told = {
            "key": api_key.key,
            "secret": secret,
            "user": options["user"],
            "account": options["account"],
            "scopes": api_key.scopes,
            "ips": api_key.networks,
            "expires_at": None if api_key.expires_at is None else api_key.expires_at.isoformat(),
        }
        if options["json"]:
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(f"key     {api_key.key}")
        if secret is not None:
            self.stdout.write(f"secret  {secret}   (shown only now)")
        self.stdout.write(f"scopes  {', '.join(api_key.scopes)}")


def _account(user_name: str, account_name: str) -> Account:
    if not User.objects.filter(username=user_name).exists():
        raise CommandError(f"unknown_user: There is no user {user_name}.")
    account = Account.objects.filter(user__username=user_name, name=account_name).first()
    if account is None:
        raise CommandError(f"unknown_account: {user_name} has no account {account_name}.")
    return account


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"invalid_expires: {text} is no ISO 8601 time.") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _file(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"invalid_public_key: {path} cannot be read ({error.strerror}).") from error
