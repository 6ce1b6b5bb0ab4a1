"""`manage.py web`: one web process of a spread-out exchange, beside others like it and workers elsewhere.

It makes nothing and migrates nothing: whoever starts many of them does that before, once (see docs/deploy.md).
"""

import signal
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from trading import serving, static_files


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM, drains, and exits with status 0."""

    help = "Serve the web side on HOST and PORT; needs DATABASE_URL, REDIS_URL and matching workers elsewhere."
    requires_system_checks: list[str] = []  # `make check` runs them; a restart should not wait for them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """No arguments: the environment says it all (see .env.example)."""

    def handle(self, *args: object, **options: object) -> None:
        """Check what it needs, serve, drain."""
        _refuse_missing_services()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # before there is a web server to ask
        try:
            with serving.listening_socket() as listener:
                _refuse_missing_migrations()
                if settings.PRODUCTION:
                    static_files.collect_if_changed()
                serving.run(
                    listener=listener,
                    say=self._say,
                    ready_lines=[f"Web process serves on {serving.base_url()}"],
                    drain_seconds=settings.DRAIN_SECONDS,
                )
        except KeyboardInterrupt:
            self._say("Interrupted.")
        self._say("Web process has stopped.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _refuse_missing_services() -> None:
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not getattr(settings, name)]
    if missing:
        raise CommandError(
            f"A web process of its own needs {' and '.join(missing)}, the services it shares with the others. "
            "Without any, `manage.py up` runs everything in one process."
        )


def _refuse_missing_migrations() -> None:
    """Old code on a newer database is fine (a rolling deploy), new code on an older one is not."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    connection.close()
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan)
        raise CommandError(f"The database lacks migrations: {names}. Run `manage.py migrate` first, once for all.")
