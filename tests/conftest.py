"""What every test gets: a real PostgreSQL for this run alone, and real servers for those who ask.

The database of the run lies in a temporary folder (or is DATABASE_URL's, if set), starts with the first test that
needs it and ends with the run; it has nothing to do with DATA_DIR. Pure tests never come here (`make quick`).
"""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

from tests.databases import copied_database, default_database
from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from trading import embedded
from trading.settings import database_from_url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a running PostgreSQL, database `bourse` (or DATABASE_URL as it is)."""
    if settings.DATABASE_URL:
        yield settings.DATABASE_URL
        return
    data_dir = new_data_dir()
    cluster = embedded.Cluster(data_dir=data_dir)
    try:
        cluster.start()
        yield embedded.database_url(data_dir=data_dir)
    finally:
        cluster.close()
        remove_data_dir(data_dir)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_url: str) -> None:
    """Point Django at the run's server before pytest-django makes its test database there."""
    settings.DATABASES["default"].update(database_from_url(url=postgres_url))


@pytest.fixture(scope="session")
def migrated_database(django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a migrated database to make copies of; nobody connects to it."""
    with django_db_blocker.unblock(), copied_database(source="template1") as name:
        with default_database(name=name):
            call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        yield name


@pytest.fixture(scope="module")
def fresh_database(migrated_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A migrated, empty database for the tests of one module, and its name: commits hold, from any thread.

    For tests with the real worker (tests/builders.py) instead of `db`, which must not be used in the same module.
    """
    with (
        django_db_blocker.unblock(),
        copied_database(source=migrated_database) as name,
        default_database(name=name),
    ):
        yield name


@pytest.fixture
def make_server() -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers that have not been started, each on its own empty data folder; ends and removes all of them.

    Keyword arguments go to ServerProcess: `make_server(env={"RATE_LIMITS": "off"})`.
    """
    servers: list[ServerProcess] = []

    def make(**options: object) -> ServerProcess:
        server = ServerProcess(data_dir=new_data_dir(), **options)  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()
        remove_data_dir(server.data_dir)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server that is ready, shared by the tests of one module: do not kill this one (see `make_server`)."""
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir) as running:
            yield running
    finally:
        remove_data_dir(data_dir)
