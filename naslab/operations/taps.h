/* A depthwise convolution of one image and L channels, and the gradient of its weight. */
#include "lanes.h"

/* Rows of a kernel that fit into the registers beside a gradient. */
#define ROWS(K) ((n)(REGISTERS - 1) / K < K ? (n)(REGISTERS - 1) / K : K)

/* P pixels of an output row from q0 on */
#define PIXELS(K, S, P)                                                                                               \
  {                                                                                                                   \
    lanes s[P];                                                                                                       \
    UNROLL for (n q = 0; q < P; q++) s[q] = (lanes){0};                                                               \
    UNROLL for (n i = 0; i < K; i++) UNROLL for (n j = 0; j < K; j++) {                                               \
      const lanes k = at(taps + (i * K + j) * L);                                                                     \
      const REAL *in = x + ((h * S + i * d) * f + q0 * S + j * d) * L;                                                \
      UNROLL for (n q = 0; q < P; q++) s[q] += k * at(in + q * S * L);                                                \
    }                                                                                                                 \
    UNROLL for (n q = 0; q < P; q++) put(out + (h * Q + q0 + q) * apart, s[q]);                                       \
  }
#define ROW(K, S, P)                                                                                                  \
  for (n next = 0; next < Q; next += P) { /* the last block may overlap the one before */                             \
    const n q0 = least(next, Q - P);                                                                                  \
    PIXELS(K, S, P)                                                                                                   \
  }
#define OF_SIZE(K, S)                                                                                                 \
  static void convolve_##K##_##S(const REAL *x, const REAL *taps, n P, n Q, n d, n f, REAL *out, n apart) {           \
    for (n h = 0; h < P; h++)                                                                                         \
      if (Q >= 8)                                                                                                     \
        ROW(K, S, 8)                                                                                                  \
      else if (Q >= 4)                                                                                                \
        ROW(K, S, 4)                                                                                                  \
      else                                                                                                            \
        ROW(K, S, 1)                                                                                                  \
  }                                                                                                                   \
  static void correlate_##K##_##S(const REAL *x, const REAL *g, n P, n Q, n d, n f, REAL *sum) {                      \
    UNROLL for (n i0 = 0; i0 < K; i0 += ROWS(K)) {                                                                    \
      lanes s[ROWS(K)][K];                                                                                            \
      UNROLL for (n i = 0; i < ROWS(K); i++) UNROLL for (n j = 0; j < K; j++) s[i][j] = (lanes){0};                   \
      for (n h = 0; h < P; h++)                                                                                       \
        for (n q = 0; q < Q; q++) {                                                                                   \
          const n here = (h * f + q) * S;                                                                             \
          const lanes v = at(g + here * L);                                                                           \
          UNROLL for (n i = 0; i < ROWS(K); i++) if (i0 + i < K) UNROLL for (n j = 0; j < K; j++)                     \
            s[i][j] += v * at(x + (here + ((i0 + i) * f + j) * d) * L);                                               \
        }                                                                                                             \
      UNROLL for (n i = 0; i < ROWS(K); i++) if (i0 + i < K) UNROLL for (n j = 0; j < K; j++)                         \
        add(sum + ((i0 + i) * K + j) * L, s[i][j]);                                                                   \
    }                                                                                                                 \
  }
#define OF_KERNEL(K) OF_SIZE(K, 1) OF_SIZE(K, 2)
OF_KERNEL(3)
OF_KERNEL(5)
OF_KERNEL(7)
#define CHOOSE(WHAT, K, S)                                                                                            \
  (S == 1 ? K == 3 ? WHAT##_3_1 : K == 5 ? WHAT##_5_1 : WHAT##_7_1                                                    \
          : K == 3 ? WHAT##_3_2 : K == 5 ? WHAT##_5_2 : WHAT##_7_2)

/* out[h, q] = sum over i, j of taps[i, j] x[h s + i d, q s + j d]: P x Q pixels that lie `apart`, K x K taps [K, K, L],
   stride s = 1 or 2, dilation d; rows of x are f pixels of L channels. */
static void convolve(n K, n s, const REAL *x, const REAL *taps, n P, n Q, n d, n f, REAL *out, n apart) {
  CHOOSE(convolve, K, s)(x, taps, P, Q, d, f, out, apart);
}
/* sum[i, j] += sum over h, q of g[h s, q s] x[h s + i d, q s + j d]; rows of g are f pixels, too. */
static void correlate(n K, n s, const REAL *x, const REAL *g, n P, n Q, n d, n f, REAL *sum) {
  CHOOSE(correlate, K, s)(x, g, P, Q, d, f, sum);
}
