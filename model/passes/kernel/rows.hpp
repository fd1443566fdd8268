// The passes of one row: a vector has units side by side. For few rows, and masks of each row.

struct Pass {
  uint64_t *drawn;
  uint16_t *at;
  float *factor, *z, *a;
};

// 1 for the units of a vector that are kept.
INLINE vi kept(const uint64_t *drawn, int from, int level) {
  vs integers;
  memcpy(&integers, (const int16_t *)drawn + from, sizeof integers);
  return __builtin_convertvector(integers, vi) >= level - 32768;
}

// The units of h that are not zero and are kept, or dropped, with their values; returns how many.
INLINE int listed(const Ensemble &e, int site, bool dropped, const float *h, Pass &p) {
  const int16_t *integers = (const int16_t *)(p.drawn + e.word[site]);
  const int least = e.level[site] ? e.level[site] - 32768 : -32768;
  int n = 0;
  for (int i = 0; i < e.width[site]; i++) {
    p.at[n] = (uint16_t)i, p.factor[n] = h[i];
    n += (((e.level[site] ? integers[i] : 0) >= least) != dropped) & (h[i] != 0);
  }
  return n;
}

INLINE bool picks_dropped(const Ensemble &e) { return e.level[e.first] < 32768; }

// The pre-activations after the first noisy site; p.at has the units that were picked.
INLINE int first_layer(const Ensemble &e, const Layer &l, const Row &r, Pass &p) {
  const bool dropped = picks_dropped(e);
  const float scale = e.scale[e.first];
  const int n = listed(e, e.first, dropped, r.h, p);
  product(p.z, nullptr, l.columns, l.out_padded, p.at, p.factor, n);
  for (int j = 0; j < l.out_padded; j += W) {
    vf s = load(p.z + j), b = load(l.bias + j);
    store(p.z + j, dropped ? (load(r.centre + j) - s) * scale + b * (1 - scale) : s * scale + b);
  }
  return n;
}

INLINE void later_layer(const Ensemble &e, const Layer &l, int site, Pass &p) {
  const int n = listed(e, site, false, p.a, p);
  product(p.z, nullptr, l.columns, l.out_padded, p.at, p.factor, n);
  for (int j = 0; j < l.out_padded; j += W)
    store(p.z + j, load(p.z + j) * e.scale[site] + load(l.bias + j));
}

INLINE void activate(const Ensemble &e, int width, Pass &p) {
  for (int j = 0; j < width; j += W) store(p.a + j, activated(e.activation, load(p.z + j)));
}

// The outputs of a pass; output o goes to y[o stride].
INLINE void plain_pass(const Ensemble &e, const Layer *layers, const Row &r, Pass &p, float *y, int64_t stride) {
  const int last = e.sites - 1;
  first_layer(e, layers[e.first], r, p);
  if (e.first == last) {
    for (int o = 0; o < e.outputs; o++) y[o * stride] = p.z[o];
    return;
  }
  for (int s = e.first + 1;; s++) {
    activate(e, layers[s - 1].out_padded, p);
    if (s == last) break;
    later_layer(e, layers[s], s, p);
  }
  const Layer &head = layers[last];
  const uint64_t *drawn = p.drawn + e.word[last];
  const vf zero = {};
  for (int o = 0; o < e.outputs; o++) {
    vf s = {};
    for (int j = 0; j < head.in_padded; j += W) {
      vf a = load(p.a + j);
      if (e.level[last]) a = kept(drawn, j, e.level[last]) ? a : zero;
      s += a * load(head.rows + (size_t)o * head.in_padded + j);
    }
    y[o * stride] = head.bias[o] + e.scale[last] * sum(s);
  }
}

// The five terms of a pass for each target, and the log-variances, [5 T + R] numbers `stride` apart.
INLINE void reduced_pass(const Ensemble &e, const Layer *layers, const Row &r, Pass &p, float *terms,
                         int64_t stride) {
  const size_t n = widest(e);
  const int last = e.sites - 1, T = e.targets;
  const bool dropped = picks_dropped(e);
  const float first_scale = e.scale[e.first];
  const Layer &l = layers[e.first], &head = layers[last];
  const int picked = first_layer(e, l, r, p);
  for (int t = 0; t < T; t++) {
    float *to = terms + 5 * t * stride, linear = 0, bend = 0;
    to[stride] = to[2 * stride] = to[3 * stride] = 0;
    if (!e.controls) continue;
    for (int k = 0; k < picked; k++)
      linear += r.effects[t * n + p.at[k]], bend += r.bends[t * n + p.at[k]];
    const float sign = dropped ? -first_scale : first_scale, share = dropped ? first_scale - 1 : -1;
    linear = share * r.effect_sum[t] + sign * linear, bend = share * r.bend_sum[t] + sign * bend;
    vf q = {};
    for (int j = 0; j < l.out_padded; j += W) {
      vf d = load(p.z + j) - load(r.centre + j);
      q += d * d * load(r.curve + t * n + j);
    }
    to[stride] = linear, to[2 * stride] = sum(q) - (r.still[t] + bend);
  }
  for (int s = e.first + 1;; s++) {
    activate(e, layers[s - 1].out_padded, p);
    if (s == last) break;
    for (int t = 0; e.controls && e.level[s] && t < T; t++) {
      vf linear = {}, variance = {}, on = all(e.scale[s] - 1), off = all(-1);
      for (int i = 0; i < layers[s].in_padded; i += W) {
        vf h = load(p.a + i), noise = kept(p.drawn + e.word[s], i, e.level[s]) ? on : off;
        linear += noise * h * load(r.gains[s] + t * n + i);
        variance += h * h * load(r.scaled[s] + t * n + i);
      }
      terms[(5 * t + 1) * stride] += sum(linear), terms[(5 * t + 3) * stride] += sum(variance);
    }
    later_layer(e, layers[s], s, p);
  }
  for (int o = 0; o < e.outputs; o++) {
    const float *w = head.rows + (size_t)o * head.in_padded;
    vf s = {}, square = {};
    for (int j = 0; j < head.in_padded; j += W) {
      vf part = load(p.a + j) * load(w + j);
      s += part, square += part * part;
    }
    float y = sum(s) + head.bias[o];
    if (o < T) {
      terms[5 * o * stride] = y - r.pivot[o];
      terms[(5 * o + 4) * stride] = e.spread[last] * sum(square);
    } else {
      terms[(5 * T + o - T) * stride] = y;
    }
  }
}

