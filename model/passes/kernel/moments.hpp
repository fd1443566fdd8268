// Moments over passes: the plain estimator, and the fit of the reduced one. The formulas are those of
// `model.passes.moments` and `model.passes.reduced_moments`. A vector has HALF rows, or, ACROSS,
// HALF passes of one row, whose sums are then added.

static const int BLOCK = 1024;  // passes of a block of the reduced estimator
static const double HEAVY = 17.0, PRIOR = 5.0, TAIL = 3.0, TINY = 2.2250738585072014e-308;
static const double ROUNDING = 1.0 / (1 << 22);

#define INLINE_MEMBER inline __attribute__((always_inline))

struct Estimates { vd mean, variance, mean_error, variance_error; };

template <bool ACROSS> INLINE vd total(vd s) { return ACROSS ? every(sum(s)) : s; }

// From the sums of d, d^2, d^3 and d^4 over n passes. d = y - shift, where the shift is the first y: so
// the sums lose no digits, and are 0 where all y are equal.
INLINE Estimates plain_estimate(const vd (&s)[4], vd shift, double n, double together) {
  vd a = s[0] / n, square = s[1] / n, zero = {};
  vd variance = most((s[1] - a * s[0]) / (n - 1), zero);
  vd cross = (s[2] - a * s[1]) / (n - 1), of_square = (s[3] - square * s[1]) / (n - 1);
  vd spread = most(4 * a * a * variance - 4 * a * cross + of_square, zero);
  spread += 2 * variance * variance / (n - 1);
  return {shift + a, variance, root(variance / n), root(spread / n * (1 + HEAVY / together))};
}

INLINE void add_powers(vd (&s)[4], vd d) {
  vd square = d * d;
  s[0] += d, s[1] += square, s[2] += square * d, s[3] += square * square;
}

// The terms of some passes: step k of a term is at term + k stride. ACROSS, the last step has `rest`.
struct TermsOf { const float *output, *linear, *quadratic, *linear_variance, *last_variance; };
struct LawOf { vd pivot, linear, fourth, quadratic; };

template <bool ACROSS, class F> INLINE void each_step(int64_t count, int64_t stride, F f) {
  const vd one = every(1);
  const int64_t steps = ACROSS ? count / HALF : count;
  for (int64_t k = 0; k < steps; k++) f(k * stride, one);
  if (ACROSS && count % HALF) {
    vd some = {};
    for (int i = 0; i < count % HALF; i++) some[i] = 1;
    f(steps * stride, some);
  }
}

