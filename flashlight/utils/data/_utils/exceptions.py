"""Exceptions that travel from a worker to the program, with the worker's traceback."""

from __future__ import annotations

import sys
import traceback


class KeyErrorMessage(str):
    """A message that a KeyError shows as it is, not as a quoted key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The type and traceback of the exception being handled, in a form that can be pickled."""

    def __init__(self, exc_info: tuple | None = None, where: str = "in background") -> None:
        # The exception itself may not survive pickling, and its frames never do.
        exc_info = exc_info or sys.exc_info()
        self.exc_type = exc_info[0]
        self.exc_msg = "".join(traceback.format_exception(*exc_info))
        self.where = where

    def reraise(self) -> None:
        """Raise an exception of the type, with the traceback as its message.

        RuntimeError if the type wants other arguments.
        """
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)
        try:
            exception = self.exc_type(message)
        except Exception:
            raise RuntimeError(message) from None
        raise exception
