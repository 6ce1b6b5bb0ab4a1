"""`manage.py up`: the whole exchange in one process, from an empty folder to `Bourse is ready`.

Lock the data folder, migrate, start the matching worker, seed the demo, serve; a signal undoes it in reverse.
"""

import signal
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand

from matching import worker
from trading import background, demo, own_services, serving, static_files
from trading.demo_flow import history
from trading.demo_flow import process as flow_process


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM and then exits with status 0."""

    help = "Start everything: database, migrations, demo data, matching worker and web server."
    requires_system_checks: list[str] = []  # `make check` runs them; a restart should not wait for them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """No arguments: the environment says it all (see .env.example)."""

    def handle(self, *args: object, **options: object) -> None:
        """Bring everything up in order, serve, and take it down in the reverse order."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # before there is a web server to ask
        try:
            with (
                own_services.only_server_of_data_dir(),
                serving.listening_socket() as listener,
                own_services.database_kept_alive(),
            ):
                own_services.migrate()
                if settings.PRODUCTION:
                    static_files.collect_if_changed()
                history.make_history(say=self._say)
                worker.start()
                try:
                    for line in demo.seed_demo(base_url=serving.base_url()) if settings.DEMO else ():
                        self._say(line)
                    with (
                        background.running(wanted=settings.BACKGROUND),
                        flow_process.running(
                            url=serving.base_url(), keys=demo.flow_keys() if settings.DEMO_FLOW else ()
                        ),
                    ):
                        serving.run(listener=listener, say=self._say, ready_lines=_ready_lines())
                finally:
                    worker.stop()
        except KeyboardInterrupt:
            self._say("Interrupted.")
        self._say("Bourse has stopped.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _ready_lines() -> list[str]:
    return [f"Bourse serves on {serving.base_url()}  (health: /healthz, /readyz; stop: Ctrl-C)", "Bourse is ready"]
