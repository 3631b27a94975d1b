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
#define omp_get_num_procs() 1
#define omp_get_thread_num() 0
#define omp_get_num_threads() 1
#endif
#include "vectors_c.h"

enum { DEEP = 512, HIGH = 16 * 12, BROAD = 1024, FEWEST = 4, WIDE = 512 };
/* HIGH is a multiple of every ROWS; threads share rows in fours. */
#define PAYS 2e6 /* operations: 10 us or more on one core, waking the others takes two */
#define SMALL (1L << 15) /* bytes that need no packing: they stay in the first cache */

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
    long depth;                  /* columns of A that are taken at a time; `product` chooses it */
    long column;                 /* that is C's first one here, of what columns were shared out of */
} Product;

static long least(long a, long b) { return a < b ? a : b; }

static long up_to(long multiple, long a) { return (a + multiple - 1) / multiple * multiple; }

/* The largest of as few and as equal parts as can be, each at most `most`. */
static long part(long count, long most, long multiple)
{
    long parts = count > most ? (count + most - 1) / most : 1;
    return up_to(multiple, (count + parts - 1) / parts);
}

/* Deeper where C is wide: each block reads and writes it once more. */
static long deep(long n, long k) { return part(k, n < DEEP ? DEEP / 2 : DEEP, 1); }

static long room_for_B(long n, long depth) { return depth * up_to(COLUMNS, least(BROAD, n)); }

/* Rows of A that are one thread's, and those that it takes at a time. */
static long own(long m, int threads) { return up_to(FEWEST, (m + threads - 1) / threads); }

static long high(long m, int threads) { return part(own(m, threads), HIGH, ROWS); }

/* Rows that lie a multiple of 4 KiB apart would be at the same place of the first cache. */
static long apart(long k) { return k + LANES; }

static long room_for_A(long m, long depth, int threads)
{
    return up_to(16, apart(depth) * high(m, threads));
}

/* Columns of C that are one thread's where they are shared out, and the room that it needs. */
static long own_columns(long n, int threads) { return up_to(COLUMNS, (n + threads - 1) / threads); }

static long room_for_columns(long m, long n, long depth, int threads)
{
    return up_to(16, room_for_B(own_columns(n, threads), depth) + room_for_A(m, depth, 1));
}

/* The most threads of a product, once and for all: how many OpenMP has may change. */
static int most_threads(long m, long n, long k)
{
    static int processors;
    if (!processors)
        processors = omp_get_num_procs();
    return 2.0 * m * n * k > PAYS ? processors : 1;
}

/* Numbers that packing takes at most, with any number of threads. */
static long product_room(long m, long n, long k)
{
    long depth = deep(n, k), most = 0;
    if (most_threads(m, n, k) == 1 && n < 4 * COLUMNS && k * up_to(LANES, m) * sizeof(real) <= SMALL)
        return room_for_B(n, depth); /* however A lies, `share` packs none of it */
    for (int threads = 1; threads <= most_threads(m, n, k); threads++) {
        long rows = room_for_B(n, depth) + threads * room_for_A(m, depth, threads);
        long columns = threads * room_for_columns(m, n, depth, threads);
        most = rows > most ? rows : most;
        most = columns > most ? columns : most;
    }
    return most;
}

/* One tile: `rows`, `vectors` and one of the steps of A are constants where it is called. alpha and
 * beta stay in memory until they are needed: registers are scarce. */
