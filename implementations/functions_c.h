/* Tables of the C network: activations, losses and update rules, in the order of `spec.py`.
 *
 * Each derivative is derived by hand, and takes both z and a = g(z), whichever is handier. The
 * constants of `equations.py` are given to the compiler.
 */
#pragma once
#include "vectors_c.h"

typedef struct { /* rows x columns numbers of a layer, at the same place of each array */
    long rows, columns, stride;
    real *z, *a, *delta;
} Tile;

#define ALL(x) ((vec){0} + (real)(x))

static vec sigmoid(vec z) /* exp never sees a positive number */
{
    vec e = vexp(-magnitude(z));
    return where(z >= 0, ALL(1), e) / (1 + e);
}

static vec softplus(vec z) /* log(1 + exp(z)), its larger part taken out first */
{
    return where(z > 0, z, ALL(0)) + each(LIBM(log1p), vexp(-magnitude(z)));
}

#define SCALE ((real)1.5957691216057308) /* 2 sqrt(2/pi) */
static vec gelu_sigmoid(vec z) { return sigmoid(SCALE * (z + (real)0.044715 * z * z * z)); }

static vec gelu_slope(vec z)
{
    vec s = gelu_sigmoid(z);
    return s + z * s * (1 - s) * SCALE * (1 + 3 * (real)0.044715 * z * z);
}

static vec silu_slope(vec z, vec a)
{
    vec s = sigmoid(z);
    return s + a * (1 - s);
}

static vec lif_rate_of(vec v) /* log(1 + 1/j) = log(1 + j) - log(j) for any j > 0 */
{
    vec u = (v - 1) / (real)LIF_WIDTH, low = where(u < -40, ALL(-40), u), j = (real)LIF_WIDTH * softplus(u);
    vec log_softplus = where(u < -40, u, each(LIBM(log), softplus(low)));
    return 1 / ((real)T_REF + (real)TAU * (each(LIBM(log1p), j) - (real)log(LIF_WIDTH) - log_softplus));
}

static vec lif_rate_slope(vec v, vec a) /* a^2 TAU j' / (j (1 + j)) */
{
    vec u = (v - 1) / (real)LIF_WIDTH, low = where(u < -40, ALL(-40), u);
    vec ratio = where(u < -40, ALL(1), sigmoid(low) / softplus(low));
    return a * a * (real)(TAU / LIF_WIDTH) * ratio / (1 + (real)LIF_WIDTH * softplus(u));
}

/* a becomes g(z); delta, which holds dloss/da, becomes dloss/dz. */
#define ACTIVATION(name, g, slope)                                                       \
    static void name(Tile t)                                                             \
    {                                                                                    \
        for (long n = 0; n < t.rows; n++, t.z += t.stride, t.a += t.stride)              \
            for (long j = 0; j < t.columns; j += LANES) {                                \
                vec z = *(vec *)(t.z + j);                                               \
                *(vec *)(t.a + j) = g;                                                   \
            }                                                                            \
    }                                                                                    \
    static void d_##name(Tile t)                                                         \
    {                                                                                    \
        for (long n = 0; n < t.rows; n++, t.z += t.stride, t.a += t.stride, t.delta += t.stride) \
            for (long j = 0; j < t.columns; j += LANES) {                                \
                vec z = *(vec *)(t.z + j), a = *(vec *)(t.a + j);                        \
                (void)z, (void)a;                                                        \
                *(vec *)(t.delta + j) *= slope;                                          \
            }                                                                            \
    }
ACTIVATION(identity, z, 1)
ACTIVATION(relu, where(z > 0, z, ALL(0)), where(a > 0, ALL(1), ALL(0)))
ACTIVATION(leaky_relu, where(z > 0, z, (real)LEAKY_SLOPE *z), where(z > 0, ALL(1), ALL(LEAKY_SLOPE)))
ACTIVATION(logistic, sigmoid(z), a *(1 - a))
ACTIVATION(hyperbolic, each(LIBM(tanh), z), 1 - a * a)
ACTIVATION(gelu, z *gelu_sigmoid(z), gelu_slope(z))
ACTIVATION(silu, z *sigmoid(z), silu_slope(z, a))
ACTIVATION(soft, softplus(z), sigmoid(z))
ACTIVATION(lif_rate, lif_rate_of(z), lif_rate_slope(z, a))
ACTIVATION(unit_step, where(z > 0, ALL(1), ALL(0)), 0)

static const struct { void (*g)(Tile), (*dg)(Tile); } ACTIVATIONS[] = {
    {identity, d_identity}, {relu, d_relu}, {leaky_relu, d_leaky_relu}, {logistic, d_logistic},
    {hyperbolic, d_hyperbolic}, {gelu, d_gelu}, {silu, d_silu}, {soft, d_soft},
    {lif_rate, d_lif_rate}, {unit_step, d_unit_step},
};

/* Mean of -log softmax(a)[y]; a becomes (softmax(a) - onehot(y)) / batch. A label that is no
 * output makes the loss NaN. */
