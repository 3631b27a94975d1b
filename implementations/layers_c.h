/* The layers of the C network: where their numbers lie, and the products and passes over them. */
#pragma once
#include "functions_c.h"
#include "products_c.h"

typedef struct { /* as functions_c.py fills it */
    long fan_in, fan_out, g;
    real *W, *b, *dW, *db;    /* b, and where there is no gradient to keep dW and db, are NULL */
    const real *m;            /* (batch, fan_out), or NULL */
    real *s_W, *e_W, *s_b, *e_b; /* of the update rule */
    /* of one call: rows of `stride` numbers, which whole vectors fill; z is a where g' needs no z */
    const real *a_in;
    long a_in_stride, stride;
    real *z, *a, *kept, *delta;
} Layer;

typedef struct {
    Layer *first, *last;
    long loss, rule;
    double l2, decay;
    real *memory; /* samegrad_room() numbers */
    /* of one call */
    real *dW, *db, *packing;
} Network;

enum { IDENTITY, SGD = 0, NEEDS_Z = 5, HAS_NO_SLOPE = 9, ROW_BLOCK = 64, CHUNK = 1 << 14 };

/* Whether a step adds to W and b where it multiplies. That rounds them once per some rows: of more
   than a thousand examples the gradient comes first (a step on 65,536 was off by 0.7 %). */
static int adds(const Network *net, long n) { return net->rule == SGD && n <= 1024; }

/* Where everything of a call lies; how many numbers that takes. Without memory, only the latter. */
static long place(Network *net, const real *X, long n)
{
    real *base = (real *)(((uintptr_t)net->memory + 63) / 64 * 64), *none = NULL;
    long used = 0, widest[2] = {0}, largest = 0, broadest = 0, packing = 0;
#define MORE(most, value) ((most) = (value) > (most) ? (value) : (most))
#define TAKE(where, count) \
    (*(net->memory ? &(where) : &none) = base ? base + used : NULL, used += ((count) + 15) / 16 * 16)
    for (Layer *l = net->first; l <= net->last; l++) {
        l->stride = up_to(LANES, l->fan_out);
        TAKE(l->a, n * l->stride);
        l->z = l->a, l->kept = l->a, l->delta = l->a;
        if (l->g >= NEEDS_Z && l->g < HAS_NO_SLOPE)
            TAKE(l->z, n * l->stride);
        if (l->m)
            TAKE(l->kept, n * l->stride);
        l->a_in = l == net->first ? X : l[-1].kept;
        l->a_in_stride = l == net->first ? l->fan_in : l[-1].stride;
        if (l < net->last)
            MORE(widest[(l - net->first) % 2], l->stride);
        MORE(largest, l->fan_in * l->fan_out);
        MORE(broadest, l->fan_out);
        if (net->memory) /* what packing takes comes last: here only its place counts */
            continue;
        MORE(packing, product_room(n, l->fan_out, l->fan_in));
        if (l > net->first) /* B4 */
            MORE(packing, product_room(n, l->fan_in, l->fan_out));
        MORE(packing, product_room(l->fan_in, l->fan_out, n));
    }
    if (net->last->g != IDENTITY)
        TAKE(net->last->delta, n * net->last->stride);
    real *deltas[2] = {NULL};
    TAKE(deltas[0], n * widest[0]);
    TAKE(deltas[1], n * widest[1]);
    for (Layer *l = net->first; l < net->last; l++)
        l->delta = deltas[(l - net->first) % 2];
    if (!adds(net, n) && !net->first->dW) {
        TAKE(net->dW, largest);
        TAKE(net->db, broadest);
    }
    TAKE(net->packing, packing);
    return used + 64;
}

long samegrad_room(Network *net, long n)
{
    Network without = *net;
    without.memory = NULL;
    return place(&without, NULL, n);
}

static Tile tile_at(Layer *l, long row, long rows, long column, long columns)
{
    long at = row * l->stride + column;
    return (Tile){rows, columns, l->stride, l->z + at, l->a + at, l->delta + at};
}

static void add_bias(Tile t, const Layer *l, long column)
{
    for (long j = 0; j < t.columns; j += LANES) {
        vec b = load(l->b + column + j, l->fan_out - column - j);
        for (long i = 0; i < t.rows; i++)
            *(vec *)(t.z + i * t.stride + j) += b;
    }
}

/* to <- m from, at a tile that begins at a row and a column. */
static void drop(Tile t, const Layer *l, long row, long column, const real *from, real *to)
{
    for (long i = 0; i < t.rows; i++)
        for (long j = 0; j < t.columns; j += LANES) {
            vec m = load(l->m + (row + i) * l->fan_out + column + j, l->fan_out - column - j);
            long at = (row + i) * l->stride + column + j;
            *(vec *)(to + at) = m * *(const vec *)(from + at);
        }
}

