// What the passes of a classifier are asked for: probabilities of the classes, their entropy, how they
// vary together, and which class comes first. The formulas are those of `Classification.values` and
// `model.passes.moments`.

static const float LEAST_LOGIT = -87.3f;  // below the largest: less is no normal float

// The logits of `classes` classes become probabilities, and their entropy follows: a class is at
// y + k stride, and a vector has passes or rows side by side.
//     p_k = e^z_k / s,  s = sum_k e^z_k,  entropy = log s - sum_k p_k z_k,  z_k <= 0
INLINE void probabilities(float *y, size_t stride, int classes, float sharpness) {
  vf top = load(y), total = {}, weighted = {};
  for (int k = 1; k < classes; k++) top = most(top, load(y + k * stride));
  for (int k = 0; k < classes; k++) {
    vf z = (load(y + k * stride) - top) * sharpness;
    z = z < LEAST_LOGIT ? all(LEAST_LOGIT) : z;
    const vf power = vexp(z);
    store(y + k * stride, power);
    total += power, weighted += power * z;
  }
  const vf share = 1.0f / total, entropy = vlog(total) - weighted * share;
  for (int k = 0; k < classes; k++) store(y + k * stride, load(y + k * stride) * share);
  store(y + classes * stride, entropy < 0.0f ? vf{} : entropy);
}

// The class that comes first, of each lane.
INLINE vi first_class(const float *y, size_t stride, int classes) {
  vf top = load(y);
  vi first = {};
  for (int k = 1; k < classes; k++) {
    const vf p = load(y + k * stride);
    const vi better = p > top;
    top = better ? p : top, first = better ? (vi){} + k : first;
  }
  return first;
}

// The values of the pass without dropout. `lanes` has room for W of each value.
INLINE void put_values(const Ensemble &e, const float *output, float *lanes, double *to) {
  if (!e.sharpness) {
    for (int v = 0; v < e.outputs; v++) to[v] = output[v];
    return;
  }
  for (int k = 0; k < e.outputs; k++) store(lanes + k * W, all(output[k]));
  probabilities(lanes, W, e.outputs, e.sharpness);
  for (int v = 0; v < e.values; v++) to[v] = lanes[v * W];
}

// The place of the pair i >= j among the sums of products.
INLINE size_t pair(int i, int j) { return (size_t)i * (i + 1) / 2 + j; }

// A covariance (ddof 1) of n passes, from the sum of products and the sums of both.
INLINE void put_covariance(const Ensemble &e, double *to, int i, int j, double product, double a, double b, double n) {
  to[i * e.values + j] = to[j * e.values + i] = (product - a * b / n) / (n - 1);
}
