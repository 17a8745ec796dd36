/* A 3 x 3 convolution of stride 1 with zeros around the image, by minimal filtering F(2 x 2, 3 x 3) (Winograd 1980;
   Lavin & Gray 2016, https://arxiv.org/abs/1509.09308, Sec. 4.1), and its gradients.

   An output tile of 2 x 2 pixels reads 4 x 4 pixels d of the input. In one dimension, with a filter w of 3 taps,

       y  =  A' [(G w) * (B' d)],   A' = | 1 1  1  0 |   G = |  1    0   0  |   B' = | 1  0 -1  0 |
                                         | 0 1 -1 -1 |       | 1/2  1/2 1/2 |        | 0  1  1  0 |
                                                             | 1/2 -1/2 1/2 |        | 0 -1  1  0 |
                                                             |  0    0   1  |        | 0  1  0 -1 |

   with an elementwise product *, and A'[(G w G') * (B' d B)] A in two: 16 products for a pair of channels, where the
   definition has 36. For each of the 16 they are a matrix product over the channels. The gradients are the transposed
   maps: dw = G'[sum over tiles of (A g A') * (B' d B)] G and dd = B [(G w G') * (A g A')] B', so that both read A g A'.

   Images are [B, H, W, C]. Many tiles are computed at a time (TILES), so that their matrices stay in the cache. */
#include <stdint.h>
#include <string.h>

typedef int64_t n;
#if defined(__AVX512F__)
#define REGISTER 64
#elif defined(__AVX__)
#define REGISTER 32
#else
#define REGISTER 16
#endif
#define L (LANES * sizeof(REAL) < REGISTER ? LANES : (n)(REGISTER / sizeof(REAL))) /* numbers in a vector */
typedef REAL lanes __attribute__((vector_size(L * sizeof(REAL)), aligned(sizeof(REAL))));
#define TILES 48
#define ROWS 6 /* of a block of a matrix product that is kept in registers; divides TILES */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE lanes at(const REAL *p) { return *(const lanes *)p; }
INLINE void put(REAL *p, lanes v) { *(lanes *)p = v; }
INLINE n smaller(n a, n b) { return a < b ? a : b; }
/* Where the next of the 16 matrices begins: not a power of two on, which would be the same set of the cache */
INLINE n after(n numbers) { return numbers + 64 / sizeof(REAL); }
INLINE n panel(n v, n C) { return v + 2 * L <= C ? 2 * L : L; } /* columns of a matrix product from column v on */

/* --- transforms of 4, 3 or 2 numbers that are `s` apart, by the matrices above ------------------------------------ */

#define OF_PIXELS(d, s, to) /* B' d */                                                                                \
  to[0] = d[0] - d[2 * (s)], to[1] = d[s] + d[2 * (s)], to[2] = d[2 * (s)] - d[s], to[3] = d[s] - d[3 * (s)]
#define TO_PIXELS(q, s, to) /* B q */                                                                                 \
  to[0] = q[0], to[1] = q[s] - q[2 * (s)] + q[3 * (s)], to[2] = q[s] + q[2 * (s)] - q[0], to[3] = -q[3 * (s)]
#define TO_OUTPUT(m, s, to) /* A' m */                                                                                \
  to[0] = m[0] + m[s] + m[2 * (s)], to[1] = m[s] - m[2 * (s)] - m[3 * (s)]
#define OF_OUTPUT(g, s, to) /* A g */                                                                                 \
  to[0] = g[0], to[1] = g[0] + g[s], to[2] = g[0] - g[s], to[3] = -g[s]
#define OF_FILTER(w, s, to) /* G w */                                                                                 \
  to[0] = w[0], to[1] = (w[0] + w[2 * (s)] + w[s]) / 2, to[2] = (w[0] + w[2 * (s)] - w[s]) / 2, to[3] = w[2 * (s)]
#define TO_FILTER(m, s, to) /* G' m */                                                                                \
  to[0] = m[0] + (m[s] + m[2 * (s)]) / 2, to[1] = (m[s] - m[2 * (s)]) / 2, to[2] = (m[s] + m[2 * (s)]) / 2 + m[3 * (s)]

