// The kernel for every processor.
#define W 4
#include "body.hpp"
End run_baseline(const Ensemble &e, int member, const Job &job) { return run(e, member, job); }
void distances_baseline(const References &of, const float *x, int64_t rows, double *to) { distances(of, x, rows, to); }
