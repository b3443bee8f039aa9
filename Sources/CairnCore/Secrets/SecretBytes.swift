// Part of Cairn, a content-addressed blob store.

internal import COpenSSL
internal import Glibc

/// Key material in memory of its own: kept out of swap and core dumps, and wiped at the end.
///
/// Locking is best effort: beyond the process's limit of locked memory (`RLIMIT_MEMLOCK`) the
/// pages stay swappable. Each secret takes whole pages, so this is for tens of thousands of keys
/// at most. Immutable after creation and without a description; safe to share between threads.
@safe public final class SecretBytes: @unchecked Sendable {
    // Unchecked: written only by the initialiser, before anyone else can see the object.
    private let memory: UnsafeMutableRawBufferPointer

    /// How many bytes the secret has.
    public let byteCount: Int

    /// Copies a secret; the original stays with the caller, who wipes it.
    public convenience init(copying bytes: Span<UInt8>) {
        self.init(byteCount: bytes.count) { $0.copy(bytes) }
    }

    /// Creates a secret and lets `fill` write it in place.
    package init<Failure: Error>(
        byteCount: Int, _ fill: (inout MutableSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        // Whole pages: locking works on pages, and unlocking must not reach a neighbour.
        let pageByteCount = max(4096, Int(sysconf(Int32(_SC_PAGESIZE))))
        let pageCount = max(1, (byteCount + pageByteCount - 1) / pageByteCount)
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pageCount * pageByteCount, alignment: pageByteCount)
        self.byteCount = byteCount
        unsafe mlock(memory.baseAddress, memory.count)
        unsafe madvise(memory.baseAddress, memory.count, MADV_DONTDUMP)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        var span = unsafe MutableSpan<UInt8>(
            _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
        try fill(&span)
    }

    deinit {
        unsafe OPENSSL_cleanse(memory.baseAddress, memory.count)
        // The allocator reuses the pages: they become ordinary ones again.
        unsafe madvise(memory.baseAddress, memory.count, MADV_DODUMP)
        unsafe munlock(memory.baseAddress, memory.count)
        unsafe memory.deallocate()
    }

    /// A new random secret.
    public static func random(byteCount: Int, from source: any RandomSource) -> SecretBytes {
        SecretBytes(byteCount: byteCount) { source.fill(&$0) }
    }

    /// Lets `body` look at the secret; what it copies it has to wipe.
    public func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe Span(_unsafeBytes: memory).extracting(0..<byteCount))
    }
}

/// Overwrites `bytes` with zeros, in a way that no compiler drops.
package func wipe(_ bytes: inout MutableSpan<UInt8>) {
    unsafe bytes.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
}

/// Overwrites a value without references, such as the state of a hash over a key, with zeros.
package func wipe<Value: BitwiseCopyable>(_ value: inout Value) {
    unsafe withUnsafeMutableBytes(of: &value) {
        unsafe OPENSSL_cleanse($0.baseAddress, $0.count)
    }
}

/// Whether both hold the same bytes, in a time that depends on their counts alone.
package func constantTimeEqual(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    return unsafe a.withUnsafeBufferPointer { left in
        unsafe b.withUnsafeBufferPointer { right in
            unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
        }
    }
}
