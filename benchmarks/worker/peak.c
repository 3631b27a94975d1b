/* Loops that do nothing but multiply and add, or read, or read and write. */
#include "vectors_c.h"

enum { CHAINS = ROWS == 12 || ROWS == 8 ? 20 : 10, READS = 8 };

long samegrad_operations(void) { return 2 * CHAINS * LANES; }

/* x -> x / 2 + 1/2 in so many chains that each instruction's latency is hidden. */
real samegrad_multiply_adds(long repeats)
{
    vec x[CHAINS], half = {0}, total = {0};
    half += (real)0.5;
    UNROLLED for (int c = 0; c < CHAINS; c++)
        x[c] = half + (real)c;
    for (long i = 0; i < repeats; i++) {
        UNROLLED for (int c = 0; c < CHAINS; c++)
            x[c] = x[c] * half + half;
    }
    UNROLLED for (int c = 0; c < CHAINS; c++)
        total += x[c];
    return sum(total);
}

/* The sum of n numbers, a multiple of READS vectors, again and again. */
real samegrad_reads(real *x, long n, long repeats)
{
    vec sums[READS] = {0}, total = {0};
    for (long i = 0; i < repeats; i++)
        for (long j = 0; j < n; j += READS * LANES)
            UNROLLED for (int c = 0; c < READS; c++)
                sums[c] += *(vec *)(x + j + c * LANES);
    UNROLLED for (int c = 0; c < READS; c++)
        total += sums[c];
    return sum(total);
}

/* x -> x / 2 + 1/2 of each of them. */
void samegrad_sweeps(real *x, long n, long repeats)
{
    for (long i = 0; i < repeats; i++)
        for (long j = 0; j < n; j += READS * LANES)
            UNROLLED for (int c = 0; c < READS; c++)
                *(vec *)(x + j + c * LANES) = *(vec *)(x + j + c * LANES) * (real)0.5 + (real)0.5;
}
