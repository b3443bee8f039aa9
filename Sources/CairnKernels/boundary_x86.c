// Part of Cairn, a content-addressed blob store.

// Each function carries its own target attribute, so that the package needs no compiler flags and
// the rest of the program still runs on any x86-64 processor.
#include "boundary_forms.h"

#if defined(__x86_64__)

#include <immintrin.h>

// Eight windows from one 16-byte load: the load is broadcast to all four lanes (free, in the load
// unit), then each lane picks its two windows. A permutation across lanes would need VBMI.
#define EIGHT_WINDOWS(start)                                                                  \
    _mm512_shuffle_epi8(                                                                      \
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(start))), pick)

__attribute__((target("avx512f,avx512bw,avx512dq"))) size_t cairn_boundary_find_avx512(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold) {
    const __m512i pick = _mm512_set_epi64(
        0x0e0d0c0b0a090807, 0x0d0c0b0a09080706, 0x0c0b0a0908070605, 0x0b0a090807060504,
        0x0a09080706050403, 0x0908070605040302, 0x0807060504030201, 0x0706050403020100);
    const __m512i factor = _mm512_set1_epi64((long long)multiplier);
    const __m512i limit = _mm512_set1_epi64((long long)threshold);
    size_t position = from;
    // 64 positions a round. The last load ends one byte after the last window, hence the "<".
    for (; position + 64 < to; position += 64) {
        const uint8_t *p = bytes + position - CAIRN_BOUNDARY_WINDOW_BYTE_COUNT;
        __m512i h0 = _mm512_mullo_epi64(EIGHT_WINDOWS(p), factor);
        __m512i h1 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 8), factor);
        __m512i h2 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 16), factor);
        __m512i h3 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 24), factor);
        __m512i h4 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 32), factor);
        __m512i h5 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 40), factor);
        __m512i h6 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 48), factor);
        __m512i h7 = _mm512_mullo_epi64(EIGHT_WINDOWS(p + 56), factor);
        __m512i m0 = _mm512_max_epu64(_mm512_max_epu64(h0, h1), _mm512_max_epu64(h2, h3));
        __m512i m1 = _mm512_max_epu64(_mm512_max_epu64(h4, h5), _mm512_max_epu64(h6, h7));
        if (_mm512_cmpge_epu64_mask(_mm512_max_epu64(m0, m1), limit) != 0) {
            break;
        }
    }
    // The round with the boundary in it, or the rest.
    return cairn_boundary_find_scalar(bytes, position, to, multiplier, threshold);
}

// Four windows from one 16-byte load.
#define FOUR_WINDOWS(start)                                                                   \
    _mm256_shuffle_epi8(                                                                      \
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(start))), pick)

// The upper half of each 64-bit product (the lower half is garbage). With x = xh * 2^32 + xl:
// x * k = xl * kl + ((xh * kl + xl * kh) mod 2^32) * 2^32, of which AVX2 has the parts.
__attribute__((target("avx2"))) static inline __m256i upper_halves(
    __m256i window, __m256i factor, __m256i swapped) {
    __m256i cross = _mm256_mullo_epi32(window, swapped);
    __m256i low = _mm256_mul_epu32(window, factor);
    return _mm256_add_epi32(_mm256_add_epi32(cross, _mm256_slli_epi64(cross, 32)), low);
}

__attribute__((target("avx2"))) size_t cairn_boundary_find_avx2(
    const uint8_t *bytes, size_t from, size_t to, uint64_t multiplier, uint64_t threshold) {
    const __m256i pick = _mm256_set_epi64x(
        0x0a09080706050403, 0x0908070605040302, 0x0807060504030201, 0x0706050403020100);
    const __m256i factor = _mm256_set1_epi64x((long long)multiplier);
    const __m256i swapped = _mm256_shuffle_epi32(factor, 0xb1);
    // A round is left when an upper half reaches the upper half of the threshold: never too late,
    // at worst too early, and the exact comparison follows.
    const __m256i limit = _mm256_set1_epi32((int)(uint32_t)(threshold >> 32));
    size_t position = from;
    while (position < to) {
        size_t end = to;
        for (; position + 20 < to; position += 16) {
            const uint8_t *p = bytes + position - CAIRN_BOUNDARY_WINDOW_BYTE_COUNT;
            __m256i h0 = upper_halves(FOUR_WINDOWS(p), factor, swapped);
            __m256i h1 = upper_halves(FOUR_WINDOWS(p + 4), factor, swapped);
            __m256i h2 = upper_halves(FOUR_WINDOWS(p + 8), factor, swapped);
            __m256i h3 = upper_halves(FOUR_WINDOWS(p + 12), factor, swapped);
            __m256i most = _mm256_max_epu32(_mm256_max_epu32(h0, h1), _mm256_max_epu32(h2, h3));
            __m256i reached = _mm256_cmpeq_epi32(_mm256_max_epu32(most, limit), most);
            // Only the upper half of each window counts.
            if ((_mm256_movemask_epi8(reached) & 0xf0f0f0f0) != 0) {
                end = position + 16;
                break;
            }
        }
        size_t found = cairn_boundary_find_scalar(bytes, position, end, multiplier, threshold);
        if (found < end || end == to) {
            return found;
        }
        position = end;
    }
    return to;
}

#endif
