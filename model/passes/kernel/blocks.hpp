// The passes of a block of rows that share their masks: a vector has rows side by side. A unit that
// is dropped takes no multiplications. Matrices have a row of R vectors for each unit.

static const int CHUNK = 2048;  // passes whose lists are kept at a time
static const int FEW_ROWS = W / 2;  // fewer rows are faster one by one
enum { TILE_UNITS = 4 };

// The units of each site that each pass picks: of the first noisy site those that are cheaper, kept or
// dropped; of the others those that are kept, and then the number past the last unit, up to a whole
// tile. `counts` is without those.
struct Lists {
  uint16_t *units, *everything;
  int *counts;
  int stride, at[MOST_LAYERS];
};

static Lists take_lists(const Ensemble &e, int64_t passes, Memory &memory) {
  Lists lists;
  lists.stride = 0;
  for (int s = 0; s < e.sites; s++) lists.at[s] = lists.stride, lists.stride += e.width[s] + TILE_UNITS;
  lists.units = memory.take<uint16_t>(passes * lists.stride);
  lists.counts = memory.take<int>(passes * e.sites);
  lists.everything = memory.take<uint16_t>(widest(e) + TILE_UNITS);
  for (int i = 0; lists.everything && i < widest(e) + TILE_UNITS; i++) lists.everything[i] = (uint16_t)i;
  return lists;
}

static void draw_lists(const Ensemble &e, const Job &job, int64_t from, int64_t count, int sites,
                       uint64_t *drawn, Lists &lists) {
  for (int64_t k = 0; k < count; k++) {
    draw(job.seed, job.start + (from + k) * job.step, nullptr, e.words[sites], drawn);
    for (int s = e.first; s < sites; s++) {
      if (!e.level[s]) continue;
      uint16_t *list = lists.units + k * lists.stride + lists.at[s];
      const bool dropped = s == e.first && picks_dropped(e);
      const int n = chosen(drawn + e.word[s], e.level[s], e.width[s], dropped, list);
      for (int i = n; i < n + TILE_UNITS - 1; i++) list[i] = (uint16_t)e.width[s];
      lists.counts[k * e.sites + s] = n;
    }
  }
}

template <int R> struct Rows {
  float *h, *centre, *a, *b, *output, *shift, *y, *square;
  float *effects, *bends, *curve, *gains[MOST_LAYERS], *scaled[MOST_LAYERS];
  float *effect_sum, *bend_sum, *still, *pivot, *linear, *fourth, *quadratic;
  float *l, *q, *lv;
};

template <int R> static void take(Rows<R> &r, const Ensemble &e, bool reduced, Memory &memory) {
  const size_t unit = R * W, n = (size_t)(widest(e) + 1) * unit;
  const int t = e.targets;
  float *next = memory.take<float>(4 * n + 4 * unit * e.outputs + (reduced ? (3 + 2 * e.sites) * t * n + 10 * t * unit : 0));
  if (!next) return;
  auto get = [&](size_t size) { float *p = next; next += size; return p; };
  r.h = get(n), r.centre = get(n), r.a = get(n), r.b = get(n);
  r.output = get(unit * e.outputs), r.shift = get(unit * e.outputs), r.y = get(unit * e.outputs), r.square = get(unit * e.outputs);
  if (!reduced) return;
  r.effects = get(t * n), r.bends = get(t * n), r.curve = get(t * n);
  for (int s = 0; s < e.sites; s++) r.gains[s] = get(t * n), r.scaled[s] = get(t * n);
  float **small[] = {&r.effect_sum, &r.bend_sum, &r.still, &r.pivot, &r.linear, &r.fourth, &r.quadratic, &r.l, &r.q, &r.lv};
  for (float **each : small) *each = get(t * unit);
}

// A row becomes a lane of the block: [rows][n] with `from` apart to [rows][R W].
INLINE void spread(float *to, const float *from, int count, size_t unit) {
  for (int i = 0; i < count; i++) to[i * unit] = from[i];
}