/* BODY for both dimensions: a [rows][columns] array `from` becomes `to`, by way of `by` */
#define IN_BOTH(TYPE, MAP, ROWS_IN, ROWS_OUT, from, to)                                                               \
  TYPE by[ROWS_OUT][ROWS_IN], to[ROWS_OUT][ROWS_OUT];                                                                 \
  UNROLL for (n k = 0; k < ROWS_IN; k++) {                                                                            \
    TYPE column[ROWS_OUT];                                                                                            \
    MAP((&from[0][k]), ROWS_IN, column);                                                                              \
    UNROLL for (n r = 0; r < ROWS_OUT; r++) by[r][k] = column[r];                                                     \
  }                                                                                                                   \
  UNROLL for (n r = 0; r < ROWS_OUT; r++) MAP(by[r], 1, to[r])

/* --- matrix products ---------------------------------------------------------------------------------------------- */

/* to[p, v] = sum over c of a[p, c] b[c, v]: P rows, V vectors of columns */
#define PRODUCT(P, V)                                                                                                 \
  {                                                                                                                   \
    lanes s[P][V] = {0};                                                                                              \
    for (n c = 0; c < K; c++) {                                                                                       \
      lanes k[V];                                                                                                     \
      UNROLL for (n u = 0; u < V; u++) k[u] = at(b + (c * V + u) * L);                                                \
      UNROLL for (n q = 0; q < P; q++) UNROLL for (n u = 0; u < V; u++) s[q][u] += a[(p + q) * K + c] * k[u];         \
    }                                                                                                                 \
    UNROLL for (n q = 0; q < P; q++) UNROLL for (n u = 0; u < V; u++) put(to + ((p + q) * V + u) * L, s[q][u]);       \
  }
#define ALL_ROWS(V)                                                                                                   \
  {                                                                                                                   \
    n p = 0;                                                                                                          \
    for (; p + ROWS <= many; p += ROWS) PRODUCT(ROWS, V)                                                              \
    for (; p < many; p++) PRODUCT(1, V)                                                                               \
  }
/* a: [many, K]; b: [K, columns]; to: [many, columns]; columns = L or 2 L */
static void multiply(n many, n K, n columns, const REAL *a, const REAL *b, REAL *to) {
  if (columns == 2 * L) ALL_ROWS(2) else ALL_ROWS(1)
}

/* to[i, o] += sum over p of a[p, i] b[p, o]: R rows, V vectors of columns */
#define OUTER(R, V)                                                                                                   \
  {                                                                                                                   \
    lanes s[R][V] = {0};                                                                                              \
    for (n p = 0; p < many; p++) {                                                                                    \
      lanes k[V];                                                                                                     \
      UNROLL for (n u = 0; u < V; u++) k[u] = at(b + p * O + o + u * L);                                              \
      UNROLL for (n r = 0; r < R; r++) UNROLL for (n u = 0; u < V; u++) s[r][u] += a[p * I + i + r] * k[u];           \
    }                                                                                                                 \
    UNROLL for (n r = 0; r < R; r++) UNROLL for (n u = 0; u < V; u++) {                                               \
      REAL *there = to + (i + r) * O + o + u * L;                                                                     \
      put(there, at(there) + s[r][u]);                                                                                \
    }                                                                                                                 \
  }
#define ALL_COLUMNS(V)                                                                                                \
  {                                                                                                                   \
    n i = 0;                                                                                                          \
    for (; i + ROWS <= I; i += ROWS) OUTER(ROWS, V)                                                                   \
    for (; i < I; i += 2) OUTER(2, V)                                                                                 \
  }
/* a: [many, I], I even; b: [many, O]; to: [I, O] */
static void outer(n many, n I, n O, const REAL *a, const REAL *b, REAL *to) {
  for (n o = 0; o < O; o += panel(o, O))
    if (panel(o, O) == 2 * L) ALL_COLUMNS(2) else ALL_COLUMNS(1)
}

/* --- filters ------------------------------------------------------------------------------------------------------ */

/* From w [O, I, 3, 3]: G w G' as `multiply` reads it, [16, panels of O, I, columns], and for gradients of the input
   [16, panels of I, O, columns]; either may be 0 */
