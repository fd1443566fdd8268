// The kernel for every processor.
#define W 4
#include "body.hpp"
void run_baseline(const Ensemble &e, int member, const Job &job) { run(e, member, job); }