/* z = a_in W, and what comes after each tile of it. */
static void a_W(Network *net, Layer *l, long n, void (*after)(void *, long, long, long, long))
{
    product((Product){n, l->fan_out, l->fan_in, l->a_in, l->a_in_stride, 1, l->W, l->fan_out, 1,
                      l->z, l->stride, 1, 0, net->packing, after, l});
}

/* delta W^T into the delta of the layer before, and what comes after each tile of it. */
static void delta_Wt(Network *net, Layer *l, long n, void (*after)(void *, long, long, long, long))
{
    product((Product){n, l->fan_in, l->fan_out, l->delta, l->stride, 1, l->W, 1, l->fan_out,
                      l[-1].delta, l[-1].stride, 1, 0, net->packing, after, l - 1});
}

/* C <- alpha a_in^T delta + beta C. */
static void at_delta(Network *net, Layer *l, long n, double alpha, double beta, real *C)
{
    product((Product){l->fan_in, l->fan_out, n, l->a_in, 1, l->a_in_stride, l->delta, l->stride, 1,
                      C, l->fan_out, alpha, beta, net->packing, NULL, NULL});
}

/* to <- alpha (sum of the rows of delta) + beta to, some rows at a time, as BLAS adds. */
static void column_sums(const Layer *l, long n, double alpha, double beta, real *to)
{
    for (long i0 = 0; to && i0 < n; i0 += ROW_BLOCK, beta = 1)
        for (long j = 0; j < l->fan_out; j += COLUMNS) {
            const real *from = l->delta + i0 * l->stride + j;
            vec sums[2] = {0};
            for (long i = 0; i < least(ROW_BLOCK, n - i0); i++, from += l->stride) {
                sums[0] += *(const vec *)from;
                if (j + LANES < l->stride)
                    sums[1] += *(const vec *)(from + LANES);
            }
            for (long v = 0, at = j; v < 2; v++, at += LANES) {
                vec total = (real)alpha * sums[v];
                long left = l->fan_out - at;
                if (beta != 0)
                    total += (real)beta * load(to + at, left);
                store(to + at, total, left);
            }
        }
}

/* delta of the outputs, which holds dloss/da, becomes dloss/dz. */
static void times_slope_of_outputs(Layer *l, long n)
{
    if (l->g != IDENTITY)
        ACTIVATIONS[l->g].dg(tile_at(l, 0, n, 0, l->stride));
}

/* The loss of the outputs, whose place or copy becomes dloss/da. */
static double loss_of_outputs(Network *net, const void *y, long n)
{
    Layer *l = net->last;
    if (l->delta != l->a)
        memcpy(l->delta, l->a, n * l->stride * sizeof(real));
    return LOSSES[net->loss](l->delta, n, l->fan_out, l->stride, y);
}

/* l2/2 times the sum of W^2, a row at a time. */
static double penalty(const Network *net)
{
    double total = 0;
    for (Layer *l = net->first; net->l2 && l <= net->last; l++)
        for (long i = 0; i < l->fan_in; i++) {
            vec squares = {0};
            for (long j = 0; j < l->fan_out; j += LANES) {
                vec w = load(l->W + i * l->fan_out + j, l->fan_out - j);
                squares += w * w;
            }
            total += sum(squares);
        }
    return net->l2 / 2 * total;
}

/* dW <- l2 W; nothing where there is no such term. */
static void scaled(double l2, const real *W, long count, real *dW)
{
    for (long i = 0; l2 && i < count; i++)
        dW[i] = (real)l2 * W[i];
}

/* One step of the rule on W and b, in parts that threads share. */
static void update(Network *net, Layer *l, const real *dW, const real *db, double rate, double t)
{
    long count = l->fan_in * l->fan_out;
    real keep = 1 - rate * net->decay;
#pragma omp parallel for if (count > 4 * CHUNK)
    for (long i = 0; i < count; i += CHUNK) {
        long n = least(CHUNK, count - i);
        for (long k = i; net->decay && k < i + n; k++)
            l->W[k] *= keep; /* U7 */
        RULES[net->rule](l->W + i, dW + i, l->s_W + i, l->e_W + i, n, t, rate);
    }
    if (l->b)
        RULES[net->rule](l->b, db, l->s_b, l->e_b, l->fan_out, t, rate);
}

/* C = A B; A or B may be the transpose of what is given. */
void samegrad_product(const real *A, long a_row, long a_column, const real *B, long b_row,
                      long b_column, real *C, long m, long n, long k, real *room)
{
    product((Product){m, n, k, A, a_row, a_column, B, b_row, b_column, C, n, 1, 0, room, NULL, NULL});
}

long samegrad_product_room(long m, long n, long k) { return product_room(m, n, k); }
