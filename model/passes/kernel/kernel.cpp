// Mean and variance over stochastic passes of small networks, for `model.passes.fused`: a plain C
// interface. A call is thread-safe: networks do not change after `mcd_create`.
#include <stdlib.h>
#include <string.h>

#include "networks.hpp"

namespace {
struct Variant { const char *name; Run run; Distances distances; };

bool runs(const char *name) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (!strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && runs("avx2");
  if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !strcmp(name, "baseline");
}

const Variant VARIANTS[] = {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    {"avx512", run_avx512, distances_avx512},
    {"avx2", run_avx2, distances_avx2},
#endif
    {"baseline", run_baseline, distances_baseline},
};

int padded(int n) { return (n + PAD - 1) / PAD * PAD; }
}  // namespace

extern "C" {
// The number of this interface: another one whenever a function here takes or returns something else.
int mcd_interface() { return 5; }

// The name of variant k, the fastest first, null if the processor cannot run it; "" past the last.
const char *mcd_variant(int k) {
  const int count = sizeof VARIANTS / sizeof *VARIANTS;
  return k >= count ? "" : runs(VARIANTS[k].name) ? VARIANTS[k].name : nullptr;
}

// Networks of `sites` linear layers. `widths` has the inputs, the hidden layers and the outputs;
// `levels` a rate in units of 2^-16 per site; `weights` has each member's layers: [out][in], then [out].
// `sharpness` is 0 unless the outputs are logits, whose softmax has the temperature 1 / sharpness.
void *mcd_create(int members, int sites, const int *widths, const int *levels, int activation, int targets,
                 int controls, float sharpness, const float *weights) {
  if (sites < 2 || sites > MOST_LAYERS) return nullptr;
  Ensemble *e = (Ensemble *)calloc(1, sizeof(Ensemble));
  size_t total = 0;
  for (int s = 0; s < sites; s++) {
    const size_t in = padded(widths[s]), out = padded(widths[s + 1]);
    total += in * (widths[s + 1] + 1 + PAD) + out * widths[s] + out + PAD;
  }
  void *memory = nullptr;
  Layer *layers = (Layer *)calloc((size_t)members * sites, sizeof(Layer));
  if (!e || !layers || posix_memalign(&memory, 64, total * members * sizeof(float) + 64)) {
    free(e), free(layers);
    return nullptr;
  }
  memset(memory, 0, total * members * sizeof(float));
  e->members = members, e->sites = sites, e->activation = activation, e->targets = targets;
  e->values = widths[sites] + (sharpness > 0), e->sharpness = sharpness;
  e->outputs = widths[sites], e->controls = controls, e->layers = layers, e->memory = memory;
  e->first = -1;
  for (int s = 0; s < sites; s++) {
    e->width[s] = widths[s], e->level[s] = levels[s], e->word[s] = e->words[s];
    e->words[s + 1] = e->words[s] + (levels[s] ? (widths[s] + 3) / 4 : 0);
    e->scale[s] = 65536.0f / (65536 - levels[s]), e->spread[s] = levels[s] / (65536.0f - levels[s]);
    if (levels[s] && e->first < 0) e->first = s;
  }
  if (e->first < 0) e->first = sites - 1;
  float *next = (float *)memory;
  for (int k = 0; k < members * sites; k++) {
    const int s = k % sites, in = widths[s], out = widths[s + 1];
    Layer &l = layers[k];
    l.in = in, l.out = out, l.in_padded = padded(in), l.out_padded = padded(out);
    float *rows = next, *columns = rows + (size_t)l.in_padded * (out + 1 + PAD);
    float *bias = columns + (size_t)l.out_padded * in;
    next = bias + l.out_padded + PAD;
    for (int j = 0; j < out; j++)
      for (int i = 0; i < in; i++)
        rows[(size_t)j * l.in_padded + i] = columns[(size_t)i * l.out_padded + j] = weights[(size_t)j * in + i];
    memcpy(bias, weights + (size_t)in * out, sizeof(float) * out);
    weights += (size_t)in * out + out;
    l.rows = rows, l.columns = columns, l.bias = bias;
  }
  return e;
}

void mcd_free(void *networks) {
  Ensemble *e = (Ensemble *)networks;
  free((void *)e->layers), free(e->memory), free(e);
}

// Runs passes 0 to `passes` over rows `from` to `to` of x [rows][inputs]: pass k asks member k mod M.
// `numbers` is [M][5][rows][values]: mean, variance, their errors, and the values without dropout. Of a
// classifier, `covariance` is [M][rows][values][values] or null, and `votes`, how many passes put each
// class first, [M][rows][outputs]. Every `every` passes of a block of rows `goes_on` says whether to go
// on; 0: it is not asked. Returns an End; unless it is DONE, the numbers are those of nobody.
int mcd_run(const void *networks, int variant, const float *x, int64_t rows, uint64_t seed, int64_t passes,
            const int64_t *row_ids, int reduced, double *numbers, double *covariance, int64_t *votes,
            int64_t every, int (*goes_on)(), int64_t from, int64_t to) {
  const Ensemble &e = *(const Ensemble *)networks;
  const size_t size = (size_t)rows * e.values;
  int64_t left = every;
  for (int m = 0; m < e.members; m++) {
    const Job job = {x, rows, from, to, row_ids, seed, m, e.members, (passes - m + e.members - 1) / e.members,
                     reduced, numbers + m * 5 * size, numbers + (m * 5 + 4) * size,
                     covariance ? covariance + m * size * e.values : nullptr,
                     votes ? votes + (size_t)m * rows * e.outputs : nullptr, every, &left, goes_on};
    const End end = VARIANTS[variant].run(e, m, job);
    if (end != DONE) return end;
  }
  return DONE;
}

// The distance of each row of x [rows][width] to the nearest of `References`, which has at most
// MOST_WIDTH columns.
void mcd_distances(int variant, const float *x, int64_t rows, int width, int64_t padded, const double *centre,
                   const double *whitening, const double *columns, const double *halves, const float *reference,
                   double *to) {
  VARIANTS[variant].distances({width, padded, centre, whitening, columns, halves, reference}, x, rows, to);
}
}
