// Distances of rows to the nearest reference row: the formulas of `Similarity._few_distances` in
// `model.calibration.novelty`, for some rows at a time.

enum { TOGETHER = 4 };  // rows, which share what is read of the reference rows

static void distances(const References &of, const float *x, int64_t rows, double *to) {
  const int D = of.width;
  double z[TOGETHER][MOST_WIDTH];
  for (int64_t from = 0; from < rows; from += TOGETHER) {
    const int some = rows - from < TOGETHER ? (int)(rows - from) : TOGETHER;
    for (int b = 0; b < TOGETHER; b++) {
      const float *row = x + (from + (b < some ? b : 0)) * D;
      for (int j = 0; j < D; j++) z[b][j] = 0;
      for (int i = 0; i < D; i++) {
        const double off = row[i] - of.centre[i];
        for (int j = 0; j < D; j++) z[b][j] += off * of.whitening[i * D + j];
      }
    }
    vd best[TOGETHER];
    vl at[TOGETHER] = {}, lane;
    for (int i = 0; i < HALF; i++) lane[i] = i;
    for (int b = 0; b < TOGETHER; b++) best[b] = every(INFINITY);
    for (int64_t r = 0; r < of.padded; r += HALF, lane += (int64_t)HALF) {
      vd score[TOGETHER], column;
      memcpy(&score[0], of.halves + r, sizeof column);
      for (int b = 1; b < TOGETHER; b++) score[b] = score[0];
      for (int j = 0; j < D; j++) {
        memcpy(&column, of.columns + j * of.padded + r, sizeof column);
        for (int b = 0; b < TOGETHER; b++) score[b] -= z[b][j] * column;
      }
      for (int b = 0; b < TOGETHER; b++) {
        const vl less = score[b] < best[b];
        best[b] = less ? score[b] : best[b], at[b] = less ? lane : at[b];
      }
    }
    for (int b = 0; b < some; b++) {
      int near = 0;
      for (int i = 1; i < HALF; i++)
        if (best[b][i] < best[b][near]) near = i;
      const float *reference = of.rows + at[b][near] * D;
      double square = 0;
      for (int j = 0; j < D; j++) square += (z[b][j] - reference[j]) * (z[b][j] - reference[j]);
      to[from + b] = sqrt(square);
    }
  }
}
