/* ReLU, a depthwise and a pointwise convolution and the statistics of the result, on D edges; and the gradient.

   One image of an edge is computed from beginning to end, so that what lies between the convolutions stays in the
   cache. An image of an edge is one piece of memory: tensors are [D, B, pixels, C]. Each call computes the images from
   `first` to `end`. What is summed over images (totals, gradients of weights) it adds to the slice `part` of a tensor
   [parts, ...] of zeros, so that threads never wait for each other and the order of additions is fixed. `room` is
   scratch space, [parts, size]. */
#include "lanes.h"
#include "products.h"
#include "taps.h"
#define TILE 96 /* pixels that are in the fastest cache with all their channels; a multiple of PAIRS */

/* Sizes of a convolution. With stride and dilation 2 only every second row and column of the input is read: r = 2, and
   the rest is a convolution of stride and dilation 1. */
typedef struct { n C, K, T, s, d, r, W0, H, W, P, Q, p, f, frame; } sizes;
static sizes of(n C, n H0, n W0, n K, n s, n d) {
  const n r = s == 2 && d == 2 ? 2 : 1;
  sizes z = {.C = C, .K = K, .T = K * K, .s = s / r, .d = d / r, .r = r, .W0 = W0, .H = up(H0, r), .W = up(W0, r)};
  z.P = up(z.H, z.s), z.Q = up(z.W, z.s), z.p = z.d * (K / 2), z.f = z.W + 2 * z.p, z.frame = (z.H + 2 * z.p) * z.f * L;
  return z;
}

/* max(scale x + shift, 0) of an image (without scale: max(x, 0)) in frames of p zeros, one for each L channels */
static void rectify(const sizes *z, const REAL *x, const REAL *scale, const REAL *shift, REAL *to) {
  for (n c = 0; c < z->C; c += L, to += z->frame)
    for (n h = 0; h < z->H; h++) {
      const REAL *in = x + h * z->r * z->W0 * z->C + c;
      REAL *row = to + ((z->p + h) * z->f + z->p) * L;
      const n apart = z->r * z->C;
      if (scale) {
        const lanes a = at(scale + c), b = at(shift + c);
        for (n w = 0; w < z->W; w++) {
          const lanes v = a * at(in + w * apart) + b;
          put(row + w * L, WHERE_POSITIVE(v, v));
        }
      } else
        for (n w = 0; w < z->W; w++) {
          const lanes v = at(in + w * apart);
          put(row + w * L, WHERE_POSITIVE(v, v));
        }
    }
}

/* Weights of a depthwise convolution, [C, T] -> [C / L, T, L]; turned by 180 degrees for the gradient of the input */
static void by_tap(const REAL *w, n C, n T, int turned, REAL *to) {
  for (n c = 0; c < C; c++)
    for (n t = 0; t < T; t++) to[((c / L) * T + (turned ? T - 1 - t : t)) * L + c % L] = w[c * T + t];
}

/* z = pointwise(y), y = depthwise(max(scale x + shift, 0)).
   x: [D, B, H, W, C], or of all edges [B, H, W, C] (then without scale and `apart` is 0); scale, shift: [D, C] or none;
   dw: [D, C, K K]; pw: [D, C, C]; y, z: [D, B, P Q, C], y none if it is not needed; total: [D, 2, C], sums of z and z z */
void forward(n part, n first, n end, n B, n D, n C, n H0, n W0, n K, n s, n d, const REAL *x, n apart, const REAL *scale,
             const REAL *shift, const REAL *dw, const REAL *pw, REAL *y, REAL *z, double *total, REAL *room, n size) {
  const sizes k = of(C, H0, W0, K, s, d);
  const n N = k.P * k.Q;
  total += part * D * 2 * C, room += part * size;
  REAL *taps = room, *turned = taps + D * k.T * C, *in = turned + D * C * C, *own = in + C / L * k.frame;
  memset(in, 0, C / L * k.frame * sizeof(REAL));
  for (n e = 0; e < D; e++) {
    by_tap(dw + e * C * k.T, C, k.T, 0, taps + e * k.T * C);
    for (n o = 0; o < C; o++)
      for (n c = 0; c < C; c++) turned[(e * C + c) * C + o] = pw[(e * C + o) * C + c];
  }
  for (n i = first; i < end; i++) {
    if (!apart) rectify(&k, x + i * H0 * W0 * C, 0, 0, in);
    for (n e = 0; e < D; e++) {
      if (apart) rectify(&k, x + e * apart + i * H0 * W0 * C, scale + e * C, shift + e * C, in);
      REAL *yi = y ? y + (e * B + i) * N * C : own, *zi = z + (e * B + i) * N * C;
      for (n c = 0; c < C; c += L)
        convolve(K, k.s, in + c / L * k.frame, taps + (e * C + c) * k.T, k.P, k.Q, k.d, k.f, yi + c, C);
      for (n q = 0; q < N; q += TILE) {
        const n many = least(TILE, N - q);
        multiply(yi + q * C, C, turned + e * C * C, C, zi + q * C, many);
        statistics(zi + q * C, C, many, total + e * 2 * C);
      }
    }
  }
}

