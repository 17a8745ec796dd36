/* Products of matrices whose rows are pixels, for the few channels that a cell has: blocks of registers. */
#include "lanes.h"
#define PAIRS (REGISTERS / 2 - 2)   /* pixels (or rows) computed at once with two vectors each */
#define SINGLES (REGISTERS / 2)     /* the same with one vector */

/* P pixels, V vectors of outputs */
#define PRODUCT(P, V)                                                                                                 \
  {                                                                                                                   \
    lanes s[P][V];                                                                                                    \
    UNROLL for (n q = 0; q < P; q++) UNROLL for (n u = 0; u < V; u++) s[q][u] = (lanes){0};                           \
    for (n c = 0; c < Ci; c++) {                                                                                      \
      lanes k[V];                                                                                                     \
      UNROLL for (n u = 0; u < V; u++) k[u] = at(w + c * Co + v + u * L);                                             \
      UNROLL for (n q = 0; q < P; q++) {                                                                              \
        const lanes x = all(in[(p + q) * Ci + c]);                                                                    \
        UNROLL for (n u = 0; u < V; u++) s[q][u] += x * k[u];                                                         \
      }                                                                                                               \
    }                                                                                                                 \
    UNROLL for (n q = 0; q < P; q++) UNROLL for (n u = 0; u < V; u++) put(out + (p + q) * Co + v + u * L, s[q][u]);   \
  }
#define PRODUCTS(P, V)                                                                                                \
  for (; v + V * L <= Co; v += V * L)                                                                                 \
    if (many >= P)                                                                                                    \
      for (n next = 0; next < many; next += P) { /* the last block may overlap the one before */                      \
        const n p = least(next, many - P);                                                                            \
        PRODUCT(P, V)                                                                                                 \
      }                                                                                                               \
    else                                                                                                              \
      for (n p = 0; p < many; p++) PRODUCT(1, V)

/* out[p, v] = sum over c of in[p, c] w[c, v] for `many` pixels: [many, Ci] [Ci, Co] */
static void multiply(const REAL *in, n Ci, const REAL *w, n Co, REAL *out, n many) {
  n v = 0;
  PRODUCTS(PAIRS, 2)
  PRODUCTS(SINGLES, 1)
}

/* R rows, V vectors */
#define OUTER(R, V)                                                                                                   \
  for (; o + R <= O; o += R) {                                                                                        \
    lanes s[R][V];                                                                                                    \
    UNROLL for (n r = 0; r < R; r++) UNROLL for (n u = 0; u < V; u++) s[r][u] = (lanes){0};                           \
    for (n p = 0; p < many; p++) {                                                                                    \
      lanes k[V];                                                                                                     \
      UNROLL for (n u = 0; u < V; u++) k[u] = at(y + p * C + v + u * L);                                              \
      UNROLL for (n r = 0; r < R; r++) {                                                                              \
        const lanes x = all(g[p * O + o + r]);                                                                        \
        UNROLL for (n u = 0; u < V; u++) s[r][u] += x * k[u];                                                         \
      }                                                                                                               \
    }                                                                                                                 \
    UNROLL for (n r = 0; r < R; r++) UNROLL for (n u = 0; u < V; u++) add(sum + (o + r) * C + v + u * L, s[r][u]);    \
  }
#define OUTERS(R, V)                                                                                                  \
  for (; v + V * L <= C; v += V * L) {                                                                                \
    n o = 0;                                                                                                          \
    OUTER(R, V)                                                                                                       \
    OUTER(4, V)                                                                                                       \
    OUTER(1, V)                                                                                                       \
  }

/* sum[o, v] += sum over p of g[p, o] y[p, v] for `many` pixels: [O, many] [many, C] */
static void outer(const REAL *g, n O, const REAL *y, n C, REAL *sum, n many) {
  n v = 0;
  OUTERS(PAIRS, 2)
  OUTERS(SINGLES, 1)
}
