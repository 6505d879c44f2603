"""The loops over rows that no library offers, compiled by Numba: half-precision rows in, float32 sums out.

Importing this module raises ImportError where Numba is missing or the processor cannot read half precision; then
scoring.py uses torch alone. Machine code is kept beside this file, or in the user's cache, for the next start.

Functions walk their rows two or four at a time, so that every weight that is loaded serves all of them; the last row is
walked again for missing ones, so that a row's result never depends on the rows beside it. With D coordinates, `bits`
are rows of float16 seen as uint16 (or float32 as they are):

    m = w_abs |g - q| + w_squ (g - q)^2 + w_g g          what is left of f after everything that knows q alone
    sums = (sum a^2 q^2, sum a^2 g^2, sum a^2 (g - q)^2)  from which the distance follows
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

if platform.machine() in {"x86_64", "AMD64"} and not binding.get_host_cpu_features().get("f16c"):
    raise ImportError("this processor reads no half-precision numbers")

LONG = 1024  # coordinates from which adding up sixteen sums is little
FOUR = 4  # rows, and vectors, whose sums fit into the registers together
NARROW = 4  # hidden units whose sums stay in registers; with more, two matrix products pay
BLOCK_COORDINATES = 1 << 18  # of rows that several queries visit: half of a second-level cache
LOG2_E = np.float32(np.log2(np.e))
LIMIT = np.float32(60)  # of the exponent: beyond it a sigmoid is 0 or 1 in float32 as well
ROUNDER = np.float32(3 << 22)  # added to a small number it leaves its nearest integer in the lowest bits
ZERO, ONE = np.float32(0), np.float32(1)

Array = NDArray[Any]
Number = Any  # one float32, which Python has no type for
Numbers = tuple[Any, ...]


def _exponential() -> list[np.float32]:
    """The coefficients of 2^x on -0.5..0.5, interpolated in Chebyshev's points: relative error 2e-7."""
    series = np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, 5, domain=[-0.5, 0.5])
    return [np.float32(value) for value in series.convert(kind=np.polynomial.Polynomial).coef]


E0, E1, E2, E3, E4, E5 = _exponential()


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled without the GIL, sums in any order; without a folder to keep the code in, again at every start."""
    options: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


def instruction(build: Callable[..., Any]) -> Any:
    """A function that compiled code has in place of a call; `build` types its arguments and writes it in LLVM."""
    return intrinsic(build)


@instruction
def _number(context: Any, bits: Any) -> Any:
    """A float16 given by its bits, or a float32, as float32."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        return value if bits == types.float32 else builder.fpext(builder.bitcast(value, ir.HalfType()), ir.FloatType())

    return types.float32(bits), build


@instruction
def _widened(context: Any, bits: Any) -> Any:
    """A bfloat16 given by its bits, or a float32, as float32."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        if bits == types.float32:
            return value
        word = builder.zext(value, ir.IntType(32))
        return builder.bitcast(builder.shl(word, ir.Constant(word.type, 16)), ir.FloatType())

    return types.float32(bits), build


@instruction
def _narrowed(context: Any, number: Any, like: Any) -> Any:
    """A float32 as it is, or the bits of the nearest bfloat16 (ties to even), whichever `like` is."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[0]
        if like == types.float32:
            return value
        word = builder.bitcast(value, ir.IntType(32))
        sixteen, one, half = (ir.Constant(word.type, constant) for constant in (16, 1, 0x7FFF))
        odd = builder.and_(builder.lshr(word, sixteen), one)
        return builder.trunc(builder.lshr(builder.add(word, builder.add(half, odd)), sixteen), ir.IntType(16))

    return like(number, like), build


@instruction
def _rounded(context: Any, number: Any) -> Any:
    """The nearest whole number."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()]), arguments)

    return types.float32(types.float32), build


@instruction
def _times_power(context: Any, number: Any, moved: Any) -> Any:
    """`number` times two to the whole number in the lowest bits of `moved`, by adding to the exponent."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, power = (builder.bitcast(argument, ir.IntType(32)) for argument in arguments)
        added = builder.add(value, builder.shl(power, ir.Constant(value.type, 23)))
        return builder.bitcast(added, ir.FloatType())

    return types.float32(types.float32, types.float32), build


