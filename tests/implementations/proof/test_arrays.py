"""Exact arrays: every expression that people write gives what it gives of floats, but exactly."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from samegrad.implementations.proof.arrays import ExactArray
from samegrad.implementations.proof.exactness import NotExactError, exact_run
from samegrad.implementations.proof.number import Number
from samegrad.implementations.proof.patches import exact_numpy
from samegrad.implementations.proof.point import Point

X, y = np.ones((4, 4)), np.array([0, 1, 1, 0])
# Of a square array z; formatted by nobody, so that each stays on its line.
EXPRESSIONS = """
np.eye(2)[y]-z[:,:2]
np.take_along_axis(z,y[:,None],axis=1)
np.trace(z)
np.vdot(z,z)
np.inner(z,z)
z@z[0]
z[0]@z[1]
np.multiply(z,2.,out=z.copy())
np.add.reduce(z)
np.expand_dims(z,0)
z.swapaxes(0,1)
np.concatenate((z,np.ones((4,1))),axis=1)
np.c_[z,np.ones(4)]
np.r_[z[0],1.0]
np.append(z,np.ones((1,4)),axis=0)
np.insert(z,0,1.0,axis=1)
np.pad(z,1)
np.roll(z,1,axis=0)
np.flip(z)
np.split(z,2)[0]
np.array_split(z,3)[0]
np.outer(z[0],z[1])
np.kron(z[:2],z[:1])
np.cumsum(z,axis=1)
np.prod(z,axis=1)
np.ravel(z)
np.apply_along_axis(lambda r:r*2.0,1,z)
np.array(list(map(lambda r:r*0.5,z)))
np.fromfunction(lambda i,j:i*0.5+j,(4,4))+z
z-z.max(axis=1,keepdims=True)
z-z.max(1)[:,None]
z-np.amax(z,axis=1,keepdims=True)
np.ptp(z,axis=1)
np.sign(z)*z
z.astype(X.dtype)
z.dtype.type(0.5)*z
np.finfo(z.dtype).eps*z
np.float32(0.5)*z
np.array(0.5)*z
np.sqrt(2/np.pi)*z
np.sum(z).item()
np.sum(z).tolist()
np.asarray(np.sum(z)).item()
z.T.dot(z)
z.reshape(2,8)
z.flatten()
z.sum(axis=(0,1))
z.sum(0,keepdims=True)
z.mean(0)
z.var(0)
z.std()
sum(z)
max(z.flat)
abs(z)
pow(z,2)
np.select([z>0,z<=0],[z,0.1*z])
np.piecewise(z,[z>0,z<=0],[lambda x:x,lambda x:0.1*x])
np.choose((z>0).astype(int),[0.1*z,z])
np.maximum.reduce(z)
np.minimum(z,0.5)
np.fmax(z,0)
np.nan_to_num(z)
np.reciprocal(z)
np.float_power(z,2)
np.subtract.outer(z[0],z[1])
np.broadcast_to(z[0],(4,4))*z
z.tolist()
np.array(z.tolist())
np.array([z[0],z[1]])
np.stack([r*2 for r in z])
np.dstack([z,z])
np.column_stack([z[0],z[1]])
np.block([[z,z]])
np.tensordot(z,z,1)
np.einsum('ij,kj->ik',z,z,optimize=True)
np.einsum('ij->',z)
np.diag(z)
np.diag(z[0])
np.diagflat(z[0])
np.triu(z)
np.linalg.multi_dot([z,z,z])
np.linalg.norm(z)
np.linalg.norm(z,axis=1)
np.linalg.norm(z)**2
np.average(z,axis=0)
np.average(z,axis=0,weights=[.25,.25,.25,.25])
np.median(z)
np.sort(z)
z[np.argsort(z[:,0])]
z[z.argmax(axis=0)]
np.array([math.exp(v) for v in z.ravel()])
np.array([[float(v)*2 for v in r] for r in z])
np.fromiter((v*2 for v in z.ravel()),dtype=float)
np.fromiter((v*2 for v in z.ravel()),dtype=float,count=16)
np.frompyfunc(lambda v:v*2,1,1)(z).astype(float)
np.matrix(z)*0.5
np.asmatrix(z).T
z.clip(min=0)
z.clip(0,1)
np.clip(z,a_min=0,a_max=None)
np.logaddexp(0,z)
np.log1p(np.exp(-np.abs(z)))
np.hypot(z,1)
np.square(z)
np.power(2.0,z)
2**z
np.exp2(z)
z**-1
np.var(z,axis=0,ddof=1)
np.std(z,axis=1,keepdims=True)
np.dot([0.5]*4,z)
np.dot(z,[0.5]*4)
np.matmul(z,np.ones(4))
np.cross(z[0,:3],z[1,:3])
np.diff(z)
np.convolve(z[0],z[1])
np.polyval([1.0,2.0],z)
np.heaviside(z,0.5)*z
np.floor(z)
np.count_nonzero(z>0)*z
np.mean(z>0)*z
(z>0).mean()*z
(z>0)*z
~(z>0)*z
(z>0).astype(z.dtype)*z
np.logical_and(z>0,z<1)*z
np.isfinite(z).all()*z
np.ones_like(z,dtype=np.float32)*z
np.full_like(z,0.1)*z
np.zeros(z.shape,dtype=z.dtype)+z
np.linspace(0,1,4)*z
np.arange(4.)*z
np.arange(4)*z
np.random.permutation(4)[0]*0+z
np.array(z,copy=True,dtype='float64')
np.asarray(z,dtype=float)
np.ascontiguousarray(z.T)
z.real
z.item(3)
z.take([0,1])
z.repeat(2)
z.compress([True,False],axis=0)
z.diagonal()
z.trace()
z.prod()
z.cumsum()
z.argmax()
z.any()
z.squeeze()
z.conj()
z.__matmul__(z)
np.size(z)*z
len(z)*z
z.size*z
z.shape[0]*z
float(z[0,0])
np.float64(0.5)*z[0,0]
z[0,0]*np.ones(3)
np.ones(3)*z[0,0]
z[0,0]+1
z[0,0]>0
np.exp(z[0,0])
np.maximum(z[0,0],0)
np.sqrt(np.abs(z[0,0]))
math.sqrt(abs(z[0,0]))
math.pow(z[0,0],2)
max(0,z[0,0])
min(z[0])
sum(sum(r) for r in z.tolist())
math.fsum(z.ravel())
math.prod(z[0])
np.mean([z[0,0],z[0,1]])
np.sum([z[0,0],z[0,1]])
np.exp([z[0,0],z[0,1]])
np.array([z[0,0],0.5])
np.maximum([z[0,0],0.5],0)
np.mean([np.sum(r) for r in z])
np.hstack([z[0,0],z[0]])
np.repeat(z,2,axis=0)
np.int64(z[0,0]>0)*z
np.dot(z,z,out=np.zeros((4,4)))
np.sum(z,axis=0,out=np.zeros(4))
np.add(z,1,where=z>0,out=np.zeros_like(z))
z[...,np.newaxis]*0.5
z[::2,1:]*0.5
z[[0,2]][:,[1,3]]
z[np.ix_([0,1],[1,2])]
np.moveaxis(z,0,1)
np.nansum(z)
np.nanmax(z)
np.allclose(z,z)*z
np.array_equal(z,z)*z
np.isclose(z,0).any()*z
""".strip().splitlines()


def written_into(z):
    """Views, rows, entries, masks and all of an array."""
    a = np.zeros(z.shape)
    a[:] = z
    a[0] = 0.1
    a.T[1] = 0.5
    row = a[2]
    row += 1
    a[a < 0] *= 0.01
    a.flat[3] = z[0, 0]
    a[np.arange(4), y] -= 1
    for i, v in np.ndenumerate(z):
        a[i] += v * 2
    return a


def softmax_in_place(z):
    """As people write it."""
    e = np.array(z - z.max(axis=1, keepdims=True), dtype=np.float32)
    np.exp(e, out=e)
    e /= e.sum(axis=1, keepdims=True)
    e[range(4), y] -= 1
    return e / len(z)


def one_hot(z):
    """Made of zeros."""
    made = np.zeros((4, 4))
    made[np.arange(4), y] = 1
    return made - z


def added_up(z):
    """Rows added into zeros of floats, and into a dict."""
    held, total = {"W": 0}, np.zeros(4)
    for row in z:
        total += row
        held["W"] = held["W"] + row
    return total + held["W"]


def both(function: Callable[[Any], Any]) -> tuple[Any, Any, list[str]]:
    """What a function gives of floats and of the same exact numbers, and what was lost."""
    floats = function(Point((0, 0), floats=True).numbers((4, 4)))
    z = Point((0, 0)).numbers((4, 4))
    with exact_run() as run, exact_numpy([function]):
        made = function(z)
    return floats, made, run.lost


def flat(x: Any) -> list[float]:
    """All numbers of anything."""
    if isinstance(x, list | tuple):
        return [number for part in x for number in flat(part)]
    if isinstance(x, np.ndarray):
        return flat(np.ndarray.view(x, np.ndarray).ravel().tolist())
    return [x.near() if isinstance(x, Number) else float(x)]


@pytest.mark.quick
@pytest.mark.parametrize(
    "function", [written_into, softmax_in_place, one_hot, added_up], ids=lambda f: f.__name__
)
def test_what_is_written_in_place_stays_exact(function: Callable[[Any], Any]) -> None:
    """The values are those of floats, and none of them is a float."""
    floats, made, lost = both(function)

    np.testing.assert_allclose(flat(floats), flat(made), rtol=1e-6)
    assert [] == lost
    assert isinstance(made, ExactArray)
    assert all(isinstance(n, Number) for n in np.ndarray.view(made, np.ndarray).flat)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of np.matrix
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_give_what_floats_give(expression: str) -> None:
    """Whatever function of NumPy, method or operator it is."""
    code = compile(f"lambda z: {expression}", __file__, "eval")
    floats, made, lost = both(eval(code, globals()))

    np.testing.assert_allclose(flat(floats), flat(made), rtol=1e-6, atol=1e-12)
    assert [] == lost


@pytest.mark.parametrize(
    "expression",
    """
    np.round(z, 2); np.linalg.inv(z); np.gradient(z[0]); z.view(np.int64); complex(z[0, 0])
    np.add(z, 1, out=X); X.__setitem__(0, z[0]); np.copyto(X, z); X.__iadd__(z); z / 0; z + np.inf
    np.add.at(X, (0, 0), z[0, 0]); np.sum(z, axis=0, out=X[0]); np.put(X, 0, z[0, 0])
    round(z[0, 0], 3); np.log(z - 9)
    """.strip()
    .replace("\n", ";")
    .split(";"),
)
def test_what_would_round_is_refused(expression: str) -> None:
    """Nothing is lost in silence."""
    z = Point((0, 0)).numbers((4, 4))

    with exact_run() as run, exact_numpy(), pytest.raises((NotExactError, TypeError)):
        eval(expression.strip(), globals() | {"z": z})

    assert len(run.lost) < 2
    assert (X == 1).all()


def test_intervals_that_touch_are_not_told_apart() -> None:
    """A kink is decided by no guess."""
    with exact_run():
        three = Number.variable(Fraction(3))
        with pytest.raises(NotExactError, match="cannot tell"):
            assert three.exp().log() > 3


@pytest.mark.parametrize("x", [-6.0, -0.5, 0.0, 0.25, 2.0, 5.5])
def test_erf_and_tanh_enclose_the_values(x: float) -> None:
    """mpmath computes them otherwise."""
    with exact_run(), mpmath.workdps(70):
        for made, right in (
            (Number.variable(Fraction(x)).erf(), mpmath.erf(x)),
            (Number.variable(Fraction(x)).tanh(), mpmath.tanh(x)),
        ):
            assert mpmath.mpf(made.value.a) <= right <= mpmath.mpf(made.value.b)
            assert made.value.delta < 1e-40
    assert math.isclose(made.near(), math.tanh(x))
