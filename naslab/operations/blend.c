/* Batch normalisation of K stacked tensors X_k [N, D C], their sum by edge, and S shared tensors Z_s [N, C] with it:

       Y_d[i, c]  =  shift[w] + sum over k of scale[k, w] X_k[i, w] + sum over s of weight[s, d] Z_s[i, c],  w = d C + c

   for pixels i, D edges d and C channels c, which are adjacent in memory (channels last); and its gradient. Every
   function makes one pass over the pixels from `first` to `end`, so that memory is read in order. LANES channels are
   computed at a time; LANES divides C. */
#include <math.h>
#include <stdint.h>

typedef int64_t n;
typedef REAL lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));
#define CHUNK 32 /* pixels accumulated in REAL before the sums are added in double; with 256 the rounding was measurable */
#define INLINE static inline __attribute__((always_inline))

INLINE lanes at(const REAL *p) { return *(const lanes *)p; }
INLINE void add(REAL *p, lanes v) { *(lanes *)p += v; }
INLINE void move(double *to, REAL *from, n many) {
  for (n c = 0; c < many; c++) to[c] += from[c], from[c] = 0;
}

/* BODY(K, S) with constant K and S, whose loops over tensors the compiler unrolls, for the common cases: a normalisation
   alone, NAS-Bench-201, and the cells of DARTS (with poolings in C, and with the node's sum so far) */
#define OF_COUNTS(BODY)                                                                                               \
  switch (10 * K + S) {                                                                                               \
    case 10: BODY(1, 0) break;                                                                                        \
    case 22: BODY(2, 2) break;                                                                                        \
    case 43: BODY(4, 3) break;                                                                                        \
    case 52: BODY(5, 2) break;                                                                                        \
    case 61: BODY(6, 1) break;                                                                                        \
    case 62: BODY(6, 2) break;                                                                                        \
    case 70: BODY(7, 0) break;                                                                                        \
    case 71: BODY(7, 1) break;                                                                                        \
    default: BODY(K, S)                                                                                               \
  }

/* total[k, 0, w] = sum over i of X_k[i, w] - X_k[0, w];  total[k, 1, w]: sum of their squares. The first pixel is
   subtracted because the variance, E[x^2] - E[x]^2, would cancel if the mean were large against the deviation. `own`,
   [2, W], and `total` are zeros at the start. */
void moments(n first, n end, n W, n K, const REAL *const *X, REAL *own, double *total) {
  for (n k = 0; k < K; k++, total += 2 * W) {
    const REAL *x = X[k];
    for (n i = first; i < end; i++) {
      for (n c = 0; c < W; c += LANES) {
        const lanes v = at(x + i * W + c) - at(x + c);
        add(own + c, v), add(own + W + c, v * v);
      }
      if (i % CHUNK == CHUNK - 1 || i == end - 1) move(total, own, 2 * W);
    }
  }
}

/* From the totals [P, K, 2, W] of P threads over N pixels: the mean, the unbiased variance (for running statistics) and
   the inverse of the biased deviation (for the normalisation), [K, W] each; scale and shift of the affine map */
void deviations(n P, n K, n W, n N, double epsilon, const REAL *const *X, const double *total, const REAL *weight,
                REAL *mean, REAL *variance, REAL *inverse, REAL *scale, REAL *shift) {
  for (n w = 0; w < W; w++) {
    double sum = 0;
    for (n k = 0; k < K; k++) {
      double first = 0, second = 0;
      for (n p = 0; p < P; p++) {
        const double *both = total + (p * K + k) * 2 * W + w;
        first += both[0], second += both[W];
      }
      const double m = first / N, v = second / N - m * m, r = 1 / sqrt((v > 0 ? v : 0) + epsilon);
      mean[k * W + w] = X[k][w] + m, variance[k * W + w] = v * N / (N - 1), inverse[k * W + w] = r;
      scale[k * W + w] = weight[k * W + w] * r, sum -= weight[k * W + w] * r * (X[k][w] + m);
    }
    shift[w] = sum;
  }
}

#define BLEND(K, S)                                                                                                   \
  for (n i = first; i < end; i++)                                                                                     \
    for (n d = 0; d < D; d++)                                                                                         \
      for (n c = 0, w = d * C; c < C; c += LANES, w += LANES) {                                                       \
        lanes sum = at(shift + w);                                                                                    \
        for (n k = 0; k < K; k++) sum += at(scale + k * W + w) * at(X[k] + i * W + w);                                \
        for (n s = 0; s < S; s++) sum += weight[s * D + d] * at(Z[s] + i * C + c);                                    \
        *(lanes *)(Y[d] + i * C + c) = sum;                                                                           \
      }
