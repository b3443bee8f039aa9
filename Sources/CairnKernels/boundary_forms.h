// Part of Cairn, a content-addressed blob store.

// The forms of the boundary scan behind CairnBoundary.h.
#ifndef CAIRN_BOUNDARY_FORMS_H
#define CAIRN_BOUNDARY_FORMS_H

#include "CairnBoundary.h"

size_t cairn_boundary_find_scalar(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold);

#if defined(__x86_64__)
size_t cairn_boundary_find_avx2(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold);
size_t cairn_boundary_find_avx512(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold);
#endif

#endif
