"""The torch network, whose epochs get their batches from a DataLoader with two workers.

As torch's guides write it: `for X, y in DataLoader(dataset, batch_size)`, where the dataset has one
example at a time and the loader puts batches together, in two processes
that start and end with each epoch. Step, gradient and update are those of
the torch network, so what an epoch takes beside it is the loader.
"""

from samegrad.implementations.backends.torch_backend import TorchLoaderBackend
from samegrad.implementations.mlp_torch import CAPABILITIES as CAPABILITIES
from samegrad.implementations.mlp_torch import forward as forward
from samegrad.implementations.mlp_torch import init_state as init_state
from samegrad.implementations.mlp_torch import loss as loss
from samegrad.implementations.mlp_torch import loss_and_grad as loss_and_grad
from samegrad.implementations.mlp_torch import train_step as train_step

BACKEND = TorchLoaderBackend(workers=2)
