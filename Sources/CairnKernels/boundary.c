// Part of Cairn, a content-addressed blob store.
#include "boundary_forms.h"

#include <string.h>

static inline uint64_t window_before(const uint8_t *position) {
    uint64_t window;
    memcpy(&window, position - CAIRN_BOUNDARY_WINDOW_BYTE_COUNT, sizeof window);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    window = __builtin_bswap64(window);
#endif
    return window;
}

size_t cairn_boundary_find_scalar(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold) {
    size_t position = from;
    // Four independent multiplications in flight, one branch for all of them.
    for (; position + 4 <= to; position += 4) {
        const uint8_t *p = bytes + position;
        bool a = window_before(p) * multiplier >= threshold;
        bool b = window_before(p + 1) * multiplier >= threshold;
        bool c = window_before(p + 2) * multiplier >= threshold;
        bool d = window_before(p + 3) * multiplier >= threshold;
        if (a | b | c | d) {
            return position + (a ? 0 : b ? 1 : c ? 2 : 3);
        }
    }
    for (; position < to; position += 1) {
        if (window_before(bytes + position) * multiplier >= threshold) {
            return position;
        }
    }
    return to;
}

bool cairn_boundary_supports(enum cairn_boundary_form form) {
    switch (form) {
    case CAIRN_BOUNDARY_SCALAR:
        return true;
#if defined(__x86_64__)
    // These ask the operating system too, whether it saves the wide registers.
    case CAIRN_BOUNDARY_AVX2:
        return __builtin_cpu_supports("avx2");
    case CAIRN_BOUNDARY_AVX512:
        return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
    default:
        return false;
    }
}

size_t cairn_boundary_find_in_form(
    enum cairn_boundary_form form, const uint8_t *bytes, size_t from, size_t to,
    uint64_t multiplier, uint64_t threshold) {
    switch (form) {
#if defined(__x86_64__)
    case CAIRN_BOUNDARY_AVX2:
        return cairn_boundary_find_avx2(bytes, from, to, multiplier, threshold);
    case CAIRN_BOUNDARY_AVX512:
        return cairn_boundary_find_avx512(bytes, from, to, multiplier, threshold);
#endif
    default:
        return cairn_boundary_find_scalar(bytes, from, to, multiplier, threshold);
    }
}

size_t cairn_boundary_find(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold) {
#if defined(__x86_64__)
    // A load and a test of a table filled at start-up: not worth a function pointer.
    if (cairn_boundary_supports(CAIRN_BOUNDARY_AVX512)) {
        return cairn_boundary_find_avx512(bytes, from, to, multiplier, threshold);
    }
    if (cairn_boundary_supports(CAIRN_BOUNDARY_AVX2)) {
        return cairn_boundary_find_avx2(bytes, from, to, multiplier, threshold);
    }
#endif
    return cairn_boundary_find_scalar(bytes, from, to, multiplier, threshold);
}
