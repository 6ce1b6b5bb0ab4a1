#!/usr/bin/env python
"""Runs Django's management commands, with the embedded PostgreSQL around those that need a database.

A command joins the database of a running server; alone, it starts the database and stops it at its end.
"""

import os
import signal
import sys
import warnings

import psycopg
from django.core.management import execute_from_command_line
from django.db.utils import OperationalError

from trading import embedded, environment

WITHOUT_DATABASE = frozenset(
    {
        "bench",
        "check",
        "collectstatic",
        "demo_flow",
        "diffsettings",
        "findstatic",
        "help",
        "makemigrations",
        "spectacular",
        "version",
        "web",
    }
)


def main() -> None:
    """Run the command in `sys.argv`; the exit status is the command's."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trading.settings")
    environment.load_env_file(path=environment.PROJECT_ROOT / ".env")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if environment.database_url() or command in WITHOUT_DATABASE or command.startswith("-") or "--help" in sys.argv:
        warnings.filterwarnings("ignore", message="Got an error checking a consistent migration history")
        try:
            execute_from_command_line(sys.argv)
        except (OperationalError, psycopg.OperationalError) as error:
            sys.exit(f"Error: the database of DATABASE_URL cannot be used: {error}")
        return
    cluster = embedded.Cluster(data_dir=environment.data_dir())
    try:
        cluster.start()
        execute_from_command_line(sys.argv)
    except embedded.EmbeddedDatabaseError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        cluster.close()


if __name__ == "__main__":
    main()
