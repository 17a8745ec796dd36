/* ReLU and a 1 x 1 convolution of M tensors [B, H, W, c] side by side, which are never put together, on D edges, and the
   statistics of the results; and the gradient. With r = 2 it is the halved image of a factorized reduction: the first
   half of the inputs are the pixels of even rows and columns, the second half those one further down and to the right
   (zeros beyond the border). `part`, `first`, `end`, `room` and `size` as in `separable.c`. */
#include "lanes.h"
#include "products.h"
#define TILE 96 /* pixels that are worked on at once */

/* max(in, 0) of `many` pixels of an image from `start` on: [many, r M c] */
static void gather(n start, n many, n M, n c, n H, n W, n r, n image, const REAL *const *in, REAL *x) {
  const n Q = up(W, r), Ci = r * M * c;
  for (n o = 0; o < r; o++)
    for (n q = 0; q < many; q++) {
      const n h = (start + q) / Q * r + o, w = (start + q) % Q * r + o, from = ((image * H + h) * W + w) * c;
      for (n m = 0; m < M; m++)
        for (n l = 0; l < c; l += L) {
          const lanes v = h < H && w < W ? at(in[m] + from + l) : (lanes){0};
          put(x + q * Ci + (o * M + m) * c + l, WHERE_POSITIVE(v, v));
        }
    }
}

/* w: [D, C, r M c]; z: [D, B, P Q, C]; total: [parts, D, 2, C], sums of z and of its squares */
void project(n part, n first, n end, n B, n D, n M, n c, n C, n H, n W, n r, const REAL *const *in, const REAL *w,
             REAL *z, double *total, REAL *room, n size) {
  const n Ci = r * M * c, N = up(H, r) * up(W, r);
  total += part * D * 2 * C, room += part * size;
  REAL *turned = room, *x = room + D * Ci * C;
  for (n e = 0; e < D; e++)
    for (n o = 0; o < C; o++)
      for (n i = 0; i < Ci; i++) turned[(e * Ci + i) * C + o] = w[(e * C + o) * Ci + i];
  for (n b = first; b < end; b++)
    for (n start = 0; start < N; start += TILE) {
      const n many = least(TILE, N - start);
      gather(start, many, M, c, H, W, r, b, in, x);
      for (n e = 0; e < D; e++) {
        REAL *to = z + ((e * B + b) * N + start) * C;
        multiply(x, Ci, turned + e * Ci * C, C, to, many);
        statistics(to, C, many, total + e * 2 * C);
      }
    }
}

/* The gradient of z is factor G_e + slope z + offset. Adds to dw [parts, D, C, r M c], unless it is none, and to din,
   if it is wanted. */
void project_backward(n part, n first, n end, n B, n D, n M, n c, n C, n H, n W, n r, const REAL *const *in,
                      const REAL *w, const REAL *z, const REAL *const *G, const REAL *factor, const REAL *slope,
                      const REAL *offset, n wanted, REAL *const *din, REAL *dw, REAL *room, n size) {
  const n Q = up(W, r), Ci = r * M * c, N = up(H, r) * Q, learning = dw != 0;
  dw += part * D * C * Ci, room += part * size;
  REAL *x = room, *dx = x + TILE * Ci, *dz = dx + TILE * Ci;
  for (n b = first; b < end; b++)
    for (n start = 0; start < N; start += TILE) {
      const n many = least(TILE, N - start), from = (b * N + start) * C;
      gather(start, many, M, c, H, W, r, b, in, x);
      for (n e = 0; e < D; e++) {
        for (n l = 0; l < C; l += L) {
          const lanes u = at(factor + e * C + l), t = at(slope + e * C + l), o = at(offset + e * C + l);
          for (n q = 0; q < many; q++)
            put(dz + q * C + l, u * at(G[e] + from + q * C + l) + t * at(z + e * B * N * C + from + q * C + l) + o);
        }
        if (learning) outer(dz, C, x, Ci, dw + e * C * Ci, many);
        if (!wanted) continue;
        multiply(dz, C, w + e * C * Ci, Ci, dx, many);
        for (n o = 0; o < r; o++)
          for (n q = 0; q < many; q++) {
            const n h = (start + q) / Q * r + o, v = (start + q) % Q * r + o, to = ((b * H + h) * W + v) * c;
            if (h >= H || v >= W) continue;
            for (n m = 0; m < M; m++)
              for (n l = 0; l < c; l += L) {
                const n k = q * Ci + (o * M + m) * c + l;
                add(din[m] + to + l, WHERE_POSITIVE(at(x + k), at(dx + k)));
              }
          }
      }
    }
}
