// Part of Cairn, a content-addressed blob store.

#include "processor.h"

#include <stdatomic.h>

enum { known = 1, sha = 2, crc32c = 4 };

#if defined(__x86_64__)
#include <cpuid.h>

// Not __builtin_cpu_supports: compilers differ in whether they know "sha" as a name.
static int detect(void) {
    unsigned eax, ebx, ecx, edx;
    int found = known;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return found;
    bool has_ssse3 = ecx & bit_SSSE3;
    bool has_sse41 = ecx & bit_SSE4_1;
    if ((ecx & bit_SSE4_2) && (ecx & bit_PCLMUL)) found |= crc32c;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return found;
    if (has_ssse3 && has_sse41 && (ebx & bit_SHA)) found |= sha;
    return found;
}
#else
static int detect(void) { return known; }
#endif

struct cairn_processor cairn_processor(void) {
    // Threads that race here all store the same value.
    static _Atomic int cache;
    int found = atomic_load_explicit(&cache, memory_order_relaxed);
    if (!found) {
        found = detect();
        atomic_store_explicit(&cache, found, memory_order_relaxed);
    }
    return (struct cairn_processor){
        .has_sha = (found & sha) != 0,
        .has_crc32c = (found & crc32c) != 0,
    };
}
