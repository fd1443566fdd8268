// Vectors of W floats, and the functions of them that networks need. Included once per variant.
typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef float vh __attribute__((vector_size(2 * W)));   // half as many floats,
typedef double vd __attribute__((vector_size(4 * W)));  // and as many doubles
typedef int64_t vl __attribute__((vector_size(4 * W)));
typedef int16_t vs __attribute__((vector_size(2 * W)));
enum { HALF = W / 2 };

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vd wide(const float *p) { vh v; memcpy(&v, p, sizeof v); return __builtin_convertvector(v, vd); }
INLINE vf all(float x) { return (vf){} + x; }
INLINE vd every(double x) { return (vd){} + x; }
INLINE vf most(vf a, vf b) { return a > b ? a : b; }
INLINE vd most(vd a, vd b) { return a > b ? a : b; }
INLINE vd least(vd a, vd b) { return a < b ? a : b; }

INLINE float sum(vf v) { float s = 0; for (int i = 0; i < W; i++) s += v[i]; return s; }
INLINE double sum(vd v) { double s = 0; for (int i = 0; i < HALF; i++) s += v[i]; return s; }

INLINE vd root(vd v) { for (int i = 0; i < HALF; i++) v[i] = sqrt(v[i]); return v; }

// 1 / sqrt(x) for normal x > 0, to rounding: a first guess, and steps of Newton.
INLINE vf rsqrt(vf x) {
  const vf half = x * 0.5f;
#if W == 16
  vf y = (vf)_mm512_maskz_rsqrt14_ps((__mmask16)-1, (__m512)x);
#else
  vf y = (vf)(0x5f3759df - ((vi)x >> 1));
  y *= 1.5f - half * y * y;
  y *= 1.5f - half * y * y;
#endif
  return y * (1.5f - half * y * y);
}

// e^x - 1 by 2^n e^r, |r| <= log(2) / 2, and a polynomial for e^r (Moshier's Cephes); and 2^n.
INLINE vf exponential(vf x, vf &power) {
  x = x < -87.3f ? all(-87.3f) : x;
  x = x > 88.3f ? all(88.3f) : x;
  const float magic = 12582912.0f;  // adding it rounds to a whole number
  vf t = x * 1.44269504f + magic, n = t - magic, r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  power = (vf)(((vi)t - 0x4B400000 + 127) << 23);
  return p * r * r + r;
}

INLINE vf vexp(vf x) {
  vf power, p = exponential(x, power);
  return p * power + power;
}

INLINE vf vexpm1(vf x) {
  vf power, p = exponential(x, power);
  return p * power + (power - 1.0f);
}

INLINE vf vtanh(vf x) {
  vf e = vexpm1(x + x);
  return e / (e + 2.0f);
}

// log(x) of normal x > 0: the exponent, and a polynomial for the rest (Cephes).
INLINE vf vlog(vf x) {
  vi bits = (vi)x, exponent = (bits >> 23) - 127;
  vf m = (vf)((bits & 0x7fffff) | 0x3f800000);
  const vi large = m > 1.41421356f;
  m = large ? m * 0.5f : m, exponent -= large;
  const vf n = __builtin_convertvector(exponent, vf), f = m - 1.0f, square = f * f;
  vf p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  return f + (p * f * square - n * 2.12194440e-4f - square * 0.5f) + n * 0.693359375f;
}

// erf(x) by a rational function, to about 2e-7 (that of Eigen).
INLINE vf verf(vf x) {
  x = x < -4.0f ? all(-4.0f) : x;
  x = x > 4.0f ? all(4.0f) : x;
  vf s = x * x, p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  vf q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  return x * p / q;
}

INLINE vf activated(int kind, vf z) {
  const vf zero = {};
  switch (kind) {
    case RELU: return z < 0.0f ? zero : z;
    case LEAKY_RELU: return z < 0.0f ? z * 0.01f : z;
    case GELU: return z * 0.5f * (1.0f + verf(z * 0.70710678f));
    case SILU: return z / (1.0f + vexp(-z));
    case TANH: return vtanh(z);
    default: return z < 0.0f ? vexpm1(z) : z;
  }
}

// sum_e factor[e] m[at[e]][j] for n vectors of j, into z, added to `start` where there is one.
// Without `at`, e counts the rows of m. With SQUARED, the squares of m take the place of m.
template <int N, bool SQUARED>
INLINE void product_tile(float *z, const float *start, const float *m, size_t stride,
                         const uint16_t *at, const float *factor, int count) {
  vf s[N];
  for (int k = 0; k < N; k++) s[k] = start ? load(start + k * W) : vf{};
  for (int e = 0; e < count; e++) {
    const float *row = m + stride * (at ? at[e] : e), f = factor[e];
    for (int k = 0; k < N; k++) {
      vf w = load(row + k * W);
      s[k] += SQUARED ? f * (w * w) : f * w;
    }
  }
  for (int k = 0; k < N; k++) store(z + k * W, s[k]);
}

template <bool SQUARED = false>
static void product(float *z, const float *start, const float *m, int width, const uint16_t *at,
                    const float *factor, int count) {
  int n = width / W, k = 0;
#define TILE(N) product_tile<N, SQUARED>(z + k * W, start ? start + k * W : nullptr, m + k * W, width, at, factor, count)
  for (; n - k >= 8; k += 8) TILE(8);
  switch (n - k) {
    case 7: TILE(7); break;
    case 6: TILE(6); break;
    case 5: TILE(5); break;
    case 4: TILE(4); break;
    case 3: TILE(3); break;
    case 2: TILE(2); break;
    case 1: TILE(1); break;
  }
#undef TILE
}

// sum_j a[j] b[j] over padded vectors.
INLINE float dot(const float *a, const float *b, int width) {
  vf s = {};
  for (int j = 0; j < width; j += W) s += load(a + j) * load(b + j);
  return sum(s);
}
