// One row: the activations that all its passes share, and the control variates of `reduced`. The
// formulas are those of `model.passes.reduced`, `propagation`, `gaussian` and `drop_effects`.

static const float FEW_DROPS = 50.0f, LEAST_VARIANCE = 1e-12f, LEAST_EFFECT = 1e-6f;
static const float LARGE_SQUARE = 0.25f * 0.25f, FAR = 36.0f;

// Vectors of one row; matrices have a row for each target.
struct Row {
  float *h, *centre, *output;                    // at the first noisy site, and with dropout off
  float *effects, *bends, *curve, *still;        // of the first noisy site
  float *gains[MOST_LAYERS], *scaled[MOST_LAYERS];
  float *effect_sum, *bend_sum, *pivot, *linear, *fourth, *quadratic;
  float *mean[MOST_LAYERS], *variance[MOST_LAYERS], *level[MOST_LAYERS], *square[MOST_LAYERS];
  float *slope[MOST_LAYERS], *outer[MOST_LAYERS], *bent, *size, *site_effects, *one, *two;
};

INLINE int padded(int n) { return (n + PAD - 1) / PAD * PAD; }

static int widest(const Ensemble &e) {
  int most = e.outputs;
  for (int s = 0; s < e.sites; s++) most = e.width[s] > most ? e.width[s] : most;
  return padded(most);
}

static void take(Row &r, const Ensemble &e, Memory &memory) {
  const int n = widest(e), t = e.targets;
  const bool controlled = e.controls && e.first < e.sites - 1;
  float *next = memory.take<float>((size_t)n * (7 + 7 * t + 6 * MOST_LAYERS + 3 * t * MOST_LAYERS));
  if (!next) return;
  auto get = [&](int rows) { float *p = next; next += (size_t)rows * n; return p; };
  r.h = get(1), r.centre = get(1), r.output = get(1), r.one = get(1), r.two = get(1), r.size = get(1);
  r.effects = get(2 * t), r.bends = r.effects + (size_t)t * n, r.curve = get(t);
  r.bent = get(t), r.site_effects = get(t);
  float *law = get(1 + 7 * t / n);
  r.still = law, r.effect_sum = law + t, r.bend_sum = law + 2 * t, r.pivot = law + 3 * t;
  r.linear = law + 4 * t, r.fourth = law + 5 * t, r.quadratic = law + 6 * t;
  for (int s = 0; controlled && s < e.sites; s++) {
    r.mean[s] = get(1), r.variance[s] = get(1), r.level[s] = get(1), r.square[s] = get(1);
    r.slope[s] = get(1);
    r.gains[s] = get(t), r.scaled[s] = get(t), r.outer[s] = get(t);
  }
}

// The row's activations up to the first noisy site, and its outputs with dropout off.
static void forward(const Ensemble &e, const Layer *layers, const float *x, Row &r) {
  float *into = r.one, *other = r.two;
  for (int s = 0; s < e.sites; s++) {
    const Layer &l = layers[s];
    if (s == e.first) memcpy(r.h, x, sizeof(float) * l.in);
    product(into, l.bias, l.columns, l.out_padded, nullptr, x, l.in);
    if (s == e.first) memcpy(r.centre, into, sizeof(float) * l.out_padded);
    if (s == e.sites - 1) break;
    for (int j = 0; j < l.out_padded; j += W) store(into + j, activated(e.activation, load(into + j)));
    float *free = s ? other : r.two;
    x = into, other = into, into = free;
  }
  memcpy(r.output, into, sizeof(float) * e.outputs);
}

// E f(z), E f'(z), E f''(z) and E f(z)^2 for z ~ N(mean, std^2).
struct Smoothed { vf level, slope, bend, square; };

INLINE Smoothed smoothed(int kind, vf mean, vf variance) {
  vf scale = rsqrt(variance), std = variance * scale;
  if (kind == RELU) {
    vf t = mean * scale, density = vexp(t * t * -0.5f) * 0.39894228f;
    vf below = (verf(t * 0.70710678f) + 1.0f) * 0.5f, level = mean * below + std * density;
    return {level, below, density * scale, mean * level + variance * below};
  }
  enum { POINTS = 34 };
  Smoothed s = {};
  float total = 0;
  for (int k = 0; k < POINTS; k++) {
    float x = -5.5f + 11.0f / (POINTS - 1) * k, weight = expf(-x * x / 2);
    vf f = activated(kind, mean + std * x), w = f * weight;
    s.level += w, s.slope += w * x, s.bend += w * (x * x - 1), s.square += w * f;
    total += weight;
  }
  const float share = 1 / total;
  return {s.level * share, s.slope * share * scale, s.bend * share * (scale * scale), s.square * share};
}