ALWAYS void tile(int rows, int vectors, long k, const real *A, long a_row, long a_column,
                 const real *B, long b_row, real *C, long c_row, long width, const real *factors)
{
    vec sums[ROWS][2] = {0};
    UNROLLED for (int r = 0; r < rows; r++)
        __builtin_prefetch(C + r * c_row, 1), __builtin_prefetch(C + r * c_row + LANES, 1);
    for (long i = 0; i < k; i++, A += a_column, B += b_row) {
        vec b[2] = {*(const vec *)B};
        if (vectors == 2)
            b[1] = *(const vec *)(B + LANES);
        KEPT(b[0]);
        KEPT(b[1]);
        UNROLLED for (int r = 0; r < rows; r++) {
            sums[r][0] += A[r * a_row] * b[0];
            if (vectors == 2)
                sums[r][1] += A[r * a_row] * b[1];
        }
    }
    real alpha = factors[0], beta = factors[1];
    UNROLLED for (int r = 0; r < rows; r++, C += c_row) {
        UNROLLED for (int v = 0; v < vectors; v++) {
            real *c = C + v * LANES;
            long left = width - v * LANES;
            vec total = alpha * sums[r][v];
            if (beta != 0)
                total += beta * load(c, left);
            store(c, total, left);
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
    for (long j = 0; j < COLUMNS; j += LANES, B += LANES * b_column, columns -= LANES)
        if (b_column == 1)
            for (long i = 0; i < k; i++)
                *(vec *)(to + i * COLUMNS + j) = load(B + i * b_row, columns);
        else /* b_row is 1 */
            for (long i = 0; i < k; i += LANES)
                turn(B + i, b_column, columns, k - i, to + i * COLUMNS + j, COLUMNS);
}

/* Rows from `i` to `end` of k of some panels; a row of all of them is read at once, where it lies
 * together. */
static void pack(const real *B, long b_row, long b_column, long i, long end, long k, long columns,
                 real *to)
{
    long whole = b_column == 1 ? columns / COLUMNS * COLUMNS : 0;
    for (long j = whole; i < end && j < columns; j += COLUMNS)
        pack_panel(B + i * b_row + j * b_column, b_row, b_column, end - i, least(COLUMNS, columns - j),
                   to + j * k + i * COLUMNS);
    for (; i < end; i++)
        for (long j = 0; j < whole; j += COLUMNS)
            memcpy(to + j * k + i * COLUMNS, B + i * b_row + j, COLUMNS * sizeof(real));
}

/* m rows of k numbers of A, apart(k) from one to the next; or those of each tile side by side. */
static void pack_A(const real *A, long a_row, long a_column, long k, long m, real *to)
{
    if (a_row != 1)
        for (long i = 0; i < m; i++)
            memcpy(to + i * apart(k), A + i * a_row, k * sizeof(real));
    else
        for (long h = 0; h < k; h++, A += a_column)
            for (long i = 0, rows; i < m; i += rows) {
                rows = tall(m - i);
                real *into = to + i * apart(k) + h * rows;
                if (rows == ROWS)
                    memcpy(into, A + i, ROWS * sizeof(real));
                else
                    memcpy(into, A + i, rows * sizeof(real));
            }
}

/* Columns of B that tiles read where they lie: few read them, or they stay in the first cache. */
static long unpacked(const Product *p)
{
    if (p->b_column != 1 || (p->m >= 4 * ROWS && p->k * p->b_row * (long)sizeof(real) > SMALL))
        return 0;
    return up_to(LANES, p->column + p->n) <= p->b_row ? p->n
                                                     : p->n / COLUMNS * COLUMNS; /* whole vectors */
}

/* What one of the threads does of a product; there may be fewer than were asked for. */
static void share(const Product *p, int thread, int threads, int asked)
{
    int pack_rows = p->a_row == 1 ? p->k * p->a_column * (long)sizeof(real) > SMALL
                                  : p->n >= 4 * COLUMNS && p->a_row * sizeof(real) % 1024 == 0;
    real *packed = p->room, *rows_of_A = packed + room_for_B(p->n, p->depth);
    long begin = thread * own(p->m, threads), end = least(p->m, begin + own(p->m, threads));
    long step = high(p->m, asked), lying = unpacked(p);
    rows_of_A += thread * room_for_A(p->m, p->depth, asked);
    for (long j0 = 0; j0 < p->n; j0 += BROAD)
        for (long k0 = 0; k0 < p->k; k0 += p->depth) {
            long n = least(BROAD, p->n - j0), k = least(p->depth, p->k - k0);
            const real *B = p->B + k0 * p->b_row + j0 * p->b_column;
            const real factors[2] = {p->alpha, k0 ? 1 : p->beta};
            long first = least(n, lying > j0 ? lying - j0 : 0);
            long packs = up_to(LANES, (k + threads - 1) / threads);
            pack(B + first * p->b_column, p->b_row, p->b_column, thread * packs,
                 least(k, (thread + 1) * packs), k, n - first, packed + first * k);
            if (threads > 1) {
#pragma omp barrier
            }
            for (long i0 = begin; i0 < end; i0 += step) {
                long m = least(step, end - i0), a_row = p->a_row, a_column = p->a_column;
                const real *A = p->A + i0 * a_row + k0 * a_column;
                if (pack_rows) {
                    pack_A(A, a_row, a_column, k, m, rows_of_A);
                    A = rows_of_A, a_row = a_row == 1 ? 1 : apart(k);
                }
                for (long j = 0; j < n; j += COLUMNS) {
                    int vectors = n - j > LANES ? 2 : 1;
                    long width = least(vectors * LANES, p->c_row - p->column - j0 - j);
                    for (long i = 0, rows; i < m; i += rows) {
                        rows = tall(m - i);
                        tile_of(rows, vectors, k, pack_rows ? A + i * apart(k) : A + i * a_row,
                                a_row, pack_rows && a_row == 1 ? rows : a_column,
                                j < first ? B + j : packed + j * k, j < first ? p->b_row : COLUMNS,
                                p->C + (i0 + i) * p->c_row + j0 + j, p->c_row, width, factors);
                        if (p->after && k0 + k == p->k)
                            p->after(p->layer, i0 + i, rows, p->column + j0 + j, vectors * LANES);
                    }
                }
            }
            if (threads > 1 && (k0 + k < p->k || j0 + n < p->n)) {
#pragma omp barrier
            }
        }
}

/* The same where columns are shared out: nobody waits, and nobody reads what another has packed. */
static void share_columns(Product p, int thread, int threads)
{
    long each = own_columns(p.n, threads), first = least(p.n, thread * each);
    p.room += thread * room_for_columns(p.m, p.n, p.depth, threads);
    p.n = least(each, p.n - first);
    p.B += first * p.b_column;
    p.C += first;
    p.column = first;
    share(&p, 0, 1, 1);
}

/* Whether each thread is to take columns: A, which all of them read then, is less work than B. */
static int by_columns(const Product *p, int threads)
{
    return p->n >= threads * COLUMNS && (p->n >= WIDE || (p->a_column == 1 && p->m < 8 * p->n));
}

static void product(Product p)
{
    int threads = least(omp_get_max_threads(), most_threads(p.m, p.n, p.k));
    p.depth = deep(p.n, p.k);
    if (threads == 1) {
        share(&p, 0, 1, 1);
    } else if (by_columns(&p, threads)) {
#pragma omp parallel num_threads(threads)
        share_columns(p, omp_get_thread_num(), omp_get_num_threads());
    } else {
#pragma omp parallel num_threads(threads)
        share(&p, omp_get_thread_num(), omp_get_num_threads(), threads);
    }
}
