// Part of Cairn, a content-addressed blob store.

// What the processor offers, asked once.

#ifndef CAIRN_PROCESSOR_H
#define CAIRN_PROCESSOR_H

#include <stdbool.h>

struct cairn_processor {
    bool has_sha;     // SHA-NI with the SSSE3 and SSE4.1 that the loops around it use
    bool has_crc32c;  // the CRC32 instruction and carry-less multiplication
};

// Thread-safe; costs one load after the first call.
struct cairn_processor cairn_processor(void);

#endif