INLINE vf relu_level(vf mean, vf variance) {
  vf inverse = rsqrt(variance), t = mean * inverse, square = t * t;
  vf density = vexp((square > FAR ? all(FAR) : square) * -0.5f);
  vf below = (verf(t * 0.70710678f) + 1.0f) * mean;
  return (below + density * variance * inverse * 0.79788456f) * 0.5f;
}

// E f(z): closed for ReLUs, Gauss and Hermite's five points for others.
INLINE vf mean_level(int kind, vf mean, vf variance) {
  if (kind == RELU) return relu_level(mean, variance);
  if (kind == LEAKY_RELU) return mean * 0.01f + relu_level(mean, variance) * 0.99f;
  const float near = 1.35562618f, far = 2.85697001f;  // sqrt(5 -+ sqrt(10))
  vf std = variance * rsqrt(variance), a = std * near, b = std * far;
  vf inner = activated(kind, mean + a) + activated(kind, mean - a);
  vf outer = activated(kind, mean + b) + activated(kind, mean - b);
  return activated(kind, mean) * (8.0f / 15) + inner * 0.22207592f + outer * 0.01125741f;
}

// The mean slopes of the targets in the units before a layer: (slope outer) times its weights.
static void slopes(const Layer &l, const float *slope, const float *outer, float *out, float *tmp) {
  for (int j = 0; j < l.out_padded; j += W) store(tmp + j, load(slope + j) * load(outer + j));
  product(out, nullptr, l.rows, l.in_padded, nullptr, tmp, l.out);
}

// The effects [T][H] of dropping each unit of h, over `small` [T][H], the effects by slopes.
static void drop_effects(const Ensemble &e, const Layer &l, const float *h, float spread,
                         const float *mean, const float *variance, const float *outer, size_t n,
                         float *small, float *level, float *exact) {
  float square = 0;
  for (int i = 0; i < l.in; i++) square += h[i] * h[i];
  const float large = LARGE_SQUARE * square / l.in;
  for (int j = 0; j < l.out_padded; j += W) {
    vf m = load(mean + j), v = load(variance + j) + (m * m + 1.0f) * LEAST_VARIANCE;
    store(exact + j, v), store(level + j, mean_level(e.activation, m, v));
  }
  for (int i = 0; i < l.in; i++) {
    if (!(h[i] * h[i] > large)) continue;
    vf effect[4] = {};
    for (int at = 0; at < e.targets; at += 4) {
      const int some = e.targets - at < 4 ? e.targets - at : 4;
      for (int t = 0; t < some; t++) effect[t] = vf{};
      for (int j = 0; j < l.out_padded; j += W) {
        vf a = load(l.columns + (size_t)i * l.out_padded + j) * h[i], v = load(exact + j);
        vf loss = load(level + j) - mean_level(e.activation, load(mean + j) - a,
                                               most(v - a * a * spread, v * LEAST_EFFECT));
        for (int t = 0; t < some; t++) effect[t] += loss * load(outer + (at + t) * n + j);
      }
      for (int t = 0; t < some; t++) small[(at + t) * n + i] = sum(effect[t]);
    }
  }
}

// The effects of a site whose activations are h, on the layer after it.
static void effects(const Ensemble &e, const Layer *layers, int site, const float *h,
                    const float *bends, float *found, Row &r, size_t n) {
  const Layer &l = layers[site];
  for (int t = 0; t < e.targets; t++) {
    float *of = found + t * n;
    slopes(l, r.slope[site + 1], r.outer[site + 1] + t * n, of, r.one);
    for (int i = 0; i < l.in_padded; i += W) {
      vf effect = load(of + i) * load(h + i);
      store(of + i, bends ? effect + load(bends + t * n + i) : effect);
    }
  }
  const float units = l.in * e.spread[site];
  if (units > 0 && units <= FEW_DROPS)
    drop_effects(e, l, h, e.spread[site], r.mean[site + 1], r.variance[site + 1],
                 r.outer[site + 1], n, found, r.one, r.two);
}

// Mean and variance of the pre-activations, and the averages of activations, of all later sites.
static void propagate(const Ensemble &e, const Layer *layers, Row &r, size_t n) {
  for (int s = e.first + 1; s < e.sites; s++) {
    const Layer &l = layers[s];
    const bool first = s == e.first + 1;
    for (int i = 0; i < l.in_padded; i += W) {
      vf m = load(r.mean[s] + i), v = load(r.variance[s] + i);
      Smoothed at = smoothed(e.activation, m, v + (m * m + 1.0f) * LEAST_VARIANCE);
      store(r.level[s] + i, at.level), store(r.square[s] + i, at.square), store(r.slope[s] + i, at.slope);
      if (first) store(r.two + i, at.bend);
    }
    if (first)
      for (int t = 0; t < e.targets; t++) memcpy(r.curve + t * n, r.two, sizeof(float) * l.in_padded);
    float *mean = s == e.sites - 1 ? r.one : r.mean[s + 1];
    product(mean, l.bias, l.columns, l.out_padded, nullptr, r.level[s], l.in);
    if (s == e.sites - 1) break;
    for (int i = 0; i < l.in_padded; i += W) {
      vf level = load(r.level[s] + i);
      store(r.two + i, most(load(r.square[s] + i) * (1 + e.spread[s]) - level * level, vf{}));
    }
    product<true>(r.variance[s + 1], nullptr, l.columns, l.out_padded, nullptr, r.two, l.in);
  }
  memcpy(r.pivot, r.one, sizeof(float) * e.targets);
}

