"""The public feed: how long a change of the book takes to reach a thousand readers, ten times a second.

An order is placed over HTTP; what counts is the time from its sending (so its commit and what the feed waits for are
included) until each reader has read the update. The yardstick is the same load on a bare ASGI application on the same
server software, which tells every reader in a loop.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from matching.bench import flow, report, requests, scratch
from matching.bench.feed_load import Outcome
from matching.bench.report import Row
from matching.bench.requests import OpenFloor

ACCOUNTS = 4
RESTING = 2_000
RATE = 10
P99_MS = 100.0
PERCENTS: dict[float, float | None] = {50: None, 99: P99_MS}


def measure(*, disk: Path, seconds: int, readers: int) -> Iterator[Row]:
    """The rows of the feed."""
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir) as server:
        opened = scratch.run_part(
            "open_floor", data_dir=data_dir, returning=OpenFloor, accounts=ACCOUNTS, resting=RESTING
        )
        path = data_dir / "feed.requests"
        requests.write_file(path=path, opened=opened, count=seconds * RATE, name="feed")
        process = _process(data_dir)
        before = sum(process.cpu_times()[:2])
        outcome = run_load([server.port], path, readers)
        cpu = sum(process.cpu_times()[:2]) - before
        port = scratch.free_port()
        with scratch.background("-m", "matching.bench.bare_feed", port):
            scratch.wait_until(lambda: scratch.answers(port=port, path="/", status=201))
            bare = run_load([port], path, readers)
    for percent, below in PERCENTS.items():
        fields: dict[str, Any] = {"group": "feed", "unit": "ms"}
        if percent == min(PERCENTS):
            fields["note"] = (
                f"{outcome.orders} orders, {outcome.frames:,} updates read, from the sending of the order; the server "
                f"took {cpu:.1f} s of processor time for {seconds} s and the subscribing"
            )
        yield report.bounded_row(
            what=f"update to {readers:,} readers, {RATE}/s, p{percent:g}",
            figure=report.percentile(values=sorted(outcome.latencies), percent=percent),
            yardstick="bare ASGI fan-out",
            yardstick_figure=report.percentile(values=sorted(bare.latencies), percent=percent),
            below=below,
            **fields,
        )


def run_load(ports: list[int], path: Path, readers: int) -> Outcome:
    """The load of the orders in `path`, shared out among servers; PartFailed unless everybody is told everything."""
    everywhere = ",".join(map(str, ports))
    outcome = scratch.run_module(
        "matching.bench.feed_load", everywhere, path, flow.SYMBOL, readers, RATE, returning=Outcome
    )
    told = len(outcome.latencies)
    if told != outcome.orders * readers:
        raise scratch.PartFailed(f"feed: {outcome.orders} orders were told to {readers} readers {told} times")
    return outcome


def _process(data_dir: Path) -> psutil.Process:
    """The server, as it has written into its lock."""
    found = re.match(r"process (\d+)", (data_dir / "server.lock").read_text())
    assert found is not None
    return psutil.Process(int(found[1]))
