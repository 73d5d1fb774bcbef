"""Kullback-Leibler divergences, looked up by the types of both distributions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from flashlight.distributions.distribution import Distribution

__all__ = ["register_kl", "kl_divergence"]

#: What was registered.
_KL_REGISTRY: dict[tuple[type, type], Callable] = {}
#: What lookups found, also for subclasses.
_KL_MEMOIZE: dict[tuple[type, type], Callable] = {}


def register_kl(type_p, type_q):
    """Decorate the function for `kl_divergence` of these types and their subclasses.

    The most specific pair wins. Where that is ambiguous, as between (Base, Derived) and (Derived,
    Base), register the pair of derived types too. Raises TypeError for anything but distributions.
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(given, type) and issubclass(given, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def decorator(fun):
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _dispatch_kl(type_p, type_q):
    """The most specific function registered, or NotImplemented."""
    # A base of few bases is general: distances up the two inheritance chains order the matches,
    # by the first type and then the second, or the other way round.
    distances = [
        (type_p.__mro__.index(base_p), type_q.__mro__.index(base_q), base_p, base_q)
        for base_p, base_q in _KL_REGISTRY
        if issubclass(type_p, base_p) and issubclass(type_q, base_q)
    ]
    if not distances:
        return NotImplemented
    *_, left_p, left_q = min(distances, key=lambda match: match[:2])
    *_, right_p, right_q = min(distances, key=lambda match: match[1::-1])
    found = _KL_REGISTRY[left_p, left_q]
    if found is not _KL_REGISTRY[right_p, right_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({left_p.__name__}, {right_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def kl_divergence(p: Distribution, q: Distribution):
    """KL(p || q), the mean under p of log p - log q: of shape `batch_shape`.

    Raises NotImplementedError if nothing is registered for these types.
    """
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _dispatch_kl(*key)
    fun = _KL_MEMOIZE[key]
    if fun is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} "
            f"and q type {key[1].__name__}"
        )
    return fun(p, q)
