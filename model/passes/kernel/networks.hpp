// The networks as the kernel keeps them, and the passes of one member. Plain data: every variant of
// the kernel reads it.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum Activation { RELU, GELU, SILU, TANH, ELU, LEAKY_RELU };

enum { PAD = 16, MOST_LAYERS = 16, MOST_WIDTH = 32 };  // rows of matrices are padded with zeros to whole vectors

// A linear layer. `rows` is [out + 1][in_padded], the last row zero; `columns` is its transpose.
struct Layer {
  int in, out, in_padded, out_padded;
  const float *rows, *columns, *bias;
};

// Networks of one shape. Site s has `width[s]` units, dropped with the probability level[s] / 2^16.
struct Ensemble {
  int members, sites, activation, first, targets, outputs, controls;
  int values;       // of a pass: its outputs, or the probabilities of the classes and their entropy
  float sharpness;  // of a classifier's softmax: 1 / temperature; 0 if the values are the outputs
  int width[MOST_LAYERS], level[MOST_LAYERS], word[MOST_LAYERS], words[MOST_LAYERS + 1];
  float scale[MOST_LAYERS], spread[MOST_LAYERS];
  const Layer *layers;  // [members][sites]
  void *memory;
};

// Rows `from` to `to` of x, and where the answers of one member go: [4][rows][values], [rows][values]
// without dropout, and of a classifier [rows][values][values] (null if there are many) and [rows][outputs].
struct Job {
  const float *x;
  int64_t rows, from, to;
  const int64_t *row_ids;  // null: all rows share their masks
  uint64_t seed;
  int64_t start, step, count;  // the passes of the member
  int reduced;
  double *estimate, *deterministic;
  double *covariance;
  int64_t *votes;
  int64_t every, *left;  // the passes from one question of `goes_on` to the next (0: none), and those left
  int (*goes_on)();      // whether the caller still wants the answers
};

// How a call ends: with all answers, because its caller wants none any more, or without the memory.
enum End { DONE, UNWANTED, NO_MEMORY };

// Whitened reference rows [count][width], their columns [width][padded] and half their squared norms
// [padded], which is infinite behind the last row; a row of x becomes (x - centre) whitening.
struct References {
  int width;
  int64_t padded;
  const double *centre, *whitening, *columns, *halves;
  const float *rows;
};

typedef End (*Run)(const Ensemble &, int member, const Job &);
typedef void (*Distances)(const References &, const float *x, int64_t rows, double *to);

End run_baseline(const Ensemble &, int, const Job &);
End run_avx2(const Ensemble &, int, const Job &);
End run_avx512(const Ensemble &, int, const Job &);

void distances_baseline(const References &, const float *, int64_t, double *);
void distances_avx2(const References &, const float *, int64_t, double *);
void distances_avx512(const References &, const float *, int64_t, double *);
