"""An exact number that takes the place of a float: its value, and how it depends on variables.

The value is a fraction for as long as the arithmetic is rational, and an interval of 60 digits that
encloses it once a function such as exp is met. Each number remembers what it was computed from, so
`gradient` can differentiate a result with respect to every variable in one pass backwards.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import mpmath
import numpy as np

from samegrad.implementations.proof.exactness import DIGITS, lost, present, simple

Value = Any  # Fraction, or an interval of mpmath.iv
Degree = tuple[int, int] | None  # of numerator and denominator in all variables; None: not rational
_iv = mpmath.iv
_serial = itertools.count()
dispatch: dict[str, Callable[..., Any]] = {}  # NumPy's functions of a number, which `arrays` has


def interval(value: Value) -> Any:
    """An interval that encloses a value."""
    if isinstance(value, Fraction):
        return _iv.mpf(value.numerator) / _iv.mpf(value.denominator)
    return value


def lift(x: Any) -> Any:
    """A number as an exact one; inf and nan stay floats, with which numbers can be compared.

    Raises:
        TypeError: it is no number.
    """
    if type(x) is Number:
        return x
    if isinstance(x, int | np.integer | np.bool_):
        return Number(Fraction(int(x)))
    if isinstance(x, float | np.floating):
        x = float(x)
        if not math.isfinite(x):
            return x
        return Number(simple(x) if present().simple else Fraction(x))
    if isinstance(x, Fraction):
        return Number(x)
    raise TypeError(f"{type(x).__name__} is no number")


def _operand(x: Any) -> Any:
    """What `lift` makes of it, or NotImplemented: let the other side try."""
    if type(x) is Number:
        return x
    try:
        x = lift(x)
    except TypeError:
        return NotImplemented
    if isinstance(x, float):
        raise lost(f"{x} meets an exact number")
    return x


def same(a: Value, b: Value) -> tuple[Value, Value]:
    """Both as fractions, or both as intervals."""
    return (a, b) if type(a) is type(b) else (interval(a), interval(b))


def _sum_degree(a: Degree, b: Degree) -> Degree:
    if a is None or b is None:
        return None
    return max(a[0] + b[1], b[0] + a[1]), a[1] + b[1]


class Number:
    """An exact number: immutable; arithmetic, comparisons and functions as of a float.

    Attributes:
        value: a Fraction, or an interval that encloses it.
        parents: None of a constant, () of a variable, else pairs of a number that this one was
            computed from and the derivative of this one with respect to it.
        degree: bounds of the degrees of numerator and denominator, None if it is not rational.
    """

    __slots__ = ("degree", "parents", "serial", "value")
    # As of a scalar of NumPy, for code that asks.
    shape: ClassVar[tuple[int, ...]] = ()
    ndim, size = 0, 1
    dtype = np.dtype(object)
    __array_priority__ = 100.0

    def __init__(
        self,
        value: Value,
        parents: tuple[tuple["Number", Value], ...] | None = None,
        degree: Degree = (0, 0),
    ) -> None:
        self.value, self.parents, self.degree = value, parents, degree
        self.serial = next(_serial)

    @classmethod
    def variable(cls, value: Fraction) -> "Number":
        """A number with respect to which results can be differentiated."""
        return cls(value, (), (1, 0))

    def _made(self, value: Value, slopes: Sequence[tuple["Number", Value]], degree: Degree) -> Any:
        """A number computed from others, with the derivatives with respect to them."""
        live = tuple((n, s) for n, s in slopes if n.parents is not None)
        return Number(value, live or None, degree)

    # ---- arithmetic

    def __add__(self, other: Any) -> Any:
        other = _operand(other)
        if other is NotImplemented:
            return NotImplemented
        a, b = same(self.value, other.value)
        degree = _sum_degree(self.degree, other.degree)
        return self._made(a + b, ((self, 1), (other, 1)), degree)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        other = _operand(other)
        return NotImplemented if other is NotImplemented else self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        other = _operand(other)
        if other is NotImplemented:
            return NotImplemented
        a, b = same(self.value, other.value)
        degree = None
        if self.degree is not None and other.degree is not None:
            degree = (self.degree[0] + other.degree[0], self.degree[1] + other.degree[1])
        return self._made(a * b, ((self, b), (other, a)), degree)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        other = _operand(other)
        return NotImplemented if other is NotImplemented else self * other.reciprocal()

    def __rtruediv__(self, other: Any) -> Any:
        return self.reciprocal() * other

    def reciprocal(self) -> Any:
        """1 divided by it."""
        if isinstance(self.value, Fraction) and not self.value:
            raise lost("division by zero")
        inverse = 1 / self.value
        if not isinstance(inverse, Fraction) and not inverse.delta < _iv.inf:
            raise lost("division by what may be zero")
        degree = None if self.degree is None else self.degree[::-1]
        return self._made(inverse, ((self, -inverse * inverse),), degree)

    def __pow__(self, other: Any) -> Any:
        other = _operand(other)
        if other is NotImplemented:
            return NotImplemented
        n = other.value
        if other.parents is None and isinstance(n, Fraction):
            if n.denominator == 1:
                return self._power(int(n))
            if n == Fraction(1, 2):
                return self.sqrt()
        return (other * self.log()).exp()

    def __rpow__(self, other: Any) -> Any:
        return _operand(other) ** self

    def _power(self, n: int) -> Any:
        if n < 0:
            return self.reciprocal()._power(-n)
        if n == 0:
            return Number(Fraction(1))
        slope = n * self.value ** (n - 1)
        degree = None if self.degree is None else (n * self.degree[0], n * self.degree[1])
        return self._made(self.value**n, ((self, slope),), degree)

    def __neg__(self) -> Any:
        return self._made(-self.value, ((self, -1),), self.degree)

    def __pos__(self) -> "Number":
        return self

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    # ---- comparisons

    def compared(self, other: Any) -> int | None:
        """The sign of self - other; None beside nan or what is no number."""
        try:
            other = lift(other)
        except TypeError:
            return None
        if isinstance(other, float):
            return None if math.isnan(other) else -1 if other > 0 else 1
        if other is self:
            return 0
        a, b = same(self.value, other.value)
        sign = (a > b) - (a < b) if isinstance(a, Fraction) else _sign(a - b)
        if self.parents is not None or other.parents is not None:
            run = present()
            run.pattern = hash((run.pattern, sign))
        return sign

    def __lt__(self, other: Any) -> bool:
        return self.compared(other) == -1

    def __le__(self, other: Any) -> bool:
        return self.compared(other) in (-1, 0)

    def __gt__(self, other: Any) -> bool:
        return self.compared(other) == 1

    def __ge__(self, other: Any) -> bool:
        return self.compared(other) in (1, 0)

    def __eq__(self, other: object) -> bool:
        return self.compared(other) == 0

    def __ne__(self, other: object) -> bool:
        return self.compared(other) != 0

    def __bool__(self) -> bool:
        return self != 0

    def __hash__(self) -> int:
        return hash(self.value) if isinstance(self.value, Fraction) else id(self)

    # ---- functions that are not rational; NumPy calls them by these names

    def exp(self) -> Any:
        """e to the power of it."""
        e = _iv.exp(interval(self.value))
        return self._made(e, ((self, e),), None)

    def log(self) -> Any:
        """The natural logarithm."""
        if not self > 0:
            raise lost("the log of what is not above 0")
        x = interval(self.value)
        return self._made(_iv.log(x), ((self, 1 / x),), None)

    def sqrt(self) -> Any:
        """The square root; a fraction where it is one."""
        if self < 0:
            raise lost("the root of what is below 0")
        x = self.value
        if isinstance(x, Fraction):
            above, below = math.isqrt(x.numerator), math.isqrt(x.denominator)
            if self.parents is None and above**2 == x.numerator and below**2 == x.denominator:
                return Number(Fraction(above, below))
        root = _iv.sqrt(interval(x))
        if self.parents is not None and not self > 0:
            raise lost("the root of 0 has no derivative")
        slope = 0 if self.parents is None else 1 / (2 * root)
        return self._made(root, ((self, slope),), None)

    def erf(self) -> Any:
        """The error function."""
        x = interval(self.value)
        slope = 2 / _iv.sqrt(_iv.pi) * _iv.exp(-x * x)
        return self._made(_erf(x), ((self, slope),), None)

    def tanh(self) -> Any:
        """The hyperbolic tangent."""
        e = _iv.exp(-2 * abs(interval(self.value)))
        value = (1 - e) / (1 + e) * (-1 if self < 0 else 1)
        return self._made(value, ((self, 1 - value * value),), None)

    def sin(self) -> Any:
        """The sine."""
        x = interval(self.value)
        return self._made(_iv.sin(x), ((self, _iv.cos(x)),), None)

    def cos(self) -> Any:
        """The cosine."""
        x = interval(self.value)
        return self._made(_iv.cos(x), ((self, -_iv.sin(x)),), None)

    def expm1(self) -> Any:
        """exp(x) - 1."""
        return self.exp() - 1

    def log1p(self) -> Any:
        """log(1 + x)."""
        return (self + 1).log()

    def log2(self) -> Any:
        """The logarithm of base 2."""
        return self.log() / Number(Fraction(2)).log()

    def log10(self) -> Any:
        """The logarithm of base 10."""
        return self.log() / Number(Fraction(10)).log()

    def sinh(self) -> Any:
        """The hyperbolic sine."""
        return (self.exp() - (-self).exp()) / 2

    def cosh(self) -> Any:
        """The hyperbolic cosine."""
        return (self.exp() + (-self).exp()) / 2

    def expit(self) -> Any:
        """The logistic function, as scipy calls it."""
        return ((-self).exp() + 1).reciprocal()

    # ---- whole numbers: constant in each region

    def __floor__(self) -> int:
        if isinstance(self.value, Fraction):
            return math.floor(self.value)
        low, high = (int(mpmath.floor(mpmath.mpf(e))) for e in (self.value.a, self.value.b))
        if low != high:
            raise lost("cannot tell which whole number is below")
        return low

    def __ceil__(self) -> int:
        return -math.floor(-self)

    def __trunc__(self) -> int:
        return math.ceil(self) if self < 0 else math.floor(self)

    __int__ = __trunc__

    # ---- where exactness ends

    def __float__(self) -> float:
        raise lost("it makes a float of an exact number")

    def __round__(self, digits: int | None = None) -> Any:
        raise lost("it rounds")

    def near(self) -> float:
        """The nearest float, for people."""
        if isinstance(self.value, Fraction):
            return float(self.value)
        return float(mpmath.mpf(self.value.mid))

    def __repr__(self) -> str:
        return repr(self.near())

    def __format__(self, form: str) -> str:
        return format(self.near(), form)

    # ---- what a scalar of NumPy has

    @property
    def T(self) -> "Number":  # noqa: N802 # as NumPy calls it
        """Itself."""
        return self

    real = property(lambda self: self)

    def item(self, *_: Any) -> "Number":
        """Itself."""
        return self

    tolist = copy = conjugate = sum = mean = max = min = squeeze = item

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """Itself among floats: a narrower one would only round it."""
        kind = np.dtype(dtype).kind
        return int(self) if kind in "iu" else bool(self) if kind == "b" else self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return dispatch["ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return dispatch["function"](func, args, kwargs)


def _sign(difference: Any) -> int:
    """Of an interval; its ends are compared: mpmath 1.4 raises where intervals overlap."""
    if difference.a > 0:
        return 1
    if difference.b < 0:
        return -1
    if difference == 0:
        return 0
    raise lost("cannot tell which of two numbers is larger: they agree to all digits")


def _erf(x: Any) -> Any:
    """Its Taylor series, alternating: once terms fall, the rest is less than the next of them."""
    power = total = x
    for n in itertools.count(1):
        power = -power * x * x / n
        total += power / (2 * n + 1)
        if (abs(x) ** 2).b < n and abs(power).b < (_iv.mpf(10) ** -DIGITS).a:
            return (total + abs(power).b * _iv.mpf([-1, 1])) * 2 / _iv.sqrt(_iv.pi)
    raise AssertionError
