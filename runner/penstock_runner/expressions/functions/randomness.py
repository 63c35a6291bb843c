"""Functions that draw random values, all from the bytes that the services give."""

from __future__ import annotations

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.functions.values import whole
from penstock_runner.expressions.numbers import within_long
from penstock_runner.expressions.scope import Frame

RANDOMNESS: Table = {}
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NANO = f"_-{_BASE62}"
_FIRST_PORT, _LAST_PORT = 49152, 65535


@offer(RANDOMNESS, "uuid", in_frame=True)
def uuid(frame: Frame) -> str:
    """A random UUID."""
    from uuid import UUID

    return str(UUID(bytes=frame.services.random_bytes(16), version=4))


@offer(RANDOMNESS, "id", in_frame=True)
def short_id(frame: Frame) -> str:
    """A random id of 22 letters and digits."""
    number = int.from_bytes(frame.services.random_bytes(16), "big")
    digits = ""
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


@offer(RANDOMNESS, "nanoId", "length", "alphabet", in_frame=True)
def nano_id(frame: Frame, length: object, alphabet: object) -> str:
    """A random text, 21 characters when no length is given."""
    count = 21 if length is None else whole(length, "nanoId", "length")
    letters = alphabet if isinstance(alphabet, str) and alphabet else _NANO
    if not 1 <= count <= 1000:
        raise ExpressionFailed("The length of nanoId() must be within 1 and 1000")
    return "".join(letters[_below(frame, len(letters))] for _ in range(count))


@offer(RANDOMNESS, "random", in_frame=True)
def random(frame: Frame) -> float:
    """A random number from 0 to 1, 1 excluded."""
    return (int.from_bytes(frame.services.random_bytes(7), "big") >> 3) / 2**53


@offer(RANDOMNESS, "randomInt", "lower", "upper", required=2, in_frame=True)
def random_int(frame: Frame, lower: object, upper: object) -> int:
    """A random whole number from lower to upper, upper excluded unless they are equal."""
    low = within_long(whole(lower, "randomInt", "lower"), "randomInt")
    high = within_long(whole(upper, "randomInt", "upper"), "randomInt")
    if low > high:
        raise ExpressionFailed("In randomInt() the upper bound must not be below the lower one")
    return low if low == high else low + _below(frame, high - low)


@offer(RANDOMNESS, "randomPort", in_frame=True)
def random_port(frame: Frame) -> int:
    """A random port of the range that is free for private use."""
    return _FIRST_PORT + _below(frame, _LAST_PORT - _FIRST_PORT + 1)


def _below(frame: Frame, limit: int) -> int:
    return int.from_bytes(frame.services.random_bytes(16), "big") % limit