static double cross_entropy(real *a, long n, long outputs, long stride, const void *labels)
{
    const int64_t *y = labels;
    double total = 0, odds = 1;
    for (long i = 0; i < n; i++, a += stride) {
        if (y[i] < 0 || y[i] >= outputs)
            return NAN;
        vec highs = ALL(-INFINITY), sums = {0};
        for (long j = 0; j < stride; j += LANES) {
            vec z = load_over(a + j, outputs - j, ALL(-INFINITY));
            highs = where(z > highs, z, highs);
        }
        real highest = most(highs), right = a[y[i]] - highest;
        for (long j = 0; j < stride; j += LANES)
            sums += *(vec *)(a + j) = vexp(load_over(a + j, outputs - j, ALL(-INFINITY)) - highest);
        real exps = sum(sums);
        total -= right; /* L1 */
        odds *= exps; /* the logarithm of eight at once: each is from 1 to the number of outputs */
        if (i % 8 == 7 || i == n - 1)
            total += log(odds), odds = 1; /* L1 */
        for (long j = 0; j < stride; j += LANES)
            *(vec *)(a + j) *= 1 / (exps * n); /* B1 */
        a[y[i]] -= (real)1 / n; /* B1 */
    }
    return total / n;
}

/* 1/batch of the sum of log(1 + exp(a)) - y a; a becomes (sigmoid(a) - y) / batch. */
static double binary_cross_entropy(real *a, long n, long outputs, long stride, const void *targets)
{
    const real *y = targets;
    double total = 0;
    for (long i = 0; i < n; i++, a += stride, y += outputs)
        for (long j = 0; j < outputs; j++) {
            real e = LIBM(exp)(a[j] < 0 ? a[j] : -a[j]);
            total += (a[j] > 0 ? a[j] : 0) + LIBM(log1p)(e) - y[j] * a[j]; /* L1 */
            a[j] = ((a[j] < 0 ? e : 1) / (1 + e) - y[j]) / n; /* B1 */
        }
    return total / n;
}

/* 1/(2 batch) of the sum of (a - y)^2; a becomes (a - y) / batch. */
static double mse(real *a, long n, long outputs, long stride, const void *targets)
{
    const real *y = targets;
    double total = 0;
    for (long i = 0; i < n; i++, a += stride, y += outputs)
        for (long j = 0; j < outputs; j++) {
            real off = a[j] - y[j];
            total += (double)off * off; /* L1 */
            a[j] = off / n; /* B1 */
        }
    return total / (2 * n);
}

static double (*const LOSSES[])(real *, long, long, long, const void *) = {
    cross_entropy, binary_cross_entropy, mse};

/* Each rule updates some numbers p, with gradient dp, and its arrays of state. */
#define RULE(name, ...)                                                                   \
    static void name(real *restrict p, const real *restrict dp, real *restrict s,         \
                     real *restrict e, long count, double t, real rate)                   \
    {                                                                                     \
        real fade1 = 1 - pow(BETA1, t), fade2 = 1 - pow(BETA2, t);                        \
        (void)fade1, (void)fade2, (void)s, (void)e;                                       \
        for (long i = 0; i < count; i++) { __VA_ARGS__ }                                  \
    }
RULE(sgd, p[i] -= rate * dp[i]; /* U1 */)
RULE(momentum, s[i] = (real)MOMENTUM * s[i] + dp[i]; p[i] -= rate * s[i]; /* U2 */)
RULE(nesterov, s[i] = (real)MOMENTUM * s[i] + dp[i];
     p[i] -= rate * (dp[i] + (real)MOMENTUM * s[i]); /* U3 */)
RULE(adagrad, s[i] += dp[i] * dp[i];
     p[i] -= rate * dp[i] / (LIBM(sqrt)(s[i]) + (real)ADAGRAD_EPS); /* U4 */)
RULE(adadelta, s[i] = (real)RHO * s[i] + (real)(1 - RHO) * dp[i] * dp[i]; /* U5 */
     real d = LIBM(sqrt)(e[i] + (real)ADADELTA_EPS) / LIBM(sqrt)(s[i] + (real)ADADELTA_EPS) * dp[i];
     e[i] = (real)RHO * e[i] + (real)(1 - RHO) * d * d; p[i] -= rate * d; /* U5 */)
RULE(adam, s[i] = (real)BETA1 * s[i] + (real)(1 - BETA1) * dp[i]; /* U6 */
     e[i] = (real)BETA2 * e[i] + (real)(1 - BETA2) * dp[i] * dp[i]; /* U6 */
     p[i] -= rate * (s[i] / fade1) / (LIBM(sqrt)(e[i] / fade2) + (real)ADAM_EPS); /* U6 */)

static void (*const RULES[])(real *, const real *, real *, real *, long, double, real) = {
    sgd, momentum, nesterov, adagrad, adadelta, adam, adam}; /* adamw: U7 comes first */
