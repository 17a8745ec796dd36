/* One node of a gated recurrent cell at one step in time, and its gradient (`recurrent.py`; the gradients are derived in
   `recurrent_chunk.py`).

   The node reads K states s_k [B, H] of the cell. The matrix product of each is u_k [B, 2, H], a gate c and a candidate
   h:

       v  =  sum over k of  sum over f of  p[k, f] (s_k + sigmoid(c_k) (f(h_k) - s_k)),   f: tanh, relu, sigmoid, identity
       y  =  v, or (v - mean) / deviation, both of the batch or both given

   A call computes the units (columns) from `first` to `end`, LANES of them at a time; LANES divides H. Only y is kept:
   the gradient computes sigmoid and tanh again, which is faster than reading them from memory. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef int64_t n;
typedef __typeof__(__builtin_choose_expr(sizeof(REAL) == 4, (int32_t)0, (int64_t)0)) whole;
typedef REAL lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));
typedef whole bits __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));
#define INLINE static inline __attribute__((always_inline))
#define SINGLE (sizeof(REAL) == 4)
#define FOR_COLUMNS for (n w = first; w < end; w += LANES)
enum { NONE, BATCH, GIVEN }; /* what normalises a node */

INLINE lanes at(const REAL *p) { return *(const lanes *)p; }
INLINE void put(REAL *p, lanes v) { *(lanes *)p = v; }
INLINE lanes where(bits condition, lanes yes, lanes no) {
  return (lanes)((condition & (bits)yes) | (~condition & (bits)no));
}
INLINE double sum_of(lanes v) {
  double sum = 0;
  for (int l = 0; l < LANES; l++) sum += v[l];
  return sum;
}

/* exp(x) - 1, with x clamped to +-25 (+-200 in double precision): beyond that, sigmoid and tanh no longer change.
   With x = k ln 2 + r and |r| <= ln 2 / 2 it is 2^k (exp(r) - 1) + (2^k - 1); the Taylor polynomial of exp(r) - 1 has
   relative accuracy also near 0, where exp(x) - 1 by itself would cancel. Adding `round`, 1.5 times 2^(mantissa bits),
   rounds x / ln 2 to the integer k, and leaves k in the low bits of the sum, from which 2^k is built by a shift. ln 2 is
   split into a high part, whose product with k is exact, and a low part (Cody & Waite). */
INLINE lanes expm1_of(lanes x) {
  const REAL most = SINGLE ? 25 : 200, round = SINGLE ? 12582912. : 6755399441055744.;
  const REAL ln2_high = SINGLE ? 0.693145751953125 : 0.6931471803691238;
  const REAL ln2_low = SINGLE ? 1.42860682030941723e-6 : 1.9082149292705877e-10;
  const lanes zeros = {0};
  x = where(x > most, zeros + most, where(x < -most, zeros - most, x));
  const lanes shifted = x * (REAL)(1 / 0.6931471805599453) + round, k = shifted - round;
  const lanes r = (x - k * ln2_high) - k * ln2_low;
  lanes sum = zeros + (REAL)(SINGLE ? 1. / 5040 : 1. / 6227020800.);
  if (!SINGLE)
    sum = ((((((sum * r + (REAL)(1. / 479001600)) * r + (REAL)(1. / 39916800)) * r + (REAL)(1. / 3628800)) * r +
              (REAL)(1. / 362880)) * r + (REAL)(1. / 40320)) * r + (REAL)(1. / 5040));
  sum = ((((((sum * r + (REAL)(1. / 720)) * r + (REAL)(1. / 120)) * r + (REAL)(1. / 24)) * r + (REAL)(1. / 6)) * r +
          (REAL)0.5) * r + 1) * r;
  const whole bias = SINGLE ? 127 : 1023, mantissa = SINGLE ? 23 : 52;
  const lanes two_to_k = (lanes)(((bits)shifted + bias) << mantissa);
  return two_to_k * sum + (two_to_k - 1);
}
INLINE lanes sigmoid(lanes x) { return 1 / (2 + expm1_of(-x)); }
/* tanh and sigmoid by one exponential and one division. With m = exp(-x) - 1:
       sigmoid = 1 / (2 + m),   tanh = -m (2 + m) / (2 + m (2 + m)) */
