"""`frozen` for values that are made on the way to every command.

attrs writes and compiles `__init__`, `__repr__`, `__eq__` and `__hash__` for each class, each time it is imported,
and a command imports a hundred of them. Here the last three are functions that all classes share, which takes half of
the time; what the classes do is the same. Without slots a class is not made twice, and a value of sixty fields is
made in half of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrs import frozen as frozen
else:
    import attrs

    def frozen(cls: type) -> type:
        """As `attrs.frozen`, without options; methods that the class has are kept."""
        for name, method in _SHARED:
            if name not in cls.__dict__:
                setattr(cls, name, method)
        return attrs.frozen(cls, repr=False, eq=False, slots=False)


def _repr(self: Any) -> str:
    kind = type(self)
    values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in kind.__attrs_attrs__ if field.repr)
    return f"{kind.__qualname__.rpartition('>.')[2]}({values})"


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash((type(self), _compared(self)))


def _compared(value: Any) -> tuple[Any, ...]:
    return tuple(getattr(value, field.name) for field in type(value).__attrs_attrs__ if field.eq)


_SHARED = (("__repr__", _repr), ("__eq__", _eq), ("__hash__", _hash))
