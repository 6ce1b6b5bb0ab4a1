"""`manage.py nginx_conf`: writes nginx's configuration for this exchange, or runs nginx on it in the foreground."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from trading import nginx

WEBS = ("127.0.0.1:8001", "127.0.0.1:8002")
LISTENS = ("443", "[::]:443")
REDIRECTS = ("80", "[::]:80")
CERTIFICATES = "/etc/letsencrypt/live"


class Command(BaseCommand):
    """Names, limits, static files and HSTS come from the settings; see docs/edge.md."""

    help = "Write nginx's configuration for the web processes behind it (docs/edge.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What an `Edge` has; networks and addresses can be given several times."""
        several: dict[str, Any] = {"action": "append", "default": []}
        parser.add_argument(
            "--web", metavar="HOST:PORT", help=f"a web process; without any: {', '.join(WEBS)}", **several
        )
        parser.add_argument("--listen", metavar="[HOST:]PORT", help="443 and [::]:443 without any", **several)
        parser.add_argument("--redirect", metavar="[HOST:]PORT", help="where HTTP leads to HTTPS: 80", **several)
        parser.add_argument(
            "--name", metavar="HOST", help="a host it answers for; without any: ALLOWED_HOSTS", **several
        )
        parser.add_argument("--certificate", metavar="FILE", help="PEM; certbot's for the first name", default="")
        parser.add_argument("--key", metavar="FILE", help="its key", default="")
        parser.add_argument("--plain", action="store_true", help="HTTP without TLS")
        parser.add_argument("--static", metavar="DIR", help="collected files; in production STATIC_ROOT", default="")
        parser.add_argument("--inside", metavar="NETWORK", help="may see /metrics", **several)
        parser.add_argument("--behind", metavar="NETWORK", help="proxies in front of nginx to be believed", **several)
        parser.add_argument("--user", default="www-data", help="whom nginx's workers run as")
        parser.add_argument("--workers", default="auto", help="how many")
        parser.add_argument("--site", action="store_true", help="for sites-available: without nginx's own part")
        parser.add_argument("--output", metavar="FILE", help="instead of standard output", default="")
        parser.add_argument("--start", metavar="DIR", help="keep everything in DIR and run nginx now", default="")

    def handle(self, *args: object, **options: Any) -> None:
        """Write it, or become nginx."""
        try:
            edge = _edge(options)
        except nginx.EdgeError as error:
            raise CommandError(str(error)) from error
        if edge.folder:
            program = nginx.executable()
            if program is None:
                raise CommandError("nginx is not installed (on Debian: apt install nginx).")
            words = nginx.command(edge=edge, program=program)
            os.execv(words[0], words)  # noqa: S606 - that is what --start means
        text = nginx.configuration(edge=edge)
        if options["output"]:
            Path(options["output"]).write_text(text, encoding="utf-8")
        else:
            self.stdout.write(text, ending="")


def _edge(options: dict[str, Any]) -> nginx.Edge:
    names = tuple(options["name"]) or nginx.names_from_hosts(hosts=settings.ALLOWED_HOSTS)
    certificate, key = options["certificate"], options["key"]
    if not options["plain"] and not certificate:
        if not names:
            raise CommandError("Which certificate? Give --certificate and --key, or --plain for HTTP without TLS.")
        folder = f"{CERTIFICATES}/{names[0].lstrip('.')}"
        certificate, key = f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
    redirects = tuple(options["redirect"])
    if not options["listen"] and not options["plain"]:
        redirects = redirects or REDIRECTS
    static = options["static"] or (str(settings.STATIC_ROOT) if settings.PRODUCTION else "")
    return nginx.Edge(
        webs=tuple(options["web"]) or WEBS,
        listens=tuple(options["listen"]) or (("80", "[::]:80") if options["plain"] else LISTENS),
        certificate=certificate,
        key=key,
        redirects=redirects,
        names=names,
        static=str(Path(static).resolve()) if static else "",
        inside=tuple(options["inside"]),
        behind=tuple(options["behind"]),
        user=options["user"],
        workers=options["workers"],
        folder=str(Path(options["start"]).resolve()) if options["start"] else "",
        site_only=options["site"],
        limits=settings.RATE_LIMITS,
        hsts_seconds=settings.SECURE_HSTS_SECONDS if settings.PRODUCTION else 0,
    )
