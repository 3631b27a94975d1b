/* The network in C, with backpropagation derived by hand.
 *
 * A tile of a product goes through bias, activation and mask while it is in the first cache; under
 * gradient descent B2 and U1 are one product, which is taken from W where W stands. No BLAS, and no
 * automatic differentiation: `backward` is the derivation B1 to B4 of `contract/equations.py`.
 */
#include "layers_c.h"

static void activate(void *layer, long row, long rows, long column, long columns)
{
    Layer *l = layer;
    Tile t = tile_at(l, row, rows, column, columns);
    if (l->b)
        add_bias(t, l, column); /* F1 */
    ACTIVATIONS[l->g].g(t); /* F2 */
    if (l->m)
        drop(t, l, row, column, l->a, l->kept); /* F3 */
}

static void times_slope(void *layer, long row, long rows, long column, long columns)
{
    Layer *l = layer;
    Tile t = tile_at(l, row, rows, column, columns);
    if (l->m)
        drop(t, l, row, column, l->delta, l->delta); /* B4 */
    ACTIVATIONS[l->g].dg(t); /* B4 */
}

/* z_l, a_l = g(z_l) and m_l a_l of each layer. */
static void propagate(Network *net, const real *X, long n)
{
    place(net, X, n);
    for (Layer *l = net->first; l <= net->last; l++)
        a_W(net, l, n, activate); /* F1, F2, F3 */
}

/* Outputs (batch, outputs). */
void samegrad_forward(Network *net, const real *X, long n, real *outputs)
{
    propagate(net, X, n);
    const Layer *l = net->last;
    for (long i = 0; i < n; i++)
        memcpy(outputs + i * l->fan_out, l->a + i * l->stride, l->fan_out * sizeof(real));
}

/* The loss before any gradient; delta of the outputs becomes dloss/da. */
double samegrad_loss(Network *net, const real *X, const void *y, long n)
{
    propagate(net, X, n);
    return loss_of_outputs(net, y, n) + penalty(net); /* L1, L2, B1 */
}

/* From the last layer on dW and db, or the step that they make: W_l is free then. */
static void backward(Network *net, long n, double rate, double t)
{
    times_slope_of_outputs(net->last, n); /* B1 */
    for (Layer *l = net->last; l >= net->first; l--) {
        if (l > net->first) /* nobody asks for dloss/dX */
            delta_Wt(net, l, n, times_slope); /* B4 */
        if (!l->dW && adds(net, n)) {
            at_delta(net, l, n, -rate, 1 - rate * (net->l2 + net->decay), l->W); /* B2, U1, U7 */
            column_sums(l, n, -rate, 1, l->b); /* B3, U1 */
            continue;
        }
        real *dW = l->dW ? l->dW : net->dW, *db = l->dW ? l->db : l->b ? net->db : NULL;
        scaled(net->l2, l->W, l->fan_in * l->fan_out, dW); /* B2 */
        at_delta(net, l, n, 1, net->l2 != 0, dW); /* B2 */
        column_sums(l, n, 1, 0, db); /* B3 */
        if (!l->dW)
            update(net, l, dW, db, rate, t); /* U1-U7 */
    }
}

/* The loss; its gradient is in dW and db of each layer. */
double samegrad_loss_and_grad(Network *net, const real *X, const void *y, long n)
{
    double value = samegrad_loss(net, X, y, n);
    backward(net, n, 0, 0);
    return value;
}

/* The loss before an update in place, that of step t. */
double samegrad_train_step(Network *net, const real *X, const void *y, long n, double rate, double t)
{
    double value = samegrad_loss(net, X, y, n);
    backward(net, n, rate, t);
    return value;
}
