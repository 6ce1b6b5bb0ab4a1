"""`manage.py run_distributed`: the spread-out exchange on this machine, from an empty folder to `Bourse is ready`.

PostgreSQL and Redis unless they are given, migrations, the demo, then the processes of the Procfile, and nginx in front
where it is installed; a signal undoes it in reverse.
"""

import getpass
import os
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from trading import control, demo, nginx, own_services, processes, serving, static_files
from trading.demo_flow import history
from trading.demo_flow import process as flow_process

LOOPBACK = "127.0.0.1"
COUNT_MAX = 16


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM and then exits with status 0; at a second signal everything is killed."""

    help = "Start web processes, matching workers, Celery and what they need, each a process of its own."
    requires_system_checks: list[str] = []  # `make check` runs them; a restart should not wait for them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many of what; everything else is said by the environment (see .env.example)."""
        parser.add_argument("--webs", type=_count, default=2, help="web processes (default: %(default)s)")
        parser.add_argument(
            "--workers", type=_count, default=2, help="matching workers; one leads, others stand by (default: 2)"
        )
        parser.add_argument("--no-nginx", action="store_true", help="none in front, even where it is installed")

    def handle(self, *args: object, **options: Any) -> None:
        """Bring everything up in order, wait for a signal, and take it down in the reverse order."""
        self._printing = threading.Lock()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with ExitStack() as stack:
                self._run(stack, **options)
        except KeyboardInterrupt:
            self._say("Interrupted.")
        self._say("Bourse has stopped.")

    def _run(self, stack: ExitStack, *, webs: int, workers: int, no_nginx: bool, **_: Any) -> None:
        stack.enter_context(own_services.only_server_of_data_dir())
        edge = None if no_nginx or settings.PRODUCTION else nginx.executable()
        front, web_ports = _ports(webs, edge is not None)
        redis_url, redis_command = settings.REDIS_URL, None
        if not redis_url:
            redis_url, redis_command = own_services.prepare_redis(data_dir=settings.DATA_DIR)
        database_url = stack.enter_context(own_services.database_kept_alive())
        own_services.migrate()
        if settings.PRODUCTION:
            static_files.collect_if_changed()
        history.make_history(say=self._say)

        family = processes.Family(say=self._say)
        stack.callback(family.stop)
        stack.callback(_kill_at_the_next_signal, family)
        if redis_command:
            family.start(name="redis", command=redis_command)
        if edge is not None:  # before the web processes, so that their goodbyes still pass it at the end
            command = nginx.command(edge=_edge(web_ports), program=edge)
            family.start(name="nginx", command=command, end_signal=signal.SIGQUIT)
        shared = _shared_environment(database_url, redis_url, behind_nginx=edge is not None)
        self._start_workers(family, shared, workers)
        for line in demo.seed_demo(base_url=front) if settings.DEMO else ():
            self._say(line)
        programs = processes.commands()
        family.start(name="celery", command=programs["celery"], env=_own(shared, workers))
        family.start(name="beat", command=programs["beat"], env=_own(shared, workers + 1))
        for number, port in enumerate(web_ports, start=1):
            family.start(name=f"web.{number}", command=programs["web"], env=shared | {"PORT": str(port)})
        self._wait_until_ready([serving.base_url(port=port) for port in web_ports] if edge is None else [front])
        stack.enter_context(flow_process.running(url=front, keys=demo.flow_keys() if settings.DEMO_FLOW else ()))
        self._say(f"Bourse serves on {front}  (web processes: {', '.join(map(str, web_ports))}; stop: Ctrl-C)")
        self._say("Bourse is ready")
        threading.Event().wait()

    def _start_workers(self, family: processes.Family, shared: dict[str, str], count: int) -> None:
        """All of them, and wait until one leads: the demo is made by commands."""
        command = processes.commands()["worker"]
        for number in range(count):
            family.start(name=f"worker.{number + 1}", command=command, env=_own(shared, number))
        processes.wait_until(reached=lambda: control.leader() is not None, tell=self._tell_waiting("a leading worker"))
        connection.close()

    def _wait_until_ready(self, urls: list[str]) -> None:
        for url in urls:
            processes.wait_until(reached=partial(_is_ready, url), tell=self._tell_waiting(f"{url}/readyz"))

    def _tell_waiting(self, what: str) -> Any:
        return lambda seconds: self._say(f"Not ready after {seconds:.0f} s: waiting for {what} ...")

    def _say(self, line: str) -> None:
        with self._printing:
            self.stdout.write(line)
            self.stdout.flush()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= COUNT_MAX:
        raise ArgumentTypeError(f"from 1 to {COUNT_MAX}")
    return int(text)


def _ports(webs: int, nginx_in_front: bool) -> tuple[str, list[int]]:
    """Where people come, and the ports of the web processes: from PORT on, or behind nginx the next ones.

    Raises CommandError when one of them is in use.
    """
    first = settings.PORT + nginx_in_front
    for port in range(settings.PORT, first + webs):
        with serving.listening_socket(port=port):
            pass
    return serving.base_url(), list(range(first, first + webs))


def _shared_environment(database_url: str, redis_url: str, *, behind_nginx: bool) -> dict[str, str]:
    """What all processes are told. Behind nginx, web processes listen for nobody else."""
    shared = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": settings.PUBLIC_URL,
        "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", "").strip() or "0",  # here all stop together
        "PYTHONUNBUFFERED": "1",
    }
    if behind_nginx:
        shared |= {"HOST": LOOPBACK, "TRUSTED_PROXIES": ",".join([*settings.TRUSTED_PROXIES, LOOPBACK])}
    return shared


def _own(shared: dict[str, str], number: int) -> dict[str, str]:
    """For a process without pages: a port of its own for its metrics, if they are wanted."""
    return shared | ({"METRICS_PORT": str(settings.METRICS_PORT + number)} if settings.METRICS_PORT else {})


def _edge(web_ports: list[int]) -> nginx.Edge:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return nginx.Edge(
        webs=tuple(f"{LOOPBACK}:{port}" for port in web_ports),
        listens=(f"{host}:{settings.PORT}",),
        user=getpass.getuser(),
        workers="1",
        folder=str(settings.DATA_DIR / "nginx"),
        limits=settings.RATE_LIMITS,
    )


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _kill_at_the_next_signal(family: processes.Family) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: family.kill())
