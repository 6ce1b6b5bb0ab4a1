"""What a process tells Prometheus, as tests want it: samples by name and labels, and the difference between two looks.

before = scrape(url)
...
wait_for_changes(url, before, {('bourse_trades_total', 'market="BTC-USDT"'): 1})
"""

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

WAIT_SECONDS_MAX = 120.0
POLL_SECONDS = 0.1

Key = tuple[str, str]
"""A sample's name, and its labels as 'a="1",b="2"' in alphabetical order."""


def parse(text: str) -> dict[Key, float]:
    """All samples of a page; AssertionError when one is told twice."""
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items())))
            assert key not in found, f"{key} is told twice"
            found[key] = sample.value
    return found


def families(text: str) -> set[str]:
    """The names of all families of a page, with their samples or without, as Prometheus's HELP lines name them."""
    return {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}


def page(url: str) -> str:
    """What is told at `url`; waits for the process to listen."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            answer = httpx.get(url, timeout=30)
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"nobody listens at {url}"
            time.sleep(POLL_SECONDS)
            continue
        assert answer.status_code == 200, answer.text
        return answer.text


def scrape(url: str) -> dict[Key, float]:
    """The samples at `url`; waits for the process to listen."""
    return parse(page(url))


def changes(before: dict[Key, float], after: dict[Key, float], *names: str) -> dict[Key, float]:
    """By how much the samples of these names have grown, without those that have not."""
    grown = {key: value - before.get(key, 0) for key, value in after.items() if key[0] in names}
    return {key: difference for key, difference in grown.items() if difference}


def wait_for(url: str, key: Key, value: float) -> dict[Key, float]:
    """Look until the sample has the value; all samples of that look. AssertionError if it takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        found = scrape(url)
        if found.get(key) == value:
            return found
        assert time.monotonic() < deadline, f"{key} is {found.get(key)}, not {value}"
        time.sleep(POLL_SECONDS)


def wait_for_changes(url: str, before: dict[Key, float], expected: dict[Key, float]) -> dict[Key, float]:
    """Look until the samples of the expected names have grown by exactly that much; all samples of that look."""
    names = {name for name, _ in expected}
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        after = scrape(url)
        found = changes(before, after, *names)
        if found == expected:
            return after
        assert time.monotonic() < deadline, f"{found}, not {expected}"
        time.sleep(POLL_SECONDS)
