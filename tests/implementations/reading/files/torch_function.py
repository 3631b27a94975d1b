"""A function of autograd with its own backward pass, in a module."""

import torch
from torch import nn


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return x @ weight.t() + bias

    @staticmethod
    def backward(ctx, up):
        x, weight = ctx.saved_tensors
        return up @ weight, up.t() @ x, up.sum(0)


class Net(nn.Module):
    def __init__(self, n_in=5, n_out=2):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return torch.tanh(Affine.apply(x, self.weight, self.bias))