INLINE void add_powers(vd (&s)[4], const float *d, int64_t count) {
  each_step<true>(count, HALF, [&](int64_t k, vd w) { add_powers(s, w * wide(d + k)); });
}

INLINE void put(double *at, size_t step, const Estimates &found, int lane) {
  at[0] = found.mean[lane], at[step] = found.variance[lane];
  at[2 * step] = found.mean_error[lane], at[3 * step] = found.variance_error[lane];
}

// Plain estimates from sums that are spread over the lanes.
INLINE Estimates across(vd (&s)[4], float shift, double n, int members) {
  for (int k = 0; k < 4; k++) s[k] = total<true>(s[k]);
  return plain_estimate(s, every(shift), n, n * members);
}

static End each_row(const Ensemble &e, int member, const Job &job) {
  Memory memory;
  Row r;
  take(r, e, memory);
  const Layer *layers = e.layers + (size_t)member * e.sites;
  const int n = widest(e), T = e.targets;
  const int64_t most = job.count < BLOCK * 3 / 2 ? job.count : BLOCK * 3 / 2;
  const int64_t stride = (most + PAD - 1) / PAD * PAD;  // passes of a block, padded
  const int kept_terms = job.reduced ? 4 * T + e.outputs : e.outputs, words = e.words[e.sites - !!job.reduced];
  Pass p = {memory.take<uint64_t>(words + PAD), memory.take<uint16_t>(n), memory.take<float>(n),
            memory.take<float>(n), memory.take<float>(n)};
  float *terms = memory.take<float>(stride * kept_terms), *shift = memory.take<float>(e.outputs);
  Pool *pools = memory.take<Pool>(T);
  vd(*sums)[4] = (vd(*)[4])memory.take<double>(4 * HALF * e.outputs);
  if (memory.lacks) return NO_MEMORY;
  const size_t step = (size_t)job.rows * e.outputs;
  for (int64_t b = job.from; b < job.to; b++) {
    forward(e, layers, job.x + b * e.width[0], r);
    memcpy(job.deterministic + b * e.outputs, r.output, sizeof(float) * e.outputs);
    if (job.reduced) control(e, layers, r);
    memset(pools, 0, sizeof(Pool) * T), memset(sums, 0, sizeof(vd) * 4 * e.outputs);
    double *to = job.estimate + b * e.outputs;
    for (int64_t done = 0, some; done < job.count; done += some) {
      some = block_of(job.count - done);
      for (int64_t k = 0; k < some; k++) {
        draw(job.seed, job.start + (done + k) * job.step, job.row_ids ? job.row_ids + b : nullptr, words, p.drawn);
        if (job.reduced) reduced_pass(e, layers, r, p, terms + k, stride);
        else plain_pass(e, layers, r, p, terms + k, stride);
        if (unwanted(job)) return UNWANTED;
      }
      for (int t = 0; t < kept_terms; t++)
        for (int64_t k = some; k < stride && k < some + HALF; k++) terms[t * stride + k] = 0;
      for (int o = 0; o < e.outputs; o++) {
        if (job.reduced && o < T) {
          const float *at = terms + 5 * o * stride;
          LawOf law = {every(r.pivot[o]), every(r.linear[o]), every(r.fourth[o]), every(r.quadratic[o])};
          pools[o].add(fitted<true>({at, at + stride, at + 2 * stride, at + 3 * stride, at + 4 * stride}, HALF,
                                    some, done + some < job.count ? 1 : e.members, law),
                       (double)some / job.count);
        } else {
          float *d = terms + (job.reduced ? 4 * T + o : o) * stride;
          if (!done) shift[o] = d[0];
          for (int64_t k = 0; k < some; k++) d[k] -= shift[o];
          add_powers(sums[o], d, some);
        }
      }
    }
    for (int o = 0; o < e.outputs; o++)
      put(to + o, step, job.reduced && o < T ? pools[o].all() : across(sums[o], shift[o], job.count, e.members), 0);
  }
  return DONE;
}