INLINE void squashed(lanes x, lanes *tanh, lanes *sigmoid) {
  const lanes m = expm1_of(-x), below = 2 + m, product = m * below, inverse = 1 / (below * (2 + product));
  *tanh = -product * below * inverse, *sigmoid = (2 + product) * inverse;
}

/* Computes state `number` of `states` [S, B, H] and, if there is a mask, the same times the mask in `masked`. statistics
   [3, H]: mean, unbiased variance (for running statistics) and inverse of the biased deviation; written if norm is BATCH,
   read if it is GIVEN. `smooth[k]`: tanh or sigmoid is among the functions of source k, which indexes `read`. */
void node(n first, n end, n B, n H, n K, n norm, double epsilon, n number, const n *source, const n *smooth,
          const REAL *read, const REAL *U, const double *p, const REAL *mask, REAL *statistics, REAL *states,
          REAL *masked) {
  REAL *mean = statistics, *variance = mean + H, *inverse = variance + H;
  REAL *y = states + number * B * H, *times = masked + number * B * H;
  for (n b = 0; b < B; b++) {
    REAL *row = y + b * H;
    memset(row + first, 0, (end - first) * sizeof(REAL));
    for (n k = 0; k < K; k++) {
      const REAL *s = read + (source[k] * B + b) * H, *c = U + (k * B + b) * 2 * H, *h = c + H;
      const REAL p0 = p[4 * k], p1 = p[4 * k + 1], p2 = p[4 * k + 2], p3 = p[4 * k + 3], all = p0 + p1 + p2 + p3;
      if (smooth[k])
        FOR_COLUMNS {
          const lanes x = at(h + w), zeros = {0}, old = all * at(s + w);
          lanes t, g;
          squashed(x, &t, &g);
          const lanes new = p0 * t + p1 * where(x > 0, x, zeros) + p2 * g + p3 * x;
          put(row + w, at(row + w) + old + sigmoid(at(c + w)) * (new - old));
        }
      else
        FOR_COLUMNS {
          const lanes x = at(h + w), zeros = {0}, old = all * at(s + w), new = p1 * where(x > 0, x, zeros) + p3 * x;
          put(row + w, at(row + w) + old + sigmoid(at(c + w)) * (new - old));
        }
    }
  }
  if (norm == BATCH) {
    for (n w = first; w < end; w++) mean[w] = variance[w] = 0;
    for (n b = 0; b < B; b++) FOR_COLUMNS put(mean + w, at(mean + w) + at(y + b * H + w));
    for (n w = first; w < end; w++) mean[w] /= B;
    for (n b = 0; b < B; b++) FOR_COLUMNS {
      const lanes x = at(y + b * H + w) - at(mean + w);
      put(y + b * H + w, x), put(variance + w, at(variance + w) + x * x);
    }
    for (n w = first; w < end; w++) inverse[w] = 1 / sqrt(variance[w] / B + epsilon), variance[w] /= B - 1;
    for (n b = 0; b < B; b++) FOR_COLUMNS put(y + b * H + w, at(y + b * H + w) * at(inverse + w));
  } else if (norm == GIVEN)
    for (n b = 0; b < B; b++) FOR_COLUMNS put(y + b * H + w, (at(y + b * H + w) - at(mean + w)) * at(inverse + w));
  if (mask)
    for (n b = 0; b < B; b++) FOR_COLUMNS put(times + b * H + w, at(y + b * H + w) * at(mask + b * H + w));
}

/* From the gradients of state `number`, in G [S, B, H], and of the same times the mask, in M [S, B, H], computes the
   gradient dU [K, B, 2, H] of the products; adds to `back` [S, B, H] the gradient of what was read, except through the
   products; and if `sums`, adds to total [K, 5] the sums of g (1 - c) s and of g c f(h) for the four f, where g is the
   gradient of v. G is overwritten; room [2, H] is scratch memory. */
