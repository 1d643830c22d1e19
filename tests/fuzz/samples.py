"""A value of any wire type, made from what its type allows.

Invariant: a sample decodes as its type.
"""

from typing import Any

import msgspec
from msgspec import inspect

from pulse.core.messages import Wire, pack


def wire_types() -> list[type[Wire]]:
    """Every struct that travels, or lies on disk as those that do."""
    found: list[type[Wire]] = []
    waiting = [*Wire.__subclasses__()]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    ours = [each for each in found if each.__module__.startswith("pulse.")]
    return sorted(ours, key=lambda each: f"{each.__module__}.{each.__qualname__}")


def sample(kind: type[Wire]) -> bytes:
    """One in its bytes."""
    value = msgspec.convert(_of(inspect.type_info(kind)), kind, strict=False)
    return pack(value)


def _of(kind: inspect.Type) -> Any:
    match kind:
        case inspect.StructType(fields=fields, tag=tag):
            values = [_of(each.type) for each in fields]
            return values if tag is None else [tag, *values]
        case inspect.UnionType(types=types):
            return _of(next((each for each in types if not isinstance(each, inspect.NoneType)), types[0]))
        case inspect.IntType() | inspect.FloatType():
            return max(1, kind.ge or 0)
        case inspect.StrType():
            return "a" * max(1, kind.min_length or 0)
        case inspect.BytesType():
            return b"\x07" * max(1, kind.min_length or 0)
        case inspect.TupleType(item_types=items):
            return [_of(each) for each in items]
        case inspect.DictType(key_type=key, value_type=value):
            return {_of(key): _of(value)}
        case inspect.BoolType():
            return True
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return [_of(kind.item_type)] * max(1, kind.min_length or 0)
        case _:
            return None
