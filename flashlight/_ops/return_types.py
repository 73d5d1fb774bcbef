"""The named tuples that operations return, as `torch.return_types`."""

from __future__ import annotations


class ReturnType(tuple):
    """A tuple whose items have names too; takes one sequence, or the items."""

    __slots__ = ()
    _fields: tuple = ()

    def __new__(cls, *items):
        if len(items) == 1 and len(cls._fields) != 1 and isinstance(items[0], (tuple, list)):
            items = items[0]
        if len(items) != len(cls._fields):
            raise TypeError(
                f"{cls.__module__}.{cls.__name__}() takes a {len(cls._fields)}-sequence "
                f"({len(items)}-sequence given)"
            )
        return tuple.__new__(cls, items)

    def __repr__(self):
        inner = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{inner})"

    def __reduce__(self):
        return type(self), (tuple(self),)


def return_type(name: str, *fields: str) -> type:
    """Return a new named tuple class, known under `torch.return_types`."""
    from operator import itemgetter

    members = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    made = type(
        name,
        (ReturnType,),
        {
            "__slots__": (),
            "_fields": fields,
            "__match_args__": fields,
            "n_fields": len(fields),
            "n_sequence_fields": len(fields),
            "n_unnamed_fields": 0,
            "__module__": "flashlight.return_types",
            **members,
        },
    )
    ALL[name] = made
    return made


ALL: dict = {}
for _name in (
    "max", "min", "median", "nanmedian", "mode", "sort", "topk", "kthvalue", "cummax", "cummin",
):
    return_type(_name, "values", "indices")
aminmax = return_type("aminmax", "min", "max")
