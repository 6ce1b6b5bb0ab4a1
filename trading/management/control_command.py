"""What all control commands of the command line share: their options, who asks, and how an answer is told.

The exit status is 0 when the command was executed (or, with --no-wait, filed), 1 when it was refused, with the named
reason on stderr, 2 when the command line makes no sense, and 3 when no answer came in time.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.management import get_system_username
from django.core.management.base import BaseCommand, CommandError

from matching import inbox
from matching.engine.messages import AnyCommand
from matching.inbox import Done
from trading import control

ACTOR_LENGTH_MAX = 64
NO_ANSWER_STATUS = 3
TIMEOUT_SECONDS_MAX = 86_400


class Refused(CommandError):
    """The exchange, or already the command line, refused; the text begins with the reason's name."""


class NoAnswer(CommandError):
    """The command is filed, but nobody has executed it yet."""


class ControlCommand(BaseCommand):
    """A command that files control commands; subclasses declare their arguments and define `run`."""

    requires_system_checks: list[str] = []  # `make check` runs them; an operator in a hurry should not wait

    def run(self, **options: Any) -> None:
        """Do it; may raise control.BadRequest and what control.execute raises."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and tell a refusal or a missing answer as Django tells errors."""
        self.no_wait: bool = options.pop("no_wait", False)
        self.timeout: float = options.pop("timeout", control.TIMEOUT_SECONDS)
        try:
            self.run(**options)
        except inbox.Refused as refused:
            raise Refused(f"{refused.reason.value}: {refused}") from refused
        except control.BadRequest as error:
            raise Refused(f"{error.code}: {error}") from error
        except UnicodeEncodeError as error:
            raise Refused("invalid_text: An argument is no valid UTF-8.") from error
        except inbox.CommandFailed as error:
            raise Refused(f"command_failed: {error}") from error
        except inbox.NoAnswer as error:
            raise NoAnswer(str(error), returncode=NO_ANSWER_STATUS) from error

    def execute_command(self, command: AnyCommand) -> Done | None:
        """File one command; its answer, or None with --no-wait."""
        done = self.execute_commands([command])
        return done[0] if done else None

    def execute_commands(self, commands: Sequence[AnyCommand]) -> list[Done]:
        """File commands in this order; their answers, or none with --no-wait."""
        if self.no_wait:
            for inbox_id in inbox.file_commands(commands=list(commands), actor=self.actor()):
                self.say(f"Filed as inbox command {inbox_id}.")
            return []
        return control.execute_all(commands=commands, actor=self.actor(), timeout=self.timeout)

    def actor(self) -> str:
        """Who asks, for the inbox: the command and the system user who runs it."""
        command = type(self).__module__.rpartition(".")[2]
        return f"manage.py {command} by {get_system_username() or 'unknown'}"[:ACTOR_LENGTH_MAX]

    def say(self, line: str) -> None:
        """Print a line of the answer."""
        self.stdout.write(line)


def add_waiting(parser: ArgumentParser) -> None:
    """--no-wait and --timeout."""
    parser.add_argument("--no-wait", action="store_true", help="only file the command and print its inbox id")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=control.TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the answer (default: %(default)g)",
    )


def add_account(parser: ArgumentParser) -> None:
    """--account NAME."""
    parser.add_argument(
        "--account", default="main", metavar="NAME", help="which of the user's accounts (default: main)"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= TIMEOUT_SECONDS_MAX:
        raise ArgumentTypeError(f"from 0 to {TIMEOUT_SECONDS_MAX} seconds")
    return seconds