@instruction
def _fetch(context: Any, bits: Any, place: Any) -> Any:
    """Asks memory for the coordinate at that place of the rows, counted through all of them; it may lie behind them."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index = arguments
        rows, number = context.make_array(bits)(context, builder, array), ir.IntType(32)
        address = builder.bitcast(builder.gep(rows.data, [index]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(fetch, [address, *(ir.Constant(number, flag) for flag in (0, 3, 1))])  # to read, close by, data
        return context.get_dummy_value()

    return types.void(bits, types.intp), build


@compiled
def _squared_sigmoid(logit: Number) -> Number:
    power = min(max(-LOG2_E * logit, -LIMIT), LIMIT)
    rest = power - _rounded(power)
    fraction = E0 + rest * (E1 + rest * (E2 + rest * (E3 + rest * (E4 + rest * E5))))
    found = ONE / (ONE + _times_power(fraction, power + ROUNDER))
    return found * found


@compiled
def _mixed(row: Number, query: Number, scalars: Numbers) -> Number:
    w_abs, w_squ, w_g = scalars
    gap = row - query
    return w_abs * abs(gap) + w_squ * (gap * gap) + w_g * row


@compiled
def _four_dots(sums: Numbers, value: Number, weights: Array, column: int) -> Numbers:
    """Four dot products with weights (4, D), one more coordinate added."""
    return (
        sums[0] + value * weights[0, column],
        sums[1] + value * weights[1, column],
        sums[2] + value * weights[2, column],
        sums[3] + value * weights[3, column],
    )


@compiled
def _positive(sums: Numbers) -> Numbers:
    return (max(sums[0], ZERO), max(sums[1], ZERO), max(sums[2], ZERO), max(sums[3], ZERO))


@compiled
def _logit(hidden: Numbers, weights: Array, column: int) -> Number:
    return (
        hidden[0] * weights[0, column]
        + hidden[1] * weights[1, column]
        + hidden[2] * weights[2, column]
        + hidden[3] * weights[3, column]
    )


@compiled
def _added(sums: Numbers, squared_map: Number, row: Number, query: Number) -> Numbers:
    gap = row - query
    return (
        sums[0] + squared_map * (query * query),
        sums[1] + squared_map * (row * row),
        sums[2] + squared_map * (gap * gap),
    )


@compiled
def narrow_sums(
    bits: Array,
    query: Array,
    reduce: Array,
    expand: Array,
    constant: Array,
    scalars: Numbers,
    sigmoid: bool,
    sums: Array,
) -> None:
    """All of diff attention for at most four hidden units (unused ones zero), in one visit to each row.

    bits (n, D), query (D,), reduce (4, D), expand (4, D), constant (4,) -> sums (n, 3).
    """
    rows, dim = bits.shape
    for first in range(0, rows, 2):
        second = min(first + 1, rows - 1)
        left = right = (constant[0], constant[1], constant[2], constant[3])
        for j in range(dim):
            left = _four_dots(left, _mixed(_number(bits[first, j]), query[j], scalars), reduce, j)
            right = _four_dots(right, _mixed(_number(bits[second, j]), query[j], scalars), reduce, j)
        left, right = _positive(left), _positive(right)
        x = y = (ZERO, ZERO, ZERO)
        if sigmoid:
            for j in range(dim):
                x = _added(x, _squared_sigmoid(_logit(left, expand, j)), _number(bits[first, j]), query[j])
                y = _added(y, _squared_sigmoid(_logit(right, expand, j)), _number(bits[second, j]), query[j])
        else:
            for j in range(dim):
                x = _added(x, _logit(left, expand, j) ** 2, _number(bits[first, j]), query[j])
                y = _added(y, _logit(right, expand, j) ** 2, _number(bits[second, j]), query[j])
        sums[first, 0], sums[first, 1], sums[first, 2] = x
        sums[second, 0], sums[second, 1], sums[second, 2] = y


@compiled
def mix(bits: Array, query: Array, scalars: Numbers, mixed: Array) -> None:
    """What enters the first matrix product: bits (n, D), query (D,) -> the first n rows of mixed (T, D).

    `mixed` is float32, or bfloat16 seen as uint16.
    """
    rows, dim = bits.shape
    like = mixed[0, 0]
    for i in range(rows):
        for j in range(dim):
            mixed[i, j] = _narrowed(_mixed(_number(bits[i, j]), query[j], scalars), like)


@compiled
def map_sums(bits: Array, query: Array, logits: Array, sigmoid: bool, sums: Array) -> None:
    """What leaves the second product: bits (n, D), query (D,), logits (T, D) as `mix` wrote them -> sums (n, 3)."""
    rows, dim = bits.shape
    for i in range(rows):
        found = (ZERO, ZERO, ZERO)
        if sigmoid:
            for j in range(dim):
                found = _added(found, _squared_sigmoid(_widened(logits[i, j])), _number(bits[i, j]), query[j])
        else:
            for j in range(dim):
                found = _added(found, _widened(logits[i, j]) ** 2, _number(bits[i, j]), query[j])
        sums[i, 0], sums[i, 1], sums[i, 2] = found


@compiled
def cosines(bits: Array, directions: Array, found: Array) -> None:
    """Plain cosine of every row with Q unit vectors: bits (n, D), directions (Q, D) -> found (Q, n); 0 for a zero row.

    Four vectors share a visit, or two where rows are short: there adding up sixteen sums costs more than another visit
    to the block of rows, which is in the second-level cache by then.
    """
    rows, dim = bits.shape
    queries, block = len(directions), max(1, BLOCK_COORDINATES // dim)
    for start in range(0, rows, block):
        part, here, first = bits[start : start + block], found[:, start : start + block], 0
        while queries - first > 2 and dim >= LONG:
            _four_cosines(part, directions[first:], here[first:])
            first = min(first + FOUR, queries)
        while queries - first > 1:
            _two_cosines(part, directions[first], directions[first + 1], here[first], here[first + 1])
            first += 2
        if queries > first:
            _one_cosine(part, directions[first], here[first])


@compiled
def _one_cosine(bits: Array, direction: Array, found: Array) -> None:
    rows, dim = bits.shape
    for i in range(rows):
        dot = square = ZERO
        for j in range(dim):
            value = _number(bits[i, j])
            dot += value * direction[j]
            square += value * value
        found[i] = dot * _reciprocal_root(square)


@compiled
def _two_cosines(bits: Array, first: Array, second: Array, found_first: Array, found_second: Array) -> None:
    rows, dim = bits.shape
    for i in range(rows):
        dot = other = square = ZERO
        for j in range(dim):
            value = _number(bits[i, j])
            dot += value * first[j]
            other += value * second[j]
            square += value * value
        scale = _reciprocal_root(square)
        found_first[i] = dot * scale
        found_second[i] = other * scale


@compiled
def _four_cosines(bits: Array, directions: Array, found: Array) -> None:
    """Three or four vectors, four rows at a time, which fill the registers; the last stands in for a missing one.

    So long a loop does not run ahead of memory by itself: it asks for the beginning of the next rows, from where the
    processor goes on.
    """
    rows, dim = bits.shape
    last = min(FOUR, len(directions)) - 1
    for i in range(0, rows, FOUR):
        j, k, m = min(i + 1, rows - 1), min(i + 2, rows - 1), min(i + 3, rows - 1)
        for later in range(i + FOUR, i + 2 * FOUR):
            _fetch(bits, later * dim)
        w = x = y = z = (ZERO, ZERO, ZERO, ZERO, ZERO)
        for c in range(dim):
            four = directions[0, c], directions[1, c], directions[2, c], directions[last, c]
            w = _five_dots(w, _number(bits[i, c]), four)
            x = _five_dots(x, _number(bits[j, c]), four)
            y = _five_dots(y, _number(bits[k, c]), four)
            z = _five_dots(z, _number(bits[m, c]), four)
        for row, dots in ((i, w), (j, x), (k, y), (m, z)):
            scale = _reciprocal_root(dots[4])
            found[0, row], found[1, row], found[2, row] = dots[0] * scale, dots[1] * scale, dots[2] * scale
            found[last, row] = dots[3] * scale


@compiled
def _five_dots(sums: Numbers, value: Number, four: Numbers) -> Numbers:
    """Dot products with four vectors and the row itself, one more coordinate added."""
    return (
        sums[0] + value * four[0],
        sums[1] + value * four[1],
        sums[2] + value * four[2],
        sums[3] + value * four[3],
        sums[4] + value * value,
    )


@compiled
def _reciprocal_root(square: Number) -> Number:
    return ONE / np.sqrt(square) if square > ZERO else ZERO
