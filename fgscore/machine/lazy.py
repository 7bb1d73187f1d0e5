"""A property that is computed when first asked for, without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from functools import cached_property as lazy
else:

    class lazy:
        """As :class:`functools.cached_property`, which before Python 3.12 holds one lock for all instances of a class
        together: threads that compute the same property of different blocks would do so one after the other."""

        def __init__(self, function) -> None:
            self.function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner, name) -> None:
            self.name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = instance.__dict__[self.name] = self.function(instance)  # found there before this, from now on
            return value


__all__ = ["lazy"]
