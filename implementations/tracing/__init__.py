"""The line of a backward pass that makes its gradient wrong, found by experiments on live code.

`explain.explain` is the way in. In a run the values of one expression are replaced by something
that is known to be right: slopes of the file's own loss, measured, or values of its forward pass.
If the gradient comes out right, the expression was wrong, and that is the evidence.
"""
