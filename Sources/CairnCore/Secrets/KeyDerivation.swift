// Part of Cairn, a content-addressed blob store.

internal import COpenSSL

/// Derives keys from a secret by HKDF with HMAC-SHA-512 (RFC 5869), without allocating.
///
/// - Parameter info: What the keys are for: other uses get unrelated keys.
/// - Throws: ``CoreError`` with code `limitExceeded` for more than 255 × 64 bytes of `output`.
package func hkdfSHA512(
    secret: Span<UInt8>, salt: Span<UInt8>, info: Span<UInt8>,
    into output: inout MutableSpan<UInt8>
) throws(CoreError) {
    // RFC 5869, 2.3: L is at most 255 times the size of the hash.
    guard output.count <= 255 * SHA512.byteCount else {
        throw CoreError(.limitExceeded, "HKDF gives at most 16,320 bytes, not \(output.count)")
    }
    var block = InlineArray<64, UInt8>(repeating: 0)
    var key = HMACSHA512(key: salt)
    key.authenticate(secret, Span(), Span(), into: &block)
    key.wipe()
    key = HMACSHA512(key: block.span)
    var offset = 0
    var counter = InlineArray<1, UInt8>(repeating: 1)
    while offset < output.count {
        // T(i) := HMAC(key, T(i - 1) ‖ info ‖ i), and T(0) is empty.
        var next = InlineArray<64, UInt8>(repeating: 0)
        let previousByteCount = offset == 0 ? 0 : SHA512.byteCount
        key.authenticate(
            block.span.extracting(0..<previousByteCount), info, counter.span, into: &next)
        block = next
        let count = min(SHA512.byteCount, output.count - offset)
        output.copy(block.span.extracting(0..<count), to: offset)
        offset += count
        counter[0] &+= 1
        wipe(&next)
    }
    wipe(&block)
    key.wipe()
}

/// HMAC-SHA-512 (RFC 2104) with a key prepared once.
private struct HMACSHA512 {
    private var inner: SHA512
    private var outer: SHA512

    init(key: Span<UInt8>) {
        var block = InlineArray<128, UInt8>(repeating: 0)
        var span = block.mutableSpan
        if key.count <= SHA512.blockByteCount {
            span.copy(key)
        } else {
            var digest = SHA512()
            digest.update(key)
            digest.finalize(into: &span)
        }
        inner = Self.state(block, 0x36)
        outer = Self.state(block, 0x5c)
        CairnCore.wipe(&block)
    }

    func authenticate(
        _ first: Span<UInt8>, _ second: Span<UInt8>, _ third: Span<UInt8>,
        into output: inout InlineArray<64, UInt8>
    ) {
        var digest = inner
        digest.update(first)
        digest.update(second)
        digest.update(third)
        var span = output.mutableSpan
        digest.finalize(into: &span)
        digest = outer
        digest.update(span.span)
        digest.finalize(into: &span)
        digest.wipe()
    }

    private static func state(_ key: InlineArray<128, UInt8>, _ padding: UInt8) -> SHA512 {
        var block = key
        for index in block.indices { block[index] ^= padding }
        var digest = SHA512()
        digest.update(block.span)
        CairnCore.wipe(&block)
        return digest
    }

    mutating func wipe() {
        inner.wipe()
        outer.wipe()
    }
}

/// What a passphrase costs to try, RFC 7914, 2.
package struct ScryptCost: Hashable, Sendable {
    /// N, the cost in memory and time: a power of two.
    package var n: UInt64
    /// r, the block size in units of 128 bytes.
    package var r: UInt32
    /// p, how often all of it is repeated.
    package var p: UInt32

    /// A cost; checked when it is used.
    package init(n: UInt64, r: UInt32, p: UInt32) {
        self.n = n
        self.r = r
        self.p = p
    }

    /// 128 MiB and about half a second for one attempt.
    package static let standard = ScryptCost(n: 1 << 17, r: 8, p: 1)

    /// The limit of 128·N·r, in bytes.
    ///
    /// The cost comes from a file: it must not exhaust the machine, and leaves room for three
    /// doublings of the standard.
    package static let byteCountMax: UInt64 = 1 << 30

    /// The limit of N·r·p: 16 times the work of the standard.
    package static let workMax: UInt64 = 1 << 24
}

/// Derives a key from a passphrase by scrypt (RFC 7914).
///
/// Blocks the calling thread for as long as the cost demands.
///
/// - Throws: ``CoreError`` with code `invalidArgument` when N is no power of two above 1 or
///   another cost is zero; `limitExceeded` beyond ``ScryptCost/byteCountMax`` or
///   ``ScryptCost/workMax``, or without enough memory.
package func scrypt(
    passphrase: Span<UInt8>, salt: Span<UInt8>, cost: ScryptCost,
    into output: inout MutableSpan<UInt8>
) throws(CoreError) {
    guard cost.n > 1, cost.n & (cost.n - 1) == 0, cost.r > 0, cost.p > 0, output.count > 0 else {
        throw CoreError(.invalidArgument, "scrypt wants N a power of two above 1, r and p above 0")
    }
    let (blocks, overflow) = cost.n.multipliedReportingOverflow(by: UInt64(cost.r))
    let (work, overflowOfWork) = blocks.multipliedReportingOverflow(by: UInt64(cost.p))
    guard !overflow, !overflowOfWork, blocks <= ScryptCost.byteCountMax / 128,
        work <= ScryptCost.workMax
    else {
        throw CoreError(
            .limitExceeded, "scrypt with N \(cost.n), r \(cost.r), p \(cost.p) costs too much")
    }
    // Beside the N blocks OpenSSL needs p blocks and some scratch.
    let byteCount = 128 * (blocks + work / cost.n + 32 * UInt64(cost.r)) + 4096
    // Without any passphrase OpenSSL would only check the costs: the empty one has an address.
    let empty = InlineArray<1, CChar>(repeating: 0)
    let status = unsafe empty.span.withUnsafeBufferPointer { empty in
        unsafe passphrase.withUnsafeBytes { passphrase in
            unsafe salt.withUnsafeBufferPointer { salt in
                unsafe output.withUnsafeMutableBufferPointer { output in
                    unsafe EVP_PBE_scrypt(
                        passphrase.baseAddress?.assumingMemoryBound(to: CChar.self)
                            ?? empty.baseAddress, passphrase.count,
                        salt.baseAddress, salt.count,
                        cost.n, UInt64(cost.r), UInt64(cost.p), byteCount,
                        output.baseAddress, output.count)
                }
            }
        }
    }
    guard status == 1 else {
        ERR_clear_error()
        throw CoreError(.limitExceeded, "scrypt found no \(byteCount) bytes of memory")
    }
}
