"""A loss that is a function of autograd, which the module's forward pass does not call."""

import torch
from torch import nn


class LogCosh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, outputs, targets):
        error = outputs - targets
        ctx.save_for_backward(error)
        return torch.log(torch.cosh(error)).mean()

    @staticmethod
    def backward(ctx, up):
        (error,) = ctx.saved_tensors
        return up * torch.tanh(error) / error.numel(), None


class Net(nn.Module):
    def __init__(self, n_in=4, n_out=3):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.layer(x)

    def loss(self, x, y):
        return LogCosh.apply(self(x), y)
