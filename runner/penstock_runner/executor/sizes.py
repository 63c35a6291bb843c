"""How large outputs may be: they are kept with the execution and given to every later task."""

from __future__ import annotations

from collections.abc import Mapping

LARGEST_OUTPUTS = 1 << 20
TOO_LARGE = (
    "Unable to emit the worker task result to the queue: "
    f"the outputs are larger than {LARGEST_OUTPUTS >> 20} MiB; "
    "write large results to a file and give its address"
)


def too_large(outputs: Mapping[str, object] | None) -> bool:
    """Whether the texts in the outputs are more than may be kept."""
    return outputs is not None and _left(outputs, LARGEST_OUTPUTS) < 0


def _left(value: object, room: int) -> int:
    """What is left of the room after the value; less than 0 when it does not fit."""
    match value:
        case str():
            return room - len(value)
        case Mapping():
            for key, item in value.items():
                room = _left(item, room - len(str(key)) - 4)
                if room < 0:
                    break
        case list() | tuple():
            for item in value:
                room = _left(item, room - 2)
                if room < 0:
                    break
        case _:
            room -= 4
    return room
