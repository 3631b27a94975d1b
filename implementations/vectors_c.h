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

/* The first n of the numbers at p, 0 < n < LANES: a masked instruction where there is one. */
#if defined(__AVX512F__)
#include <immintrin.h>
#define FIRST(n) ((1u << (n)) - 1)
#ifdef SINGLE
#define LOAD_FIRST(p, n, x) (x) = (vec)_mm512_mask_loadu_ps((__m512)(x), FIRST(n), p)
#define STORE_FIRST(p, n, x) _mm512_mask_storeu_ps(p, FIRST(n), (__m512)(x))
#else
#define LOAD_FIRST(p, n, x) (x) = (vec)_mm512_mask_loadu_pd((__m512d)(x), FIRST(n), p)
#define STORE_FIRST(p, n, x) _mm512_mask_storeu_pd(p, FIRST(n), (__m512d)(x))
#endif
#else
#define LOAD_FIRST(p, n, x) memcpy(&(x), p, (n) * sizeof(real))
#define STORE_FIRST(p, n, x) memcpy(p, &(x), (n) * sizeof(real))
#endif

/* The first n numbers of a row, and those of `rest` for what would come after its end. */
static inline vec load_over(const real *p, long n, vec rest)
{
    if (n >= LANES)
        return *(const vec *)p;
    if (n > 0)
        LOAD_FIRST(p, n, rest);
    return rest;
}

static inline vec load(const real *p, long n) { return load_over(p, n, (vec){0}); }

/* The first n numbers of x into a row; what comes after its end stays. */
static inline void store(real *p, vec x, long n)
{
    if (n >= LANES)
        *(vec *)p = x;
    else if (n > 0)
        STORE_FIRST(p, n, x);
}

static inline vec where(mask m, vec x, vec y) { return (vec)((m & (mask)x) | (~m & (mask)y)); }

static inline vec magnitude(vec x) { return where(x < 0, -x, x); }

#define ALWAYS static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 32")

/* In a register from here on: GCC would rather read it again where it is used. */
#if defined(__AVX512F__)
#define KEPT(x) __asm__("" : "+v"(x))
#else
#define KEPT(x) (void)(x)
#endif

#if defined(__AVX512F__) && defined(SINGLE)
static inline real sum(vec x) { return _mm512_reduce_add_ps((__m512)x); }
static inline real most(vec x) { return _mm512_reduce_max_ps((__m512)x); }
#elif defined(__AVX512F__)
static inline real sum(vec x) { return _mm512_reduce_add_pd((__m512d)x); }
static inline real most(vec x) { return _mm512_reduce_max_pd((__m512d)x); }
#else
static inline real sum(vec x)
{
    real total = 0;
    for (int i = 0; i < LANES; i++)
        total += x[i];
    return total;
}

static inline real most(vec x)
{
    real highest = x[0];
    for (int i = 1; i < LANES; i++)
        highest = x[i] > highest ? x[i] : highest;
    return highest;
}
#endif

/* A function of libm, one number after the other. */
static inline vec each(real (*function)(real), vec x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = function(x[i]);
    return x;
}

/* Up to LANES rows and columns of numbers, turned into a row of whole vectors for each column: in
 * each step what is s numbers and s rows apart changes places (Eklundh 1972). */
static inline void turn(const real *from, long row, long rows, long columns, real *to, long to_row)
{
#ifndef __clang__
    vec x[LANES];
    UNROLLED for (int i = 0; i < LANES; i++)
        x[i] = i < rows ? load(from + i * row, columns) : (vec){0};
    UNROLLED for (int s = 1; s < LANES; s *= 2) {
        mask upper, lower;
        UNROLLED for (int l = 0; l < LANES; l++)
            upper[l] = l & s ? LANES + l - s : l, lower[l] = l & s ? LANES + l : l + s;
        UNROLLED for (int i = 0; i < LANES; i++)
            if (!(i & s)) {
                vec a = x[i], b = x[i + s];
                x[i] = __builtin_shuffle(a, b, upper), x[i + s] = __builtin_shuffle(a, b, lower);
            }
    }
    UNROLLED for (int i = 0; i < LANES; i++)
        if (i < columns)
            *(vec *)(to + i * to_row) = x[i];
#else
    for (int j = 0; j < LANES && j < columns; j++)
        for (int i = 0; i < LANES; i++)
            to[j * to_row + i] = i < rows ? from[i * row + j] : 0;
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