/* The gradients of `forward`. That of z is factor G + slope z + offset ([D, C] each), where G_e [B, P Q, C] is that of the
   normalised output. For all edges on one x: adds to dx [B, H, W, C], unless it is none. Behind a normalisation, whose scale and shift are
   given: writes `below` [D, B, H W, C], the gradient of its output, and adds the sums of it and of it times (x - mean) to
   total [D, 2, C]. Unless y is none, adds to ddw [D, C / L, K K, L] and dpw [D, C, C]. */
void backward(n part, n first, n end, n B, n D, n C, n H0, n W0, n K, n s, n d, const REAL *x, n apart, const REAL *scale,
              const REAL *shift, const REAL *dw, const REAL *pw, const REAL *y, const REAL *z, const REAL *const *G,
              const REAL *factor, const REAL *slope, const REAL *offset, REAL *dx, REAL *below, const REAL *mean,
              double *total, REAL *ddw, REAL *dpw, REAL *room, n size) {
  const sizes k = of(C, H0, W0, K, s, d);
  total += part * D * 2 * C, ddw += part * D * C * k.T, dpw += part * D * C * C, room += part * size;
  const n M = k.P * k.Q, N = k.H * k.W, lines = TILE / k.Q ? TILE / k.Q : 1;
  REAL *taps = room, *in = taps + D * k.T * C, *dy = in + C / L * k.frame, *below_relu = dy + C / L * k.frame;
  REAL *dz = below_relu + N * L, *tile = dz + lines * k.Q * C;
  memset(in, 0, 2 * C / L * k.frame * sizeof(REAL));
  for (n e = 0; e < D; e++) by_tap(dw + e * C * k.T, C, k.T, 1, taps + e * k.T * C);
  for (n i = first; i < end; i++) {
    if (!apart) rectify(&k, x + i * H0 * W0 * C, 0, 0, in);
    for (n e = 0; e < D; e++) {
      const REAL *image = x + e * apart + i * H0 * W0 * C;
      if (apart) rectify(&k, image, scale + e * C, shift + e * C, in);
      for (n h = 0; h < k.P; h += lines) {
        const n many = least(lines, k.P - h) * k.Q, from = (i * M + h * k.Q) * C;
        const REAL *g = G[e] + from, *zi = z + e * B * M * C + from;
        for (n c = 0; c < C; c += L) {
          const lanes u = at(factor + e * C + c), t = at(slope + e * C + c), o = at(offset + e * C + c);
          for (n q = 0; q < many; q++) put(dz + q * C + c, u * at(g + q * C + c) + t * at(zi + q * C + c) + o);
        }
        if (y) outer(dz, C, y + e * B * M * C + from, C, dpw + e * C * C, many);
        multiply(dz, C, pw + e * C * C, C, tile, many);
        for (n c = 0; c < C; c += L) /* into frames, at the places where the kernel was */
          for (n q = 0; q < many; q += k.Q) {
            const REAL *row = tile + q * C + c;
            REAL *to = dy + c / L * k.frame + ((k.p + (h + q / k.Q) * k.s) * k.f + k.p) * L;
            for (n w = 0; w < k.Q; w++) put(to + w * k.s * L, at(row + w * C));
          }
      }
      for (n c = 0; c < C; c += L) {
        const REAL *own = in + c / L * k.frame, *g = dy + c / L * k.frame, *inside = own + (k.p * k.f + k.p) * L;
        if (y) correlate(K, k.s, own, g + (k.p * k.f + k.p) * L, k.P, k.Q, k.d, k.f, ddw + (e * C + c) * k.T);
        if (!apart && !dx) continue;
        convolve(K, 1, g, taps + (e * C + c) * k.T, k.H, k.W, k.d, k.f, below_relu, L);
        if (apart) {
          const lanes m = at(mean + e * C + c);
          REAL *to = below + ((e * B + i) * N) * C + c;
          for (n h = 0; h < k.H; h++) {
            lanes sum = {0}, product = {0};
            for (n w = 0; w < k.W; w++) {
              const n q = h * k.W + w;
              const lanes t = at(inside + (h * k.f + w) * L), v = at(below_relu + q * L), masked = WHERE_POSITIVE(t, v);
              put(to + q * C, masked);
              sum += masked, product += masked * (at(image + q * C + c) - m);
            }
            add_double(total + e * 2 * C + c, sum), add_double(total + e * 2 * C + C + c, product);
          }
        } else
          for (n h = 0; h < k.H; h++) {
            REAL *to = dx + ((i * H0 + h * k.r) * W0) * C + c;
            for (n w = 0; w < k.W; w++) {
              const lanes t = at(inside + (h * k.f + w) * L), v = at(below_relu + (h * k.W + w) * L);
              add(to + w * k.r * C, WHERE_POSITIVE(t, v));
            }
          }
      }
    }
  }
}