template <int R> static void fill(Rows<R> &r, const Ensemble &e, const Row &row, int lane, bool reduced) {
  const size_t unit = R * W, n = (size_t)(widest(e) + 1) * unit, from = widest(e);
  const int H = e.width[e.first], J = e.first + 1 < e.sites ? e.width[e.first + 1] : e.outputs;
  spread(r.h + lane, row.h, H, unit), spread(r.centre + lane, row.centre, J, unit);
  spread(r.output + lane, row.output, e.outputs, unit);
  if (!reduced) return;
  spread(r.pivot + lane, row.pivot, e.targets, unit);
  if (!e.controls) return;
  const float *small[] = {row.effect_sum, row.bend_sum, row.still, row.linear, row.fourth, row.quadratic};
  float *into[] = {r.effect_sum, r.bend_sum, r.still, r.linear, r.fourth, r.quadratic};
  for (int k = 0; k < 6; k++) spread(into[k] + lane, small[k], e.targets, unit);
  for (int t = 0; t < e.targets; t++) {
    spread(r.effects + t * n + lane, row.effects + t * from, H, unit);
    spread(r.bends + t * n + lane, row.bends + t * from, H, unit);
    spread(r.curve + t * n + lane, row.curve + t * from, J, unit);
    for (int s = e.first + 1; s < e.sites - 1; s++) {
      spread(r.gains[s] + t * n + lane, row.gains[s] + t * from, e.width[s], unit);
      spread(r.scaled[s] + t * n + lane, row.scaled[s] + t * from, e.width[s], unit);
    }
  }
}

// Pre-activations of the units `outs`, a tile at a time, from the units `ins` of h.
template <int R, class F>
INLINE void tiles(const Layer &l, const float *h, const uint16_t *ins, int n_ins, const float *clean,
                  float scale, const uint16_t *outs, int n_outs, F f) {
  const size_t unit = R * W;
  for (int k = 0; k < n_outs; k += TILE_UNITS) {
    const float *w[TILE_UNITS];
    vf z[TILE_UNITS][R];
    for (int t = 0; t < TILE_UNITS; t++) {
      w[t] = l.rows + (size_t)outs[k + t] * l.in_padded;
      for (int r = 0; r < R; r++) z[t][r] = vf{};
    }
    for (int i = 0; i < n_ins; i++) {
      const int at = ins[i];
      vf x[R];
      for (int r = 0; r < R; r++) x[r] = load(h + at * unit + r * W);
      for (int t = 0; t < TILE_UNITS; t++)
        for (int r = 0; r < R; r++) z[t][r] += w[t][at] * x[r];
    }
    for (int t = 0; t < TILE_UNITS; t++) {
      const int j = outs[k + t];
      const float bias = l.bias[j], rest = bias * (1 - scale);
      for (int r = 0; r < R; r++)
        z[t][r] = clean ? (load(clean + j * unit + r * W) - z[t][r]) * scale + rest : z[t][r] * scale + bias;
    }
    f(outs + k, z);
  }
}

// The sum of `count` listed units' coefficients, added to lanes.
template <int R> INLINE void add_listed(vf (&s)[R], const float *of, const uint16_t *list, int count) {
  for (int i = 0; i < count; i++)
    for (int r = 0; r < R; r++) s[r] += load(of + (size_t)list[i] * R * W + r * W);
}

// The part of l and q of a pass that the noise of the first site gives.
template <int R>
INLINE void first_noise(const Ensemble &e, Rows<R> &x, const uint16_t *list, int count) {
  const size_t unit = R * W, n = (size_t)(widest(e) + 1) * unit;
  const float scale = e.scale[e.first];
  const bool dropped = picks_dropped(e);
  const float sign = dropped ? -scale : scale, share = dropped ? scale - 1 : -1;
  for (int t = 0; t < e.targets; t++) {
    vf l[R] = {}, b[R] = {};
    add_listed<R>(l, x.effects + t * n, list, count);
    add_listed<R>(b, x.bends + t * n, list, count);
    for (int r = 0; r < R; r++) {
      const size_t at = t * unit + r * W;
      store(x.l + at, load(x.effect_sum + at) * share + l[r] * sign);
      store(x.q + at, -load(x.still + at) - (load(x.bend_sum + at) * share + b[r] * sign));
      store(x.lv + at, vf{});
    }
  }
}