void node_gradient(n first, n end, n B, n H, n K, n norm, n sums, n number, const n *source, const n *smooth,
                   const REAL *read, const REAL *U, const double *p, const REAL *mask, const REAL *statistics,
                   const REAL *states, REAL *G, const REAL *M, REAL *back, REAL *dU, REAL *room, double *total) {
  const REAL *y = states + number * B * H, *inverse = statistics + 2 * H;
  G += number * B * H, M += number * B * H;
  REAL *of_mean = room, *of_deviation = room + H;
  for (n w = first; w < end; w++) of_mean[w] = of_deviation[w] = 0;
  for (n b = 0; b < B; b++) FOR_COLUMNS {
    const n i = b * H + w;
    const lanes g = at(G + i) + (mask ? at(mask + i) * at(M + i) : at(M + i));
    put(G + i, g);
    if (norm == BATCH)
      put(of_mean + w, at(of_mean + w) + g), put(of_deviation + w, at(of_deviation + w) + g * at(y + i));
  }
  if (norm == BATCH)
    for (n w = first; w < end; w++) of_mean[w] /= B, of_deviation[w] /= B;
  for (n b = 0; b < B; b++) {
    if (norm != NONE) FOR_COLUMNS {
      const n i = b * H + w;
      put(G + i, at(inverse + w) * (at(G + i) - at(of_mean + w) - at(y + i) * at(of_deviation + w)));
    }
    for (n k = 0; k < K; k++) {
      const n i = (source[k] * B + b) * H, j = (k * B + b) * 2 * H;
      const REAL *s = read + i, *c = U + j, *h = c + H, *above = G + b * H;
      REAL *ds = back + i, *dc = dU + j, *dh = dc + H;
      const REAL p0 = p[4 * k], p1 = p[4 * k + 1], p2 = p[4 * k + 2], p3 = p[4 * k + 3], all = p0 + p1 + p2 + p3;
      const lanes zeros = {0};
      lanes by_s = {0}, by_tanh = {0}, by_relu = {0}, by_sigmoid = {0}, by_x = {0};
#define GRADIENT(SMOOTH, SUMS)                                                                                        \
  FOR_COLUMNS {                                                                                                       \
    const lanes g = at(above + w), gate = sigmoid(at(c + w)), x = at(h + w), relu = where(x > 0, x, zeros);           \
    const lanes kept = g - g * gate, passed = g * gate;                                                               \
    lanes t = zeros, f = zeros, new = p1 * relu + p3 * x, slope = where(x > 0, zeros + p1, zeros) + p3;               \
    if (SMOOTH) {                                                                                                     \
      squashed(x, &t, &f);                                                                                            \
      new += p0 * t + p2 * f, slope += p0 * (1 - t * t) + p2 * (f - f * f);                                           \
    }                                                                                                                 \
    if (SUMS) {                                                                                                       \
      by_s += kept * at(s + w), by_relu += passed * relu, by_x += passed * x;                                         \
      if (SMOOTH) by_tanh += passed * t, by_sigmoid += passed * f;                                                    \
    }                                                                                                                 \
    put(ds + w, at(ds + w) + all * kept);                                                                             \
    put(dc + w, (new - all * at(s + w)) * kept * gate), put(dh + w, passed * slope);                                  \
  }
      if (smooth[k] && sums) GRADIENT(1, 1)
      else if (smooth[k]) GRADIENT(1, 0)
      else if (sums) GRADIENT(0, 1)
      else GRADIENT(0, 0)
      if (sums) {
        double *of_k = total + 5 * k;
        of_k[0] += sum_of(by_s), of_k[1] += sum_of(by_tanh), of_k[2] += sum_of(by_relu);
        of_k[3] += sum_of(by_sigmoid), of_k[4] += sum_of(by_x);
      }
    }
  }
}

/* y [B, H], the mean of K states, and `times`, that times the mask, if there is one */
void output(n first, n end, n B, n H, n K, const n *source, const REAL *states, const REAL *mask, REAL *y, REAL *times) {
  const REAL share = (REAL)1 / K;
  for (n b = 0; b < B; b++) FOR_COLUMNS {
    lanes sum = {0};
    for (n k = 0; k < K; k++) sum += at(states + (source[k] * B + b) * H + w);
    put(y + b * H + w, sum * share);
    if (mask) put(times + b * H + w, sum * share * at(mask + b * H + w));
  }
}
