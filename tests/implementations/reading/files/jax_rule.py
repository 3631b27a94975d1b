"""A function of JAX with a rule of its own, in a loss of a dict."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def swish(x):
    return x * jax.nn.sigmoid(x)


def swish_forward(x):
    return swish(x), x


def swish_backward(x, up):
    s = jax.nn.sigmoid(x)
    return (up * (s + x * s * (1 - s)),)


swish.defvjp(swish_forward, swish_backward)


def init_params(key, n_in, n_hidden, n_out):
    first, second = jax.random.split(key)
    return {
        "w": jax.random.normal(first, (n_in, n_hidden)),
        "v": jax.random.normal(second, (n_hidden, n_out)),
    }


@jax.jit
def loss(params, x, y):
    return jnp.mean((swish(x @ params["w"]) @ params["v"] - y) ** 2)
