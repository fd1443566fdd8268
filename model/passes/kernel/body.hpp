// One variant of the kernel, for vectors of W floats.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "networks.hpp"

namespace {
#include "vectors.hpp"
#include "masks.hpp"
#include "control.hpp"
#include "moments.hpp"
#include "classes.hpp"
#include "rows.hpp"
#include "blocks.hpp"
#include "distances.hpp"

End run(const Ensemble &e, int member, const Job &job) {
  if (job.row_ids || job.to - job.from < FEW_ROWS) return each_row(e, member, job);
  return each_block(e, member, job);
}
}  // namespace
