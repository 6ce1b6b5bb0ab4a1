"""One exchange for each module of account pages, passwords that hash quickly, and a visitor with a browser."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.account_pages.people import QUICK_HASHER, Visitor, make_demo_assets
from tests.builders import RunningExchange, running_exchange


@pytest.fixture(scope="module")
def exchange(fresh_database: str) -> Iterator[RunningExchange]:
    with running_exchange() as running:
        make_demo_assets(running)
        yield running


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [QUICK_HASHER]


@pytest.fixture
def visitor(exchange: RunningExchange) -> Visitor:
    return Visitor()
