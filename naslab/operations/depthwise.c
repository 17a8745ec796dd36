/* The weight gradient of a depthwise convolution of tensors in channels-last layout:

       weight[i, j, c]  =  sum over b, h, w of  g[b, h, w, c] * x[b, h s + i d - p, w s + j d - p, c],     p = d (K / 2)

   K x K kernel, of which the rows `from` to `to` are computed, stride s, dilation d; x: [B, H, W, C], g (the gradient of
   the output): [B, P, Q, C], weight: [K, K, C]. The sums of one row of the kernel for LANES channels stay in registers,
   and every pixel is read from the cache once for each row. LANES divides C. */
#include <stdint.h>

typedef int64_t n;
typedef REAL lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));

static inline lanes at(const REAL *p) { return *(const lanes *)p; }

#define OF_SIZE(K)                                                                                                    \
  static void gradient_##K(n from, n to, const REAL *x, const REAL *g, REAL *weight, n B, n C, n H, n W, n P,         \
                           n Q, n s, n d) {                                                                           \
    const n p = d * (K / 2);                                                                                          \
    n first = (p + s - 1) / s, end = W + p - (K - 1) * d > 0 ? (W - 1 + p - (K - 1) * d) / s + 1 : 0;                 \
    if (end > Q) end = Q;                                                                                             \
    if (first > end) first = end; /* from first to end all of a row of the kernel is inside the image */              \
    for (n c = 0; c < C; c += LANES)                                                                                  \
      for (n i = from; i < to; i++) {                                                                                 \
        lanes sum[K] = {0};                                                                                           \
        for (n b = 0; b < B; b++)                                                                                     \
          for (n h = 0; h < P; h++) {                                                                                 \
            const n row = h * s + i * d - p;                                                                          \
            if (row < 0 || row >= H) continue;                                                                        \
            const REAL *in = x + ((b * H + row) * W - p) * C + c, *out = g + (b * P + h) * Q * C + c;                 \
            for (n q = first; q < end; q++)                                                                           \
              for (n j = 0; j < K; j++) sum[j] += at(out + q * C) * at(in + (q * s + j * d) * C);                     \
            for (n q = first > 0 ? 0 : end; q < Q; q = q + 1 == first ? end : q + 1)                                  \
              for (n j = 0; j < K; j++)                                                                               \
                if (q * s + j * d >= p && q * s + j * d < W + p)                                                      \
                  sum[j] += at(out + q * C) * at(in + (q * s + j * d) * C);                                           \
          }                                                                                                           \
        for (n j = 0; j < K; j++) *(lanes *)(weight + (i * K + j) * C + c) = sum[j];                                  \
      }                                                                                                               \
  }
OF_SIZE(3)
OF_SIZE(5)
OF_SIZE(7)

void weight_gradient(n K, n from, n to, const REAL *x, const REAL *g, REAL *weight, n B, n C, n H, n W, n P, n Q, n s,
                     n d) {
  (K == 3 ? gradient_3 : K == 5 ? gradient_5 : gradient_7)(from, to, x, g, weight, B, C, H, W, P, Q, s, d);
}