void blend(n first, n end, n D, n C, n K, n S, const REAL *const *X, const REAL *const *Z, const REAL *scale,
           const REAL *shift, const REAL *weight, REAL *const *Y) {
  const n W = D * C;
  OF_COUNTS(BLEND)
}

/* total[0, w] = sum over i of G_d[i, c];  total[1 + k, w]: of G_d[i, c] (X_k[i, w] - mean[k, w]);
   total[1 + K + s, w]: of G_d[i, c] Z_s[i, c], where G_d is the gradient of Y_d. `own` has the same shape; both are
   zeros at the start. */
#define PRODUCTS(K, S)                                                                                                \
  for (n i = first; i < end; i++) {                                                                                   \
    for (n d = 0; d < D; d++)                                                                                         \
      for (n c = 0, w = d * C; c < C; c += LANES, w += LANES) {                                                       \
        const lanes g = at(G[d] + i * C + c);                                                                         \
        add(own + w, g);                                                                                              \
        for (n k = 0; k < K; k++) add(own + (1 + k) * W + w, g * (at(X[k] + i * W + w) - at(mean + k * W + w)));      \
        for (n s = 0; s < S; s++) add(own + (1 + K + s) * W + w, g * at(Z[s] + i * C + c));                           \
      }                                                                                                               \
    if (i % CHUNK == CHUNK - 1 || i == end - 1) move(total, own, (1 + K + S) * W);                                    \
  }
void products(n first, n end, n D, n C, n K, n S, const REAL *const *X, const REAL *const *Z, const REAL *mean,
              const REAL *const *G, REAL *own, double *total) {
  const n W = D * C;
  OF_COUNTS(PRODUCTS)
}

/* From the totals [P, R, W] of `products`: the gradient [K, W] of the scales of the normalised tensors, and the factors
   of g, of X_k and of 1 in the gradient of batch normalisation,
       X'_k = weight r (g - mean(g) - x mean(g x)),   x = r (X_k - mean) */
void slopes(n P, n R, n K, n W, n N, const double *total, const REAL *weight, const REAL *mean, const REAL *inverse,
            REAL *of_weight, REAL *scale, REAL *slope, REAL *shift) {
  for (n w = 0; w < W; w++)
    for (n k = 0; k < K; k++) {
      double all = 0, product = 0;
      for (n p = 0; p < P; p++) all += total[p * R * W + w], product += total[(p * R + 1 + k) * W + w];
      const double r = inverse[k * W + w], s = weight[k * W + w] * r, t = -s * r * r * product / N;
      of_weight[k * W + w] = r * product, scale[k * W + w] = s, slope[k * W + w] = t;
      shift[k * W + w] = -s * all / N - t * mean[k * W + w];
    }
}

/* X'_k[i, w] = scale[k, w] G_d[i, c] + slope[k, w] X_k[i, w] + shift[k, w];
   Z'_s[i, c] = sum over d of weight[s, d] G_d[i, c] */
#define GRADIENTS(K, S)                                                                                               \
  for (n i = first; i < end; i++) {                                                                                   \
    for (n d = 0; d < D; d++)                                                                                         \
      for (n c = 0, w = d * C; c < C; c += LANES, w += LANES) {                                                       \
        const lanes g = at(G[d] + i * C + c);                                                                         \
        for (n k = 0; k < K; k++)                                                                                     \
          *(lanes *)(dX[k] + i * W + w) =                                                                             \
            at(scale + k * W + w) * g + at(slope + k * W + w) * at(X[k] + i * W + w) + at(shift + k * W + w);         \
      }                                                                                                               \
    for (n s = 0; s < S; s++)                                                                                         \
      for (n c = 0; c < C; c += LANES) {                                                                              \
        lanes sum = {0};                                                                                              \
        for (n d = 0; d < D; d++) sum += weight[s * D + d] * at(G[d] + i * C + c);                                    \
        *(lanes *)(dZ[s] + i * C + c) = sum;                                                                          \
      }                                                                                                               \
  }
void gradients(n first, n end, n D, n C, n K, n S, const REAL *const *X, const REAL *const *G, const REAL *scale,
               const REAL *slope, const REAL *shift, const REAL *weight, REAL *const *dX, REAL *const *dZ) {
  const n W = D * C;
  OF_COUNTS(GRADIENTS)
}
