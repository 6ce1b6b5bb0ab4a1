"""The trading floor in a browser while its market is busy: frames a second and memory.

A demo server, two of its traders with a hundred trades a second, and one Chromium that looks on; all on the same
machine, so the yardstick (a blank page in the same Chromium) says how much of it a page can have.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from matching.bench import report, scratch
from matching.bench.page_load import MARKET
from matching.bench.page_watch import Outcome
from matching.bench.report import Row

FRAMES = 50.0
MEGABYTES = 150.0
GRACE_SECONDS = 150
"""How much longer than it is looked at the market is busy."""


def measure(*, disk: Path, seconds: int) -> Iterator[Row]:
    """The rows of the page."""
    demo = {"BOURSE_ENV": "demo", "SECRET_KEY": "", "ALLOWED_HOSTS": "", "DEMO_FLOW": "off"}
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir, **demo) as server:
        log = (data_dir / "server.log").read_text()
        keys = [part for pair in re.findall(r"API key of \w+: (\S+)  secret: (\S+)", log) for part in pair]
        load = ("-m", "matching.bench.page_load", server.port, seconds + GRACE_SECONDS, *keys)
        with scratch.background(*load):
            url = f"http://127.0.0.1:{server.port}/trade/{MARKET}"
            found = scratch.run_module("matching.bench.page_watch", url, seconds, returning=Outcome)
    yield report.rate_row(
        group="page",
        what=f"frames a second, mean of {seconds} s",
        figure=sum(found.frames) / len(found.frames),
        unit="frames/s",
        yardstick="blank page",
        yardstick_figure=sum(found.blank_frames) / len(found.blank_frames),
        at_least=FRAMES,
        ratio_at_least=None,
        note=(
            f"{found.depth_updates:.1f} depth updates/s and {found.trades:.0f} trades/s arrived; "
            f"{min(found.frames):.0f} frames in the slowest second"
        ),
    )
    yield report.bounded_row(
        group="page",
        what=f"memory after {seconds} s",
        figure=found.heap,
        unit="MB",
        yardstick="private memory of the process",
        yardstick_figure=found.private_memory,
        below=MEGABYTES,
        note="JavaScript's heap, as the browser counts it",
    )
