"""The project. Before anything else it imports redis-py as if OpenTelemetry were not installed.

redis-py imports OpenTelemetry where it finds it, for figures that it makes only when it is told to: time and memory of
every process for nothing. Our traces do not need it (trading/tracing.py).
"""

import importlib
import sys
from typing import Any

_TRACES = "opentelemetry"

if _TRACES not in sys.modules:
    _modules: dict[str, Any] = sys.modules
    _modules[_TRACES] = None  # importing it raises ImportError
    try:
        importlib.import_module("redis")
    finally:
        del _modules[_TRACES]
