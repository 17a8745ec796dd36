/* Batch normalisation, between the passes over memory: from sums over pixels to factors of each channel, on D edges. */
#include "lanes.h"

/* From the totals [P, D, 2, C] of P threads over N pixels (sums of z and of its squares): mean and inverse deviation
   [D, C]. Adds what normalisation and the weight [D] (none: 1) make of z, scale z + shift: to shift [D, C], and writes
   scale, whose edges lie `apart`. If they are given, running mean and (unbiased) variance move by the momentum. */
void deviations(n P, n D, n C, n N, double epsilon, const double *total, const REAL *weight, REAL *mean, REAL *inverse,
                REAL *scale, n apart, REAL *shift, double momentum, REAL *running_mean, REAL *running_variance) {
  for (n e = 0; e < D; e++)
    for (n c = 0; c < C; c++) {
      const n k = e * C + c;
      double first = 0, second = 0;
      for (n p = 0; p < P; p++) {
        const double *both = total + (p * D + e) * 2 * C + c;
        first += both[0], second += both[C];
      }
      const double m = first / N, raw = second / N - m * m, v = raw < 0 ? 0 : raw; /* not a number stays so */
      const double r = 1 / sqrt(v + epsilon), s = (weight ? weight[e] : 1) * r;
      mean[k] = m, inverse[k] = r, scale[e * apart + c] = s, shift[k] -= s * m;
      if (running_mean) {
        running_mean[k] += momentum * (m - running_mean[k]);
        running_variance[k] += momentum * (v * N / (N - 1) - running_variance[k]);
      }
    }
}

/* From the totals [P, D, R, C] of gradients g of y = weight (z - mean) / deviation (row 0: sums of g; row `row`: of
   g (z - mean)) the gradient [D] of the weight, and that of z, factor g + slope z + offset:
       z' = weight r (g - mean(g) - x mean(g x)),   x = r (z - mean),   r = inverse.
   Edges of mean and inverse lie `apart`. */
void slopes(n P, n D, n R, n row, n C, n N, const double *total, const REAL *weight, const REAL *mean, const REAL *inverse,
            n apart, REAL *of_weight, REAL *factor, REAL *slope, REAL *offset) {
  for (n e = 0; e < D; e++) {
    double sum = 0;
    for (n c = 0; c < C; c++) {
      double g = 0, product = 0;
      for (n p = 0; p < P; p++) g += total[(p * D + e) * R * C + c], product += total[((p * D + e) * R + row) * C + c];
      const double m = mean[e * apart + c], r = inverse[e * apart + c], s = (weight ? weight[e] : 1) * r;
      const double t = -s * r * r * product / N;
      sum += r * product;
      factor[e * C + c] = s, slope[e * C + c] = t, offset[e * C + c] = -s * g / N - t * m;
    }
    if (of_weight) of_weight[e] = sum;
  }
}
