"""Watches the trading floor in a real Chromium: frames a second while the market is busy, and memory at the end.

`python -m matching.bench.page_watch URL SECONDS` prints an Outcome; needs Playwright's Python package and Chromium.
"""

import shutil
import sys

import msgspec
import psutil

from matching.bench.report import Missing

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
MEGABYTE = 1_000_000
BLANK_SECONDS = 5

COUNT_MESSAGES = """
window.told = { depth: 0, trades: 0 };
window.WebSocket = class extends WebSocket {
  constructor(...values) {
    super(...values);
    this.addEventListener("message", ({ data }) => {
      if (data.startsWith('{"channel":"depth.')) window.told.depth += data.includes('"update"');
      if (data.startsWith('{"channel":"trades.') && data.includes('"update"')) {
        window.told.trades += JSON.parse(data).trades.length;
      }
    });
  }
};
"""
COUNT_FRAMES = """seconds => new Promise(done => {
  const counts = []; let frames = 0, since = performance.now();
  const frame = now => {
    frames += 1;
    if (now - since >= 1000) { counts.push(frames * 1000 / (now - since)); frames = 0; since = now; }
    if (counts.length < seconds) requestAnimationFrame(frame); else done(counts);
  };
  requestAnimationFrame(frame);
})"""


class Outcome(msgspec.Struct, frozen=True):
    """Frames of each second, those of a blank page, what was told a second, and megabytes at the end."""

    frames: list[float]
    blank_frames: list[float]
    depth_updates: float
    trades: float
    heap: float
    private_memory: float


def watch(url: str, seconds: int) -> Outcome:
    """Open the page and look at it for so long."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Missing("The page needs Playwright's Python package (requirements-dev.txt).") from error
    executable = shutil.which("chromium")
    if executable is None:
        raise Missing("The page needs Chromium (Debian's package chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            blank = page.evaluate(COUNT_FRAMES, BLANK_SECONDS)
            page.add_init_script(COUNT_MESSAGES)
            page.goto(url)
            page.wait_for_function("() => window.told.trades > 100", timeout=120_000)
            before = page.evaluate("() => ({ ...window.told })")
            frames = page.evaluate(COUNT_FRAMES, seconds)
            after = page.evaluate("() => ({ ...window.told })")
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            metrics = session.send("Performance.getMetrics")["metrics"]
            heap = next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize")
            return Outcome(
                frames,
                blank,
                (after["depth"] - before["depth"]) / seconds,
                (after["trades"] - before["trades"]) / seconds,
                heap / MEGABYTE,
                _largest_renderer() / MEGABYTE,
            )
        finally:
            browser.close()


def _largest_renderer() -> int:
    """The private memory (bytes) of the largest of our Chromium's renderers, which is the page's."""
    return max(
        int(process.memory_full_info().uss)
        for process in psutil.Process().children(recursive=True)
        if "--type=renderer" in process.cmdline()
    )


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(watch(sys.argv[1], int(sys.argv[2]))).decode() + "\n")
