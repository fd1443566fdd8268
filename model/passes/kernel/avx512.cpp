// The kernel for processors with AVX-512.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#include <immintrin.h>
#define W 16
#include "body.hpp"
End run_avx512(const Ensemble &e, int member, const Job &job) { return run(e, member, job); }
void distances_avx512(const References &of, const float *x, int64_t rows, double *to) { distances(of, x, rows, to); }
#endif
