// Part of Cairn, a content-addressed blob store.

// Loops for which plain C or a library leaves speed on the table. Each is picked at run time by
// what the processor offers; no compiler flag is needed, and any processor gets right results.
// None of them allocates, locks or keeps a pointer; all may be called from any thread.

#ifndef CAIRN_KERNELS_H
#define CAIRN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CairnBoundary.h"

#ifdef __cplusplus
extern "C" {
#endif

// Whether cairn_sha256_blocks and cairn_sha256_blocks_pair may be called on this processor.
bool cairn_sha256_is_accelerated(void);

// Advances the chaining values of one SHA-256 over `block_count` blocks of 64 bytes.
// `blocks` may have any alignment.
void cairn_sha256_blocks(uint32_t h[8], const uint8_t *blocks, size_t block_count);

// Advances two independent SHA-256, each over `block_count` blocks, in the time of one: the
// instructions wait for their own results half of the time, and the other stream fills the gap.
// The blocks of both may have any alignment and may overlap.
void cairn_sha256_blocks_pair(
    uint32_t first_h[8], const uint8_t *first_blocks,
    uint32_t second_h[8], const uint8_t *second_blocks, size_t block_count);

// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continuing from the value of the bytes
// before them; 0 to begin.
uint32_t cairn_crc32c(uint32_t crc, const uint8_t *bytes, size_t byte_count);

// The same by table, for processors without the instruction and to check the one by the other.
uint32_t cairn_crc32c_portable(uint32_t crc, const uint8_t *bytes, size_t byte_count);

#ifdef __cplusplus
}
#endif

#endif
