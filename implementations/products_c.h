/* Matrix products C <- alpha A B + beta C, cache-blocked as in Goto and van de Geijn (2008).
 *
 * A tile of C, ROWS x COLUMNS, stays in registers while DEEP numbers of its sums are added. The
 * columns of B that it needs lie packed one after the other in the first cache, HIGH rows of A in
 * the second. `after` is called with each tile that is complete, while it is still in the first
 * cache. Rows are shared out to threads where the product is large enough for it.
 */
#pragma once
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_max_threads() 1
#define omp_get_thread_num() 0
#endif
#include "vectors_c.h"

enum { DEEP = 256, HIGH = 16 * 12, BROAD = 2048, TOGETHER = 4 * COLUMNS };
/* HIGH is a multiple of every ROWS; four panels are packed together. */
#define PAYS 2e6 /* operations: 10 us or more on one core, waking the others takes two */
#define SMALL (1L << 15) /* bytes of A that need no packing: it stays in the first cache */
#define ALWAYS static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16")

typedef struct {
    long m, n, k;                /* C is m x n, A m x k, B k x n */
    const real *A;
    long a_row, a_column;        /* from one row to the next, from one column to the next */
    const real *B;
    long b_row, b_column;
    real *C;
    long c_row;
    real alpha, beta;
    real *room;                  /* product_room(m, n, k) numbers */
    void (*after)(void *layer, long row, long rows, long column, long columns);
    void *layer;
} Product;

static long least(long a, long b) { return a < b ? a : b; }

static long up_to(long multiple, long a) { return (a + multiple - 1) / multiple * multiple; }

static long room_for_B(long n, long k) { return least(DEEP, k) * up_to(COLUMNS, least(BROAD, n)); }

/* Rows of A that one of the threads takes at a time. */
static long high(long m, int threads) { return least(HIGH, up_to(ROWS, (m + threads - 1) / threads)); }

static long room_for_A(long m, long k, int threads)
{
    return up_to(16, least(DEEP, k) * high(m, threads));
}

/* Numbers that packing takes at most, with all threads. */
static long product_room(long m, long n, long k)
{
    int threads = omp_get_max_threads();
    return room_for_B(n, k) + threads * room_for_A(m, k, threads);
}

/* One tile: `rows`, `vectors` and one of the steps of A are constants where it is called. alpha and
 * beta stay in memory until they are needed: registers are scarce. */
ALWAYS void tile(int rows, int vectors, long k, const real *A, long a_row, long a_column,
                 const real *B, long b_row, real *C, long c_row, long width, const real *factors)
{
    vec sums[ROWS][2] = {0};
    for (long i = 0; i < k; i++, A += a_column, B += b_row) {
        vec b[2] = {*(const vec *)B};
        if (vectors == 2)
            b[1] = *(const vec *)(B + LANES);
        UNROLLED for (int r = 0; r < rows; r++) {
            sums[r][0] += A[r * a_row] * b[0];
            if (vectors == 2)
                sums[r][1] += A[r * a_row] * b[1];
        }
    }
    real alpha = factors[0], beta = factors[1];
    UNROLLED for (int r = 0; r < rows; r++, C += c_row) {
        if (width >= vectors * LANES) {
            UNROLLED for (int v = 0; v < vectors; v++) {
                vec *c = (vec *)C + v;
                *c = beta == 0 ? alpha * sums[r][v] : alpha * sums[r][v] + beta * *c;
            }
            continue;
        }
        vec row[2] = {sums[r][0], sums[r][1]};
        for (long j = 0; j < width; j++) {
            real total = alpha * row[j / LANES][j % LANES];
            C[j] = beta == 0 ? total : total + beta * C[j];
        }
    }
}

/* The same with what is constant there as constants here. */
#define TILE(ROWS_, VECTORS_) \
    (a_row == 1 ? tile(ROWS_, VECTORS_, k, A, 1, a_column, B, b_row, C, c_row, width, factors) \
                : tile(ROWS_, VECTORS_, k, A, a_row, 1, B, b_row, C, c_row, width, factors))
static void tile_of(long rows, int vectors, long k, const real *A, long a_row, long a_column,
                    const real *B, long b_row, real *C, long c_row, long width, const real *factors)
{
    switch (8 * vectors + (rows == ROWS ? 7 : rows)) {
    case 8 + 7: TILE(ROWS, 1); break;
    case 8 + 4: TILE(4, 1); break;
    case 8 + 2: TILE(2, 1); break;
    case 8 + 1: TILE(1, 1); break;
    case 16 + 7: TILE(ROWS, 2); break;
    case 16 + 4: TILE(4, 2); break;
    case 16 + 2: TILE(2, 2); break;
    case 16 + 1: TILE(1, 2); break;
    }
}

