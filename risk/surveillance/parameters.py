"""The thresholds and windows of all detectors: their defaults, and what an operator may set them to.

Values are kept by detector and parameter name; what is not set has its default.
"""

from collections.abc import Mapping
from math import isfinite

from risk.surveillance.messages import Parameter
from risk.surveillance.surveillance import DETECTORS

Values = Mapping[str, Mapping[str, float]]
"""Detector -> parameter -> value."""


class InvalidParameter(Exception):
    """A value that no parameter can have; the text says which, and why."""


def parameters_of(detector: str) -> dict[str, Parameter]:
    """A detector's parameters by name. Raises InvalidParameter for a name that no detector has."""
    if detector not in DETECTORS:
        raise InvalidParameter(f"There is no detector named {detector}.")
    return {parameter.name: parameter for parameter in DETECTORS[detector].PARAMETERS}


def defaults() -> dict[str, dict[str, float]]:
    """Every parameter of every detector at its default."""
    return {name: {one.name: one.default for one in detector.PARAMETERS} for name, detector in DETECTORS.items()}


def check(*, detector: str, parameter: str, value: float) -> None:
    """Raise InvalidParameter unless an operator may set the parameter to that value."""
    known = parameters_of(detector).get(parameter)
    if known is None:
        raise InvalidParameter(f"{detector} has no parameter named {parameter}.")
    if not isfinite(value) or not known.minimum <= value <= known.maximum:
        raise InvalidParameter(
            f"{detector}'s {parameter} is from {known.minimum:g} to {known.maximum:g} {known.unit}, not {value:g}."
        )


def completed(values: Values) -> dict[str, dict[str, float]]:
    """The values given and, for all others, the defaults. Raises InvalidParameter."""
    complete = defaults()
    for detector, changed in values.items():
        for parameter, value in changed.items():
            check(detector=detector, parameter=parameter, value=value)
            complete[detector][parameter] = value
    return complete