void filters(n I, n O, const REAL *w, REAL *forth, REAL *back) {
  for (n o = 0; o < O; o++)
    for (n i = 0; i < I; i++, w += 9) {
      const REAL(*from)[3] = (const REAL(*)[3])w;
      IN_BOTH(REAL, OF_FILTER, 3, 4, from, u);
      const n fo = o / (2 * L) * 2 * L, fi = i / (2 * L) * 2 * L;
      for (n k = 0; k < 16; k++) {
        if (forth) forth[k * after(I * O) + fo * I + i * panel(fo, O) + o - fo] = u[k / 4][k % 4];
        if (back) back[k * after(I * O) + fi * O + o * panel(fi, I) + i - fi] = u[k / 4][k % 4];
      }
    }
}
/* From the products of P threads, [P, 16, I, O]: the gradient of w [O, I, 3, 3] */
void filters_back(n P, n I, n O, const REAL *products, REAL *dw) {
  for (n o = 0; o < O; o++)
    for (n i = 0; i < I; i++, dw += 9) {
      REAL m[4][4] = {0};
      for (n p = 0; p < P; p++)
        for (n k = 0; k < 16; k++) m[k / 4][k % 4] += products[(p * 16 + k) * after(I * O) + i * O + o];
      IN_BOTH(REAL, TO_FILTER, 4, 3, m, d);
      memcpy(dw, d, 9 * sizeof(REAL));
    }
}

/* --- images ------------------------------------------------------------------------------------------------------- */

/* For tiles from `first` on, the 4 x 4 pixels that each reads, as places in [B, H, W]; -1 outside of the image. Of these,
   0 to 15, the tile's own output is the OWN ones. */
static const n OWN[4] = {5, 6, 9, 10};
typedef int32_t places[TILES][16];
static void find(n first, n many, n H, n W, places to) {
  const n P = (H + 1) / 2, Q = (W + 1) / 2;
  n image = first / (P * Q), row = first / Q % P * 2, column = first % Q * 2;
  for (n q = 0; q < many; q++) {
    for (n r = -1; r < 3; r++)
      for (n c = -1; c < 3; c++) {
        const int inside = row + r >= 0 && row + r < H && column + c >= 0 && column + c < W;
        to[q][(r + 1) * 4 + c + 1] = inside ? (image * H + row + r) * W + column + c : -1;
      }
    if ((column += 2) >= W) column = 0, row += 2;
    if (row >= H) row = 0, image++;
  }
}
/* Pointers to some of the pixels of a tile; instead of those outside of the image, to `outside` */
#define POINTERS(TYPE, MANY, WHICH, tile, x, C, outside)                                                              \
  TYPE *pixel[MANY];                                                                                                  \
  UNROLL for (n k = 0; k < MANY; k++) pixel[k] = tile[WHICH] < 0 ? outside : x + tile[WHICH] * (C)

/* B' d B of tiles: to [16, TILES, C] */
static void of_pixels(n many, const places where, n C, const REAL *x, const REAL *zeros, REAL *to) {
  for (n q = 0; q < many; q++, to += C) {
    POINTERS(const REAL, 16, k, where[q], x, C, zeros);
    for (n c = 0; c < C; c += L) {
      lanes d[4][4];
      UNROLL for (n k = 0; k < 16; k++) d[k / 4][k % 4] = at(pixel[k] + c);
      IN_BOTH(lanes, OF_PIXELS, 4, 4, d, v);
      UNROLL for (n k = 0; k < 16; k++) put(to + k * after(TILES * C) + c, v[k / 4][k % 4]);
    }
  }
}
/* A g A' of tiles: to [16, TILES, C] */
static void of_output(n many, const places where, n C, const REAL *g, const REAL *zeros, REAL *to) {
  for (n q = 0; q < many; q++, to += C) {
    POINTERS(const REAL, 4, OWN[k], where[q], g, C, zeros);
    for (n c = 0; c < C; c += L) {
      lanes d[2][2];
      UNROLL for (n k = 0; k < 4; k++) d[k / 2][k % 2] = at(pixel[k] + c);
      IN_BOTH(lanes, OF_OUTPUT, 2, 4, d, v);
      UNROLL for (n k = 0; k < 16; k++) put(to + k * after(TILES * C) + c, v[k / 4][k % 4]);
    }
  }
}
/* A' m A of m [16, TILES, J] into J channels of y, which has C */
static void to_output(n many, const places where, n J, const REAL *m, n C, REAL *y, REAL *elsewhere) {
  for (n q = 0; q < many; q++, m += J) {
    POINTERS(REAL, 4, OWN[k], where[q], y, C, elsewhere);
    for (n c = 0; c < J; c += L) {
      lanes d[4][4];
      UNROLL for (n k = 0; k < 16; k++) d[k / 4][k % 4] = at(m + k * after(TILES * J) + c);
      IN_BOTH(lanes, TO_OUTPUT, 4, 2, d, out);
      UNROLL for (n k = 0; k < 4; k++) put(pixel[k] + c, out[k / 2][k % 2]);
    }
  }
}
/* B m B' of m [16, TILES, J], added to J channels of dx, which has C */
static void to_pixels(n many, const places where, n J, const REAL *m, n C, REAL *dx, REAL *elsewhere) {
  for (n q = 0; q < many; q++, m += J) {
    POINTERS(REAL, 16, k, where[q], dx, C, elsewhere);
    for (n c = 0; c < J; c += L) {
      lanes d[4][4];
      UNROLL for (n k = 0; k < 16; k++) d[k / 4][k % 4] = at(m + k * after(TILES * J) + c);
      IN_BOTH(lanes, TO_PIXELS, 4, 4, d, out);
      UNROLL for (n k = 0; k < 16; k++) put(pixel[k] + c, at(pixel[k] + c) + out[k / 4][k % 4]);
    }
  }
}