template <bool ACROSS>
static Estimates fitted(const TermsOf &at, int64_t stride, int64_t count, int members, const LawOf &law) {
  const double n = (double)count, together = n * members;
  vd m[5] = {};
  each_step<ACROSS>(count, stride, [&](int64_t k, vd w) {
    m[0] += w * wide(at.output + k), m[1] += w * wide(at.linear + k), m[2] += w * wide(at.quadratic + k);
    m[3] += w * wide(at.linear_variance + k), m[4] += w * wide(at.last_variance + k);
  });
  for (int t = 0; t < 5; t++) m[t] = total<ACROSS>(m[t]) / n;
  const vd known = law.linear + m[3], zero = {};
  vd ll = {}, qq = {}, lq = {}, cl = {}, cq = {}, l4 = {};
  each_step<ACROSS>(count, stride, [&](int64_t k, vd w) {
    vd c = w * (wide(at.output + k) - m[0]), l = w * (wide(at.linear + k) - m[1]);
    vd q = w * (wide(at.quadratic + k) - m[2]), square = l * l;
    ll += square, qq += q * q, lq += l * q, cl += c * l, cq += c * q, l4 += square * square;
  });
  ll = total<ACROSS>(ll) / (n - 1), qq = total<ACROSS>(qq) / (n - 1), lq = total<ACROSS>(lq) / (n - 1);
  cl = total<ACROSS>(cl) / (n - 1), cq = total<ACROSS>(cq) / (n - 1), l4 = total<ACROSS>(l4) / n;
  vd prior_l = PRIOR / n * known, prior_q = PRIOR / n * most(qq, law.quadratic);
  ll += prior_l, cl += prior_l, qq += prior_q, cq += prior_q;
  vd scale = most(ll * qq - lq * lq, every(TINY));
  vd b = (cl * qq - cq * lq) / scale, f = (cq * ll - cl * lq) / scale;
  b = b < 0.0 ? zero : b, b = b > 2.0 ? every(2) : b, f = f < 0.0 ? zero : f, f = f > 2.0 ? every(2) : f;
  const double kept = n / (n + PRIOR);
  auto residual = [&](int64_t k, vd &e, vd &used) {
    vd l = wide(at.linear + k) - m[1], q = wide(at.quadratic + k) - m[2];
    used = f * q, e = wide(at.output + k) - m[0] - b * l - used;
    vd square = used * used;
    used += b * l;
    return e * e + 2 * kept * e * used + square + b * b * wide(at.linear_variance + k) +
           wide(at.last_variance + k);
  };
  vd ee = {}, e4 = {}, squares = {}, tm = {};
  each_step<ACROSS>(count, stride, [&](int64_t k, vd w) {
    vd e, used, t = residual(k, e, used);
    vd square = w * e * e, q = f * (wide(at.quadratic + k) - m[2]);
    ee += square, e4 += square * square, squares += w * q * q, tm += w * t;
  });
  ee = total<ACROSS>(ee), e4 = total<ACROSS>(e4) / n, squares = total<ACROSS>(squares) / (n - 1);
  tm = total<ACROSS>(tm) / n;
  vd tt = {}, t4 = {};
  each_step<ACROSS>(count, stride, [&](int64_t k, vd w) {
    vd e, used, t = w * (residual(k, e, used) - tm), square = t * t;
    tt += square, t4 += square * square;
  });
  tt = total<ACROSS>(tt) / (n - 1), t4 = total<ACROSS>(t4) / n;
  const vd fits = (known > 0.0 ? every(1) : zero) + (law.quadratic > 0.0 ? every(1) : zero);
  const vd left = ee / (n - 1 - fits * kept), spread_e = ee / (n - 1);
  const vd variance = b * b * known + squares + left + m[4];
  const vd tail_e = least(TAIL * e4 / most(spread_e * spread_e, every(TINY)), every(HEAVY));
  const vd few = 2 * left * left + 4 * kept * kept * left * (b * b * known + squares) + 2 * squares * squares;
  const vd expected = 3 * known * known + law.fourth;
  const vd seen = most(l4, most(expected / n, every(TINY))), missed = most(expected / seen, every(1));
  const vd mean = law.pivot + m[0] - b * m[1] - f * m[2];
  const vd size = (mean < 0.0 ? -mean : mean) + root(variance);
  const vd rounding = ROUNDING * ROUNDING * size * size;
  const vd told = least(TAIL * t4 / most(tt * tt, every(TINY)), every(HEAVY));
  const vd tail = tt > 4 * variance * rounding ? told : every(HEAVY);
  const vd mean_square = left / n * root(missed) * (1 + tail_e / together);
  const vd variance_square = (tt + few / (n - 1)) / n * missed * (1 + tail / together);
  return {mean, variance, root(mean_square + rounding), root(variance_square + 4 * variance * rounding)};
}

// The passes of the next block, of so many that are left: BLOCK, or the last up to a half more.
INLINE int64_t block_of(int64_t left) { return left >= BLOCK + BLOCK / 2 ? BLOCK : left; }

// Averages over blocks of passes: means and variances by weight, errors by squares.
struct Pool {
  vd mean, variance, mean_error, variance_error;
  INLINE_MEMBER void add(const Estimates &e, double weight) {
    mean += weight * e.mean, variance += weight * e.variance;
    mean_error += weight * weight * e.mean_error * e.mean_error;
    variance_error += weight * weight * e.variance_error * e.variance_error;
  }
  INLINE_MEMBER Estimates all() const { return {mean, variance, root(mean_error), root(variance_error)}; }
};