static void add_law(const Ensemble &e, int site, const float *effects, Row &r, size_t n) {
  const float s = e.spread[site], fourth = s * (1 + s) * (1 + s) - 6 * s * s;
  for (int t = 0; t < e.targets; t++) {
    vf square = {}, power = {};
    for (int i = 0; i < padded(e.width[site]); i += W) {
      vf x = load(effects + t * n + i), y = x * x;
      square += y, power += y * y;
    }
    if (site == e.first) r.linear[t] = s * sum(square), r.fourth[t] = 0;
    r.fourth[t] += fourth * sum(power);
  }
}

// The curvature's parts, for each target: curve, still, quadratic, bends.
static void curvature(const Ensemble &e, const Layer &l, Row &r, size_t n) {
  const float s = e.spread[e.first];
  for (int t = 0; t < e.targets; t++) {
    float *curve = r.curve + t * n, *bends = r.bends + t * n;
    vf still = {}, quadratic = {};
    for (int j = 0; j < l.out_padded; j += W) {
      vf c = load(curve + j) * 0.5f * load(r.outer[e.first + 1] + t * n + j);
      vf weighed = c * load(r.variance[e.first + 1] + j);
      store(curve + j, c), still += weighed, quadratic += weighed * weighed;
    }
    r.still[t] = sum(still), r.quadratic[t] = 2 * sum(quadratic);
    product<true>(bends, nullptr, l.rows, l.in_padded, nullptr, curve, l.out);
    for (int i = 0; i < l.in_padded; i += W) {
      vf h = load(r.h + i);
      store(bends + i, load(bends + i) * (h * h * (s - 1)));
    }
  }
}

// The gains and their scaled squares at the sites between the first and the last.
static void middle(const Ensemble &e, const Layer *layers, Row &r, size_t n) {
  for (int s = e.first + 1; s < e.sites - 1; s++) {
    const int width = padded(e.width[s]);
    for (int i = 0; i < width; i += W) {
      vf square = load(r.square[s] + i), floor = square < 1e-12f ? all(1e-12f) : square;
      vf size = floor * rsqrt(floor);
      store(r.size + i, load(r.level[s] + i) < 0.0f ? -size : size);
    }
    for (int i = e.width[s]; i < width; i++) r.size[i] = 1;
    effects(e, layers, s, r.size, nullptr, r.site_effects, r, n);
    add_law(e, s, r.site_effects, r, n);
    for (int t = 0; t < e.targets; t++)
      for (int i = 0; i < width; i += W) {
        vf gain = load(r.site_effects + t * n + i) / load(r.size + i);
        store(r.gains[s] + t * n + i, gain), store(r.scaled[s] + t * n + i, gain * gain * e.spread[s]);
      }
  }
}

// The control variates of a row whose activations `forward` has found.
static void control(const Ensemble &e, const Layer *layers, Row &r) {
  const size_t n = widest(e);
  const int first = e.first, last = e.sites - 1;
  if (!e.controls) {
    memcpy(r.pivot, r.output, sizeof(float) * e.targets);
    return;
  }
  const Layer &l = layers[first];
  for (int i = 0; i < l.in_padded; i += W) {
    vf h = load(r.h + i);
    store(r.one + i, h * h * e.spread[first]);
  }
  memcpy(r.mean[first + 1], r.centre, sizeof(float) * l.out_padded);
  product<true>(r.variance[first + 1], nullptr, l.columns, l.out_padded, nullptr, r.one, l.in);
  propagate(e, layers, r, n);
  for (int t = 0; t < e.targets; t++) {
    memcpy(r.outer[last] + t * n, layers[last].rows + (size_t)t * layers[last].in_padded,
           sizeof(float) * layers[last].in_padded);
    for (int s = last; s > first + 1; s--)
      slopes(layers[s - 1], r.slope[s], r.outer[s] + t * n, r.outer[s - 1] + t * n, r.one);
  }
  curvature(e, l, r, n);
  effects(e, layers, first, r.h, r.bends, r.effects, r, n);
  add_law(e, first, r.effects, r, n);
  middle(e, layers, r, n);
  for (int t = 0; t < e.targets; t++) {
    vf effect = {}, bend = {};
    for (int i = 0; i < l.in_padded; i += W)
      effect += load(r.effects + t * n + i), bend += load(r.bends + t * n + i);
    r.effect_sum[t] = sum(effect), r.bend_sum[t] = sum(bend);
  }
}
