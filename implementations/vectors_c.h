/* Short vectors as GCC and Clang extend C: the one header that knows of the machine.
 *
 * A vector is what one instruction takes: 16 numbers of AVX-512 in float32, 8 of AVX, 4 of NEON
 * and SSE; in float64 half as many. A tile of a product is ROWS x 2 vectors, whose sums stay in
 * registers: 24 of 32, 12 of 16, 16 of 32 and 8 of 16 of them.
 */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef SINGLE
typedef float real;
typedef int32_t whole;
#define LIBM(function) function##f
#define MANTISSA 23
#define TERMS 7 /* of exp on [-log(2)/2, log(2)/2]: the next one is below half an ulp */
#else
typedef double real;
typedef int64_t whole;
#define LIBM(function) function
#define MANTISSA 52
#define TERMS 13
#endif

#if defined(__AVX512F__)
enum { BYTES = 64, ROWS = 12 };
#elif defined(__AVX__)
enum { BYTES = 32, ROWS = 6 };
#elif defined(__aarch64__)
enum { BYTES = 16, ROWS = 8 };
#else
enum { BYTES = 16, ROWS = 4 };
#endif
enum { LANES = BYTES / sizeof(real), COLUMNS = 2 * LANES };

typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef whole mask __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

/* The first n numbers of a row, and 0 for what would come after its end. */
static inline vec load(const real *p, long n)
{
    vec x = {0};
    if (n >= LANES)
        return *(const vec *)p;
    if (n > 0)
        memcpy(&x, p, n * sizeof(real));
    return x;
}

static inline vec where(mask m, vec x, vec y) { return (vec)((m & (mask)x) | (~m & (mask)y)); }

static inline vec magnitude(vec x) { return where(x < 0, -x, x); }

static inline real sum(vec x)
{
    real total = 0;
    for (int i = 0; i < LANES; i++)
        total += x[i];
    return total;
}

/* A function of libm, one number after the other. */
static inline vec each(real (*function)(real), vec x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = function(x[i]);
    return x;
}

/* LANES rows of as many numbers, turned: in each step what is s numbers and s rows apart changes
 * places (Eklundh 1972). Clang shuffles by numbers that stand in the text only. */
static inline void turn(const real *from, long row, real *to, long to_row)
{
#ifndef __clang__
    vec x[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        x[i] = *(const vec *)(from + i * row);
#pragma GCC unroll 4
    for (int s = 1; s < LANES; s *= 2) {
        mask upper, lower;
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++)
            upper[l] = l & s ? LANES + l - s : l, lower[l] = l & s ? LANES + l : l + s;
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if (!(i & s)) {
                vec a = x[i], b = x[i + s];
                x[i] = __builtin_shuffle(a, b, upper), x[i + s] = __builtin_shuffle(a, b, lower);
            }
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        *(vec *)(to + i * to_row) = x[i];
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            to[j * to_row + i] = from[i * row + j];
#endif
}

/* exp(x) for x <= 0 to two ulps, 0 where it is no normal number: x = n log(2) + r, the series of
 * exp(r), and n added to the exponent. Adding 1.5 2^MANTISSA rounds to a whole number. */
static inline vec vexp(vec x)
{
    const real shift = 3 * (real)((whole)1 << (MANTISSA - 1));
    vec n = x * (real)1.4426950408889634 + shift, p = {0};
    mask exponent = (mask)n << MANTISSA;
    n -= shift;
    vec r = x - n * (real)6.93145751953125e-1 - n * (real)1.42860682030941723212e-6; /* Cephes */
    p += 1;
    for (int i = TERMS; i > 0; i--)
        p = p * (r * ((real)1 / i)) + 1;
    return where(x < (real)(sizeof(real) == 4 ? -87.3 : -708.3), (vec){0}, (vec)((mask)p + exponent));
}
