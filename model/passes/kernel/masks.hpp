// The masks of a pass, drawn as `model.passes.masks` draws them, and memory for one call.

INLINE uint64_t hashed(uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

static const uint64_t GOLDEN = 0x9E3779B97F4A7C15ULL;

// The words of the masks of one pass, of one row if it has masks of its own.
static void draw(uint64_t seed, int64_t pass, const int64_t *row, int words, uint64_t *drawn) {
  uint64_t key = hashed((uint64_t)pass * GOLDEN + hashed(seed + 1));
  if (row) key = hashed(key + (uint64_t)(*row + 1) * GOLDEN);
  for (int k = 0; k < words; k++) drawn[k] = hashed(key + (uint64_t)(k + 1) * GOLDEN);
}

// The units that are kept, or dropped, in ascending order; returns how many.
INLINE int chosen(const uint64_t *drawn, int level, int width, bool dropped, uint16_t *list) {
  const int16_t *integers = (const int16_t *)drawn;
  const int least = level - 32768;
  int n = 0;
  for (int i = 0; i < width; i++) {
    list[n] = (uint16_t)i;
    n += (integers[i] >= least) != dropped;
  }
  return n;
}

// Counts a pass of a call, and asks its caller now and then whether to go on.
INLINE bool unwanted(const Job &job) {
  if (!job.every || --*job.left) return false;
  *job.left = job.every;
  return !job.goes_on();
}

// Blocks of memory that a call frees at its end. Where one is missing, `lacks` is set.
struct Memory {
  void *blocks[32];
  int count = 0;
  bool lacks = false;
  ~Memory() { for (int k = 0; k < count; k++) free(blocks[k]); }
  template <class T> T *take(size_t n) {
    size_t bytes = (n * sizeof(T) + 64 + 63) / 64 * 64;
    void *block = nullptr;
    if (count == 32 || posix_memalign(&block, 64, bytes)) {
      lacks = true;
      return nullptr;
    }
    blocks[count++] = block;
    memset(block, 0, bytes);
    return (T *)block;
  }
};