/* y [B, H, W, O] of the images from `first` to `end`; x: [B, H, W, I]; room: 16 after(TILES I) + 16 after(TILES 2 L) + I + 2 L */
void convolve(n first, n end, n H, n W, n I, n O, const REAL *x, const REAL *forth, REAL *y, REAL *room) {
  const n each = (H + 1) / 2 * ((W + 1) / 2);
  REAL *zeros = room, *elsewhere = zeros + I, *v = elsewhere + 2 * L, *m = v + 16 * after(TILES * I);
  places where;
  memset(zeros, 0, I * sizeof(REAL));
  for (n begin = first * each; begin < end * each; begin += TILES) {
    const n many = smaller(TILES, end * each - begin);
    find(begin, many, H, W, where);
    of_pixels(many, where, I, x, zeros, v);
    for (n o = 0; o < O; o += panel(o, O)) {
      const n J = panel(o, O);
      for (n k = 0; k < 16; k++) multiply(many, I, J, v + k * after(TILES * I), forth + k * after(I * O) + o * I,
                                      m + k * after(TILES * J));
      to_output(many, where, J, m, O, y + o, elsewhere);
    }
  }
}

/* From g [B, H, W, O]: the gradient dx [B, H, W, I], and added to `products` [16, I, O] those of the filters; either may
   be 0. room: that of `convolve`, and 16 after(TILES O) + O */
void gradients(n first, n end, n H, n W, n I, n O, const REAL *x, const REAL *g, const REAL *back, REAL *dx,
               REAL *products, REAL *room) {
  const n each = (H + 1) / 2 * ((W + 1) / 2);
  REAL *zeros = room, *elsewhere = zeros + I + O, *v = elsewhere + 2 * L, *u = v + 16 * after(TILES * I);
  REAL *m = u + 16 * after(TILES * O);
  places where;
  memset(room, 0, (I + O + 2 * L) * sizeof(REAL));
  if (dx) memset(dx + first * H * W * I, 0, (end - first) * H * W * I * sizeof(REAL));
  for (n begin = first * each; begin < end * each; begin += TILES) {
    const n many = smaller(TILES, end * each - begin);
    find(begin, many, H, W, where);
    of_output(many, where, O, g, zeros, u);
    if (products) {
      of_pixels(many, where, I, x, zeros, v);
      for (n k = 0; k < 16; k++) outer(many, I, O, v + k * after(TILES * I), u + k * after(TILES * O),
                                   products + k * after(I * O));
    }
    for (n i = 0; dx && i < I; i += panel(i, I)) {
      const n J = panel(i, I);
      for (n k = 0; k < 16; k++) multiply(many, O, J, u + k * after(TILES * O), back + k * after(I * O) + i * O,
                                      m + k * after(TILES * J));
      to_pixels(many, where, J, m, I, dx + i, elsewhere);
    }
  }
}
