/* Vectors of LANES channels, which every kernel computes with, and sums over pixels. LANES divides every number of channels. */
#ifndef LANES_H
#define LANES_H
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef int64_t n;
typedef REAL lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));
#define L LANES
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 64")
#define REGISTERS (LANES * sizeof(REAL) == 64 ? 32 : 16) /* AVX-512 has 32; NEON has 32, too, but half as wide */

INLINE lanes at(const REAL *p) { return *(const lanes *)p; }
INLINE void put(REAL *p, lanes v) { *(lanes *)p = v; }
INLINE void add(REAL *p, lanes v) { *(lanes *)p += v; }
INLINE lanes all(REAL x) { return x - (lanes){0}; } /* x in every lane: subtracting 0 changes nothing, adding 0 would change -0 */
INLINE n least(n a, n b) { return a < b ? a : b; }
INLINE n up(n a, n b) { return (a + b - 1) / b; }

/* `of` where v is positive, else 0. What is not a number counts as positive: as in PyTorch, it must not vanish. */
#define WHERE_POSITIVE(v, of) ((lanes)((__typeof__((v) <= 0))(of) & ~((v) <= 0)))

INLINE void add_double(double *total, lanes v) {
  for (n l = 0; l < L; l++) total[l] += v[l];
}

/* total[0, c] += sum of z[q, c],  total[1, c] += sum of its squares, over `many` pixels, for L channels of C. Differences from the
   first pixel are summed in REAL, because squares of values with a large mean would cancel; the rest is double. */
static void statistics(const REAL *z, n C, n many, double *total) {
  for (n c = 0; c < C; c += L) {
    const lanes origin = at(z + c);
    for (n q = 0; q < many; q += 32) { /* more than 32 in REAL would be measurably less exact */
      const n end = least(q + 32, many);
      lanes sum[4] = {{0}}, square[4] = {{0}}; /* four, because an addition takes four cycles */
      n p = q;
      for (; p + 4 <= end; p += 4) UNROLL for (n k = 0; k < 4; k++) {
        const lanes v = at(z + (p + k) * C + c) - origin;
        sum[k] += v, square[k] += v * v;
      }
      for (; p < end; p++) {
        const lanes v = at(z + p * C + c) - origin;
        sum[0] += v, square[0] += v * v;
      }
      const lanes s = sum[0] + sum[1] + (sum[2] + sum[3]), r = square[0] + square[1] + (square[2] + square[3]);
      for (n l = 0; l < L; l++) {
        const double o = origin[l], first = s[l];
        total[c + l] += first + (end - q) * o, total[C + c + l] += r[l] + 2 * o * first + (end - q) * o * o;
      }
    }
  }
}
#endif