/* How many rows the next tile takes of those that are left. */
static long tall(long left)
{
    if (left >= ROWS && left != ROWS + 2)
        return ROWS;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* k rows and up to COLUMNS columns of B, one row after the other, zeros after the last column. */
static void pack_panel(const real *B, long b_row, long b_column, long k, long columns, real *to)
{
    if (columns < COLUMNS)
        memset(to, 0, k * COLUMNS * sizeof(real));
    for (long j = 0; j < columns; j += LANES)
        for (long i = 0; i < k; i += LANES) {
            const real *from = B + i * b_row + j * b_column;
            real *into = to + i * COLUMNS + j;
            if (b_row == 1 && i + LANES <= k && j + LANES <= columns)
                turn(from, b_column, into, COLUMNS);
            else
                for (long r = 0; r < least(LANES, k - i); r++)
                    for (long c = 0; c < least(LANES, columns - j); c++)
                        into[r * COLUMNS + c] = from[r * b_row + c * b_column];
        }
}

/* Some panels one after the other; a row of all of them is read at once, where it lies together. */
static void pack(const real *B, long b_row, long b_column, long k, long columns, real *to)
{
    long whole = b_column == 1 ? columns / COLUMNS * COLUMNS : 0;
    for (long i = 0; i < k; i++)
        for (long j = 0; j < whole; j += COLUMNS)
            memcpy(to + j * k + i * COLUMNS, B + i * b_row + j, COLUMNS * sizeof(real));
    for (long j = whole; j < columns; j += COLUMNS)
        pack_panel(B + j * b_column, b_row, b_column, k, least(COLUMNS, columns - j), to + j * k);
}

/* What one of the threads does of a product. */
static void share(const Product *p, int thread, int threads)
{
    int direct = p->b_column == 1 && p->m < 2 * ROWS; /* too few rows to pack for */
    int low = p->a_row == 1 && p->k * p->a_column * (long)sizeof(real) > SMALL;
    real *packed = p->room, *rows_of_A = packed + room_for_B(p->n, p->k);
    long step = high(p->m, threads);
    rows_of_A += thread * room_for_A(p->m, p->k, threads);
    for (long j0 = 0; j0 < p->n; j0 += BROAD)
        for (long k0 = 0; k0 < p->k; k0 += DEEP) {
            long n = least(BROAD, p->n - j0), k = least(DEEP, p->k - k0);
            const real *B = p->B + k0 * p->b_row + j0 * p->b_column;
            const real factors[2] = {p->alpha, k0 ? 1 : p->beta};
            long first = direct ? n / COLUMNS * COLUMNS : 0; /* of one that is not whole, all are */
            for (long j = first + thread * TOGETHER; j < n; j += threads * TOGETHER)
                pack(B + j * p->b_column, p->b_row, p->b_column, k, least(TOGETHER, n - j),
                     packed + j * k);
            if (threads > 1) {
#pragma omp barrier
            }
            for (long i0 = thread * step; i0 < p->m; i0 += threads * step) {
                long m = least(step, p->m - i0), a_row = p->a_row, a_column = p->a_column;
                const real *A = p->A + i0 * a_row + k0 * a_column;
                for (long h = 0; low && h < k; h++) /* the rows of a tile one after the other */
                    for (long i = 0, rows; i < m; i += rows) {
                        real *to = rows_of_A + i * k + h * (rows = tall(m - i));
                        const real *from = A + i + h * a_column;
                        if (rows == ROWS)
                            memcpy(to, from, ROWS * sizeof(real));
                        else
                            memcpy(to, from, rows * sizeof(real));
                    }
                for (long j = 0; j < n; j += COLUMNS) {
                    int own = direct && n - j >= COLUMNS, vectors = n - j > LANES ? 2 : 1;
                    long width = least(vectors * LANES, p->c_row - j0 - j);
                    for (long i = 0, rows; i < m; i += rows) {
                        rows = tall(m - i);
                        tile_of(rows, vectors, k, low ? rows_of_A + i * k : A + i * a_row, a_row,
                                low ? rows : a_column, own ? B + j : packed + j * k,
                                own ? p->b_row : COLUMNS, p->C + (i0 + i) * p->c_row + j0 + j,
                                p->c_row, width, factors);
                        if (p->after && k0 + k == p->k)
                            p->after(p->layer, i0 + i, rows, j0 + j, vectors * LANES);
                    }
                }
            }
            if (threads > 1) {
#pragma omp barrier
            }
        }
}

static void product(Product p)
{
    int threads = 2.0 * p.m * p.n * p.k > PAYS ? omp_get_max_threads() : 1;
    if (threads == 1) {
        share(&p, 0, 1);
        return;
    }
#pragma omp parallel num_threads(threads)
#ifdef _OPENMP
    share(&p, omp_get_thread_num(), omp_get_num_threads());
#else
    share(&p, 0, 1);
#endif
}
