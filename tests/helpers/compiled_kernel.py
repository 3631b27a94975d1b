"""Compiles the kernel of Triton for a GPU that is not there, and says to what.

TRITON_INTERPRET=0 python -m tests.helpers.compiled_kernel DTYPE LOSS
"""

import sys
from typing import Any

from samegrad.implementations.checking import problems
from samegrad.implementations.contract.spec import MLPSpec


def main(dtype: str, loss: str) -> None:
    """Forward and backward of a network of two layers."""
    import triton
    from triton.backends.compiler import GPUTarget

    from samegrad.implementations.variants import functions_triton, mlp_triton

    spec = MLPSpec((16, 20, 10), "gelu", dtype=dtype, loss=loss)
    p = problems.draw(spec, 33)
    numbers = {"float32": "*fp32", "float64": "*fp64"}[dtype]
    taken: dict[str, Any] = {}

    class Noted:
        """The kernel, of which a call says what it is given."""

        def __getitem__(self, grid: object) -> object:
            return lambda *arrays, **constants: taken.update(arrays=arrays, constants=constants)

    kernel, hold = functions_triton.network, vars(mlp_triton)
    hold["network"] = Noted()
    placed = mlp_triton.BACKEND.place_params(spec, p.params, "cpu")
    X, y = (mlp_triton.BACKEND.place(array, "cpu") for array in (p.X, p.y))
    mlp_triton.loss_and_grad(spec, placed, X, y)
    constants = dict(taken["constants"])
    constants.pop("enable_fp_fusion")

    def form(argument: Any) -> Any:
        if isinstance(argument, tuple):
            return tuple(map(form, argument))
        if isinstance(argument, int):
            return "i32"
        return "*i64" if str(argument.dtype) == "torch.int64" else numbers

    names = kernel.arg_names[: len(taken["arrays"])]
    signature = dict(zip(names, map(form, taken["arrays"]), strict=True))
    signature |= dict.fromkeys(constants, "constexpr")
    source = triton.compiler.ASTSource(kernel, signature, constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    sys.stdout.write(f"{' '.join(sorted(made.asm))} {made.asm['ttir'].count('tt.dot ')}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