// The part of l, and of its variance, that the noise of a site between the first and the last gives.
template <int R>
INLINE void middle_noise(const Ensemble &e, int site, Rows<R> &x, const float *a, const uint16_t *list, int count) {
  const size_t unit = R * W, n = (size_t)(widest(e) + 1) * unit;
  for (int t = 0; t < e.targets; t++) {
    const float *gains = x.gains[site] + t * n, *scaled = x.scaled[site] + t * n;
    for (int r = 0; r < R; r++) {
      vf l = {}, on = {}, v = {};
      for (int i = 0; i < e.width[site]; i++) {
        vf h = load(a + i * unit + r * W);
        l -= h * load(gains + i * unit + r * W), v += h * h * load(scaled + i * unit + r * W);
      }
      for (int i = 0; i < count; i++)
        on += load(a + list[i] * unit + r * W) * load(gains + list[i] * unit + r * W);
      const size_t at = t * unit + r * W;
      store(x.l + at, load(x.l + at) + l + on * e.scale[site]), store(x.lv + at, load(x.lv + at) + v);
    }
  }
}

// Adds units to the outputs, before scale and bias, and their squares to `square`.
template <int R, bool SQUARES>
INLINE void add_outputs(const Ensemble &e, const Layer &head, const uint16_t *units,
                        const vf (&a)[TILE_UNITS][R], Rows<R> &x) {
  const size_t unit = R * W;
  for (int o = 0; o < e.outputs; o++) {
    const float *w = head.rows + (size_t)o * head.in_padded;
    for (int r = 0; r < R; r++) {
      vf y = load(x.y + o * unit + r * W), s = {};
      for (int t = 0; t < TILE_UNITS; t++) {
        vf part = a[t][r] * w[units[t]];
        y += part;
        if (SQUARES) s += part * part;
      }
      store(x.y + o * unit + r * W, y);
      if (SQUARES && o < e.targets) store(x.square + o * unit + r * W, load(x.square + o * unit + r * W) + s);
    }
  }
}

