/* Maximum and average of 3 x 3 pixels (padding not counted), with the sums that their normalisation needs. */
#include "lanes.h"

/* The part of the window around output pixel (h, q) that lies inside the image: rows i0 to i1, columns j0 to j1 */
#define WINDOW                                                                                                        \
  const n i0 = h * s > 0 ? 0 : 1, i1 = h * s + 1 < H ? 3 : 2, j0 = q * s > 0 ? 0 : 1, j1 = q * s + 1 < W ? 3 : 2;
#define INSIDE (i0 == 0 && i1 == 3 && j0 == 0 && j1 == 3)

/* Which of 0 to 8 is the largest, the first of several; what is not a number is the largest, as in PyTorch */
#define LARGEST(I0, I1, J0, J1)                                                                                       \
  UNROLL for (n i = I0; i < I1; i++) UNROLL for (n j = J0; j < J1; j++) {                                             \
    const lanes v = at(p + (i * W + j) * C);                                                                          \
    const __typeof__(v > top) larger = (v > top) | (v != v);                                                          \
    sum += v;                                                                                                         \
    top = (lanes)(((__typeof__(larger))v & larger) | ((__typeof__(larger))top & ~larger));                            \
    code = (lanes)(((__typeof__(larger))all(i * 3 + j) & larger) | ((__typeof__(larger))code & ~larger));             \
  }

/* x: [B, H, W, C]; most, which, mean: [B, P, Q, C]; total: [parts, 2, 2, C], sums and sums of squares of `most`, of `mean` */
void pools(n part, n first, n end, n C, n H, n W, n s, const REAL *x, REAL *most, REAL *which, REAL *mean, double *total) {
  const n P = up(H, s), Q = up(W, s);
  total += part * 4 * C;
  for (n b = first; b < end; b++)
    for (n h = 0; h < P; h++) {
      const n row = (b * P + h) * Q * C;
      for (n q = 0; q < Q; q++) {
        WINDOW
        for (n c = 0; c < C; c += L) {
          const REAL *p = x + ((b * H + h * s - 1) * W + q * s - 1) * C + c;
          lanes sum = {0}, top = at(p + (i0 * W + j0) * C), code = all(i0 * 3 + j0);
          if (INSIDE) {
            LARGEST(0, 3, 0, 3)
          } else {
            LARGEST(i0, i1, j0, j1)
          }
          const n to = row + q * C + c;
          put(most + to, top), put(which + to, code), put(mean + to, sum * all((REAL)1 / ((i1 - i0) * (j1 - j0))));
        }
      }
      statistics(most + row, C, Q, total), statistics(mean + row, C, Q, total + 2 * C);
    }
}

#define SPREAD(I0, I1, J0, J1)                                                                                        \
  UNROLL for (n i = I0; i < I1; i++) UNROLL for (n j = J0; j < J1; j++) {                                             \
    const __typeof__(code > a) chosen = code == all(i * 3 + j);                                                       \
    add(p + (i * W + j) * C, share + (lanes)((__typeof__(chosen))a & chosen));                                        \
  }

/* Adds the gradient of x to dx. That of the maximum is, summed over D edges, factor G_e + slope most + offset, and so
   that of the mean; factor, slope, offset: [2, D, C]; G_e: [B, P, Q, C]. */
void pools_backward(n part, n first, n end, n D, n C, n H, n W, n s, const REAL *most, const REAL *which, const REAL *mean,
                    const REAL *const *G, const REAL *factor, const REAL *slope, const REAL *offset, REAL *dx) {
  const n P = up(H, s), Q = up(W, s);
  (void)part;
  for (n c = 0; c < C; c += L) {
    lanes t[2] = {{0}}, o[2] = {{0}};
    for (n k = 0; k < 2; k++)
      for (n e = 0; e < D; e++) t[k] += at(slope + (k * D + e) * C + c), o[k] += at(offset + (k * D + e) * C + c);
    for (n b = first; b < end; b++)
      for (n h = 0; h < P; h++)
        for (n q = 0; q < Q; q++) {
          WINDOW
          const n from = ((b * P + h) * Q + q) * C + c;
          REAL *p = dx + ((b * H + h * s - 1) * W + q * s - 1) * C + c;
          const lanes code = at(which + from);
          lanes a = t[0] * at(most + from) + o[0], share = t[1] * at(mean + from) + o[1];
          for (n e = 0; e < D; e++) {
            const lanes g = at(G[e] + from);
            a += at(factor + e * C + c) * g, share += at(factor + (D + e) * C + c) * g;
          }
          share *= all((REAL)1 / ((i1 - i0) * (j1 - j0)));
          if (INSIDE) {
            SPREAD(0, 3, 0, 3)
          } else {
            SPREAD(i0, i1, j0, j1)
          }
        }
  }
}
