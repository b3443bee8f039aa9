// Part of Cairn, a content-addressed blob store.

// The boundary scan of content-defined chunking. On disk: the definition never changes, because
// moving one boundary loses the deduplication against everything that is already stored.
//
//   window(c)   := the 8 bytes before position c, as a little-endian 64-bit number
//   hash(c)     := window(c) * multiplier mod 2^64
//   boundary(c) := hash(c) >= threshold
//
// The hash has no state: every position can be examined on its own, hence many at once, and a scan
// can start anywhere. A window of zeros hashes to 0 and is never a boundary.
#ifndef CAIRN_BOUNDARY_H
#define CAIRN_BOUNDARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAIRN_BOUNDARY_WINDOW_BYTE_COUNT 8

// Returns the first boundary c with from <= c < to, or `to` when there is none.
//
// Requires from >= 8. Reads only bytes[from - 8] to bytes[to - 2]. Uses the widest instructions
// that the processor has; every form gives the same answer.
size_t cairn_boundary_find(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold);

// The forms of the scan, apart, so that tests can compare and benchmarks can rank them.
enum cairn_boundary_form {
    CAIRN_BOUNDARY_SCALAR = 0,
    CAIRN_BOUNDARY_AVX2 = 1,
    CAIRN_BOUNDARY_AVX512 = 2,
};

// Whether this processor and operating system can run `form`.
bool cairn_boundary_supports(enum cairn_boundary_form form);

// As cairn_boundary_find, in a given form. Requires cairn_boundary_supports(form).
size_t cairn_boundary_find_in_form(
    enum cairn_boundary_form form, const uint8_t *bytes, size_t from, size_t to,
    uint64_t multiplier, uint64_t threshold);

#endif