// One pass: x.y has the outputs; REDUCED, before the last mask, and x.l, x.q, x.lv and x.square too.
template <int R, bool REDUCED>
INLINE void block_pass(const Ensemble &e, const Layer *layers, Rows<R> &x, const Lists &lists, int64_t k) {
  const size_t unit = R * W, n = (size_t)(widest(e) + 1) * unit;
  const int last = e.sites - 1;
  const bool controlled = REDUCED && e.controls;
  const Layer &head = layers[last];
  auto list = [&](int s) { return e.level[s] ? lists.units + k * lists.stride + lists.at[s] : lists.everything; };
  auto count = [&](int s) { return e.level[s] ? lists.counts[k * e.sites + s] : e.width[s]; };
  memset(x.y, 0, sizeof(float) * unit * e.outputs);
  if (REDUCED) memset(x.square, 0, sizeof(float) * unit * e.outputs);
  if (controlled) first_noise<R>(e, x, list(e.first), count(e.first));
  const float *h = x.h;
  float *a = x.a, *other = x.b;
  for (int s = e.first; s < last; s++) {
    const bool first = s == e.first, all = REDUCED;
    // Pads of the list of everything are units past the last: those must be the row of zeros.
    const uint16_t *outs = all || !e.level[s + 1] ? lists.everything : list(s + 1);
    const int n_outs = all || !e.level[s + 1] ? e.width[s + 1] : count(s + 1);
    auto each = [&](const uint16_t *units, vf(&z)[TILE_UNITS][R]) {
      if (controlled && first)
        for (int t = 0; t < e.targets; t++)
          for (int r = 0; r < R; r++) {
            vf q = load(x.q + t * unit + r * W);
            for (int i = 0; i < TILE_UNITS; i++) {
              vf d = z[i][r] - load(x.centre + units[i] * unit + r * W);
              q += d * d * load(x.curve + t * n + units[i] * unit + r * W);
            }
            store(x.q + t * unit + r * W, q);
          }
      for (int i = 0; i < TILE_UNITS; i++)
        for (int r = 0; r < R; r++) z[i][r] = activated(e.activation, z[i][r]);
      if (s == last - 1)
        add_outputs<R, REDUCED>(e, head, units, z, x);
      else
        for (int i = 0; i < TILE_UNITS; i++)
          for (int r = 0; r < R; r++) store(a + units[i] * unit + r * W, z[i][r]);
    };
    // Whole tiles, then the rest with the row of zeros in place of units past the last.
    const int whole = n_outs / TILE_UNITS * TILE_UNITS;
    const float *clean = first && picks_dropped(e) ? x.centre : nullptr;
    tiles<R>(layers[s], h, list(s), count(s), clean, e.scale[s], outs, whole, each);
    if (whole < n_outs) {
      uint16_t rest[TILE_UNITS];
      for (int i = 0; i < TILE_UNITS; i++) rest[i] = whole + i < n_outs ? outs[whole + i] : (uint16_t)e.width[s + 1];
      tiles<R>(layers[s], h, list(s), count(s), clean, e.scale[s], rest, TILE_UNITS, each);
    }
    if (controlled && s + 1 < last && e.level[s + 1]) middle_noise<R>(e, s + 1, x, a, list(s + 1), count(s + 1));
    h = a, a = other, other = (float *)h;
  }
  if (e.first < last) return;
  for (int o = 0; o < e.outputs; o++)  // only the head has noise
    for (int i = 0; i < count(last); i++)
      for (int r = 0; r < R; r++)
        store(x.y + o * unit + r * W, load(x.y + o * unit + r * W) +
              head.rows[(size_t)o * head.in_padded + list(last)[i]] * load(x.h + list(last)[i] * unit + r * W));
}

// The output o of a pass, from the sum in x.y.
template <int R, bool REDUCED>
INLINE vf output_of(const Ensemble &e, const Layer &head, const Rows<R> &x, int o, int r) {
  const int last = e.sites - 1;
  const size_t at = (size_t)o * R * W + r * W;
  const float scale = REDUCED ? 1 : e.scale[last], bias = head.bias[o];
  if (e.first == last && picks_dropped(e)) return (load(x.centre + at) - load(x.y + at)) * scale + bias * (1 - scale);
  return load(x.y + at) * scale + bias;
}

