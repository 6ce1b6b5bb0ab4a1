"""Which static files there are besides the apps' own, and where production collects them.

Of `node_modules` nothing becomes public but NODE_FILES.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder, get_finders
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

# For each folder below STATIC_URL: the file's folder below node_modules, and its name.
NODE_FILES = (
    ("vendor/lightweight-charts", "lightweight-charts/dist", "lightweight-charts.standalone.production.mjs"),
    ("vendor/lightweight-charts", "lightweight-charts", "LICENSE"),
)


class NodeFiles(BaseFinder):
    """Finds NODE_FILES, as far as they are installed, for the server and for collectstatic."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._files = [(name, _Folder(served_in, folder)) for served_in, folder, name in NODE_FILES]

    def find(self, path: str, find_all: bool = False, **_: Any) -> Any:
        """The absolute path of the file served as `path`, or a list of such if `find_all`; [] when there is none."""
        found = [storage.path(name) for name, storage in self._installed() if f"{storage.prefix}/{name}" == path]
        return found if find_all or not found else found[0]

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        """Each file's name and the storage that opens it."""
        patterns = [*(ignore_patterns or ())]
        return ((name, storage) for name, storage in self._installed() if not matches_patterns(name, patterns))

    def _installed(self) -> "Iterator[tuple[str, _Folder]]":
        return ((name, storage) for name, storage in self._files if storage.exists(name))


class _Folder(FileSystemStorage):
    """A folder of node_modules; Django puts `prefix` before the names of its files."""

    def __init__(self, served_in: str, folder: str) -> None:
        super().__init__(location=settings.BASE_DIR / "node_modules" / folder)
        self.prefix = served_in


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Names with a hash of the content, which browsers keep for ever; `import` in modules follows the new names."""

    support_js_module_import_aggregation = True
    max_post_process_passes = 50  # one for each step of the longest chain of modules that import modules


def collect_if_changed() -> None:
    """Fill STATIC_ROOT as `collectstatic` does (about 4 s), unless it was filled from the very same files.

    Processes that start together do it one after the other, which means once.
    """
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    with open(settings.STATIC_ROOT / ".collecting", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _collect_if_changed()


def _collect_if_changed() -> None:
    found = hashlib.sha256()
    for finder in get_finders():
        for path in sorted(storage.path(name) for name, storage in finder.list([])):
            status = os.stat(path)
            found.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    stamp = settings.STATIC_ROOT / ".collected"
    if stamp.is_file() and stamp.read_text() == found.hexdigest():
        return
    stamp.unlink(missing_ok=True)  # until it is done again
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(found.hexdigest())
