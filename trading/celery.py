"""Celery: the worker and beat that do what must not hold up an order.

Tasks are only wake-ups. Whatever there is to do, and how far it has come, is in the database, so a lost or doubled
message does no harm, and neither does a broker that was down.
"""

import os
import shutil

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

from trading import file_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trading.settings")

from trading import celery_vitals
from trading.metrics import tasks as counted_tasks

file_broker.register()
counted_tasks.connect()
celery_vitals.connect()
app = Celery("bourse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("trading.tasks",)


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django's settings say how to log; Celery need not."""


def empty_folders() -> None:
    """Make the folders of the broker that needs no service, or empty them: what a kill left half done is no loss.

    Raises OSError.
    """
    for name in ("data_folder_in", "control_folder"):
        folder = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get(name)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder, mode=0o700, exist_ok=True)