// The answers of some rows of a block.
template <int R, bool REDUCED>
static End block(const Ensemble &e, const Layer *layers, const Job &job, int64_t from, Rows<R> &x,
                  Lists &lists, uint64_t *drawn, float *terms, vd (*sums)[4], Pool *pools) {
  enum { PARTS = 2 * R };
  const size_t unit = R * W;
  const int T = e.targets;
  const int64_t stride = unit, most_passes = REDUCED ? BLOCK * 3 / 2 : CHUNK;
  const bool once = job.count <= most_passes;
  memset(sums, 0, sizeof(vd) * 4 * PARTS * e.outputs), memset(pools, 0, sizeof(Pool) * PARTS * T);
  for (int64_t done = 0, some; done < job.count; done += some) {
    const int64_t left = job.count - done;
    some = REDUCED ? block_of(left) : left < CHUNK ? left : CHUNK;
    const int64_t size = some * unit;  // of a term
    if (!once || from == job.from) draw_lists(e, job, done, some, e.sites - REDUCED, drawn, lists);
    for (int64_t k = 0; k < some; k++) {
      block_pass<R, REDUCED>(e, layers, x, lists, k);
      if (unwanted(job)) return UNWANTED;
      for (int o = 0; o < e.outputs; o++)
        for (int r = 0; r < R; r++) {
          const bool target = REDUCED && o < T;
          const size_t at = o * unit + r * W;
          const vf y = output_of<R, REDUCED>(e, layers[e.sites - 1], x, o, r);
          if (!target && !(done + k)) store(x.shift + at, y);
          const vf d = y - load((target ? x.pivot : x.shift) + at);
          if (target) {
            float *to = terms + 5 * o * size + k * unit + r * W;
            store(to, d), store(to + size, load(x.l + at)), store(to + 2 * size, load(x.q + at));
            store(to + 3 * size, load(x.lv + at)), store(to + 4 * size, load(x.square + at) * e.spread[e.sites - 1]);
          } else {
            float d2[W];
            store(d2, d);
            for (int half = 0; half < 2; half++) add_powers(sums[o * PARTS + 2 * r + half], wide(d2 + half * HALF));
          }
        }
    }
    for (int o = 0; REDUCED && o < T; o++)
      for (int part = 0; part < PARTS; part++) {
        const float *at = terms + 5 * o * size + part * HALF;
        const size_t lane = o * unit + part * HALF;
        LawOf law = {wide(x.pivot + lane), wide(x.linear + lane), wide(x.fourth + lane), wide(x.quadratic + lane)};
        pools[o * PARTS + part].add(
            fitted<false>({at, at + size, at + 2 * size, at + 3 * size, at + 4 * size}, stride, some,
                          done + some < job.count ? 1 : e.members, law),
            (double)some / job.count);
      }
  }
  const size_t step = (size_t)job.rows * e.outputs;
  for (int o = 0; o < e.outputs; o++)
    for (int part = 0; part < PARTS; part++) {
      const int at = o * PARTS + part;
      Estimates found = REDUCED && o < T
          ? pools[at].all()
          : plain_estimate(sums[at], wide(x.shift + o * unit + part * HALF), job.count, (double)job.count * e.members);
      for (int i = 0; i < HALF && from + part * HALF + i < job.to; i++)
        put(job.estimate + (from + part * HALF + i) * e.outputs + o, step, found, i);
    }
  return DONE;
}

template <int R, bool REDUCED> static End blocks_of(const Ensemble &e, int member, const Job &job) {
  Memory memory;
  Row row;
  Rows<R> x;
  take(row, e, memory);
  take<R>(x, e, REDUCED, memory);
  const Layer *layers = e.layers + (size_t)member * e.sites;
  const int64_t most_passes = REDUCED ? BLOCK * 3 / 2 : CHUNK, unit = R * W;
  const int64_t passes = job.count < most_passes ? job.count : most_passes;
  Lists lists = take_lists(e, passes, memory);
  uint64_t *drawn = memory.take<uint64_t>(e.words[e.sites] + PAD);
  float *terms = memory.take<float>(REDUCED ? 5 * e.targets * passes * unit : 0);
  vd(*sums)[4] = (vd(*)[4])memory.take<double>((size_t)8 * R * HALF * e.outputs);
  Pool *pools = memory.take<Pool>((size_t)2 * R * e.targets);
  if (memory.lacks) return NO_MEMORY;
  for (int64_t from = job.from; from < job.to; from += unit) {
    for (int64_t b = from; b < from + unit && b < job.to; b++) {
      forward(e, layers, job.x + b * e.width[0], row);
      memcpy(job.deterministic + b * e.outputs, row.output, sizeof(float) * e.outputs);
      if (REDUCED) control(e, layers, row);
      fill<R>(x, e, row, (int)(b - from), REDUCED);
    }
    const End end = block<R, REDUCED>(e, layers, job, from, x, lists, drawn, terms, sums, pools);
    if (end != DONE) return end;
  }
  return DONE;
}

static End each_block(const Ensemble &e, int member, const Job &job) {
  if (job.to - job.from <= W)
    return job.reduced ? blocks_of<1, true>(e, member, job) : blocks_of<1, false>(e, member, job);
  return job.reduced ? blocks_of<2, true>(e, member, job) : blocks_of<2, false>(e, member, job);
}
