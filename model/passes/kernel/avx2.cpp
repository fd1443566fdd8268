// The kernel for processors with AVX2.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#define W 8
#include "body.hpp"
End run_avx2(const Ensemble &e, int member, const Job &job) { return run(e, member, job); }
void distances_avx2(const References &of, const float *x, int64_t rows, double *to) { distances(of, x, rows, to); }
#endif
