// Part of Cairn, a content-addressed blob store.

/// How a plaintext will be stored: everything about its record but the bytes.
package struct RecordPlan: Sendable {
    /// How the record will be protected.
    package let suite: RecordSuite
    /// How the plaintext is encoded.
    package let codec: RecordCodec
    /// The size of the plaintext in bytes.
    package let plaintextByteCount: Int
    /// The size of the record's payload in bytes.
    package let payloadByteCount: Int
    /// The size of the whole record in bytes: the room that ``RecordSealer/seal`` needs.
    package let recordByteCount: Int

    fileprivate let frames: RecordFrames
    /// Which call made it: the encoded bytes wait in the sealer until the next one.
    fileprivate let serial: UInt64
}

/// Turns plaintexts into records and back.
///
/// Owns a cipher and scratch memory that grows to the largest record it meets, at most 4 MiB, so
/// that nothing is allocated per record. For one thread at a time, which the compiler ensures.
package struct RecordSealer: ~Copyable, Sendable {
    private var cipher: AES256GCM
    private var nonces: NonceSupply
    private let random: any RandomSource
    /// The encoded bytes of the last plan, or those of the record being opened.
    private var scratch: [UInt8] = []
    private var planSerial: UInt64 = 0

    /// Creates a sealer that draws nonces and salts from `random`.
    ///
    /// - Throws: ``CoreError`` with code `limitExceeded` without memory.
    package init(random: any RandomSource) throws(CoreError) {
        cipher = try AES256GCM()
        nonces = NonceSupply(random)
        self.random = random
    }

    /// Decides how to store a plaintext and compresses it if asked to and if that pays.
    ///
    /// Only the plan of the last call can be sealed.
    ///
    /// - Throws: ``CoreError`` with code `limitExceeded` for more than
    ///   ``RecordHeader/plaintextByteCountMax`` bytes.
    package mutating func plan(
        _ plaintext: Span<UInt8>, compress: Bool, suite: RecordSuite
    ) throws(CoreError) -> RecordPlan {
        guard plaintext.count <= RecordHeader.plaintextByteCountMax else {
            throw CoreError(
                .limitExceeded, "a record takes at most 4 MiB, not \(plaintext.count) bytes")
        }
        let compressed = compress ? self.compress(plaintext) : nil
        let frames = RecordFrames(suite: suite, encodedByteCount: compressed ?? plaintext.count)
        planSerial += 1
        return RecordPlan(
            suite: suite, codec: compressed == nil ? .raw : .lz4,
            plaintextByteCount: plaintext.count, payloadByteCount: frames.payloadByteCount,
            recordByteCount: RecordHeader.recordByteCount(
                suite: suite, payloadByteCount: frames.payloadByteCount),
            frames: frames, serial: planSerial)
    }

    /// Writes the record of a plaintext in place.
    ///
    /// - Parameters:
    ///   - plan: The result of the last call of ``plan(_:compress:suite:)``.
    ///   - plaintext: The same bytes as in that call.
    ///   - name: The chunk's name or zeros; it stands in the header, readable.
    ///   - binding: What else the record is bound to and does not show, the digest of a small
    ///     blob, say; by default the name.
    ///   - key: 32 bytes: the chunk's own key for suite 1, the bucket's for suite 2; not used for
    ///     suite 0.
    ///   - out: Takes exactly ``RecordPlan/recordByteCount`` bytes.
    /// - Throws: ``CoreError`` with code `invalidArgument` for a wrong count or an old plan.
    /// - Complexity: O(*n*); one pass of encryption, one of checksum, no allocation.
    package mutating func seal(
        _ plan: RecordPlan, _ plaintext: Span<UInt8>, type: RecordType, name: Octets32,
        binding: Octets32? = nil, keySlot: UInt32, key: Span<UInt8>, scope: RecordScope,
        into out: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        guard plan.serial == planSerial, plaintext.count == plan.plaintextByteCount,
            out.count == plan.recordByteCount
        else { throw CoreError(.invalidArgument, "a record does not fit its plan") }
        let header = RecordHeader(
            type: type, suite: plan.suite, codec: plan.codec, keySlot: keySlot,
            plaintextByteCount: plan.plaintextByteCount,
            payloadByteCount: plan.payloadByteCount, name: name)
        Record.write(header, into: &out)
        let recordKey = try writeSuiteField(header, key: key, into: &out)
        let checksumOffset = header.byteCount - RecordHeader.checksumByteCount
        out.setLittleEndian(
            CRC32C.checksum(out.span.extracting(0..<checksumOffset)), at: checksumOffset)
        var coder = FrameCoder(
            header, plan.frames, out.span, key: recordKey, scope: scope, binding: binding ?? name)
        defer { coder.wipe() }
        switch plan.codec {
        case .raw: try coder.seal(plaintext, with: &cipher, into: &out)
        case .lz4:
            // A reference of its own, as the cipher takes all of `self`.
            let scratch = scratch
            let encoded = scratch.span.extracting(0..<plan.frames.encodedByteCount)
            try coder.seal(encoded, with: &cipher, into: &out)
        }
        Record.finish(header, in: &out)
    }

    /// Checks a record in every way and returns its plaintext in place.
    ///
    /// - Parameters:
    ///   - record: Exactly one record, see ``RecordHeader/recordByteCount``.
    ///   - suite: How the record must be protected. Whoever can write to the files could otherwise
    ///     put a record without any protection in its place.
    ///   - key: The key of the header's ``RecordHeader/keySlot``.
    ///   - plaintext: Takes exactly ``RecordHeader/plaintextByteCount`` bytes. Holds zeros after
    ///     an error.
    /// - Throws: ``CoreError`` with code `corrupted` for anything that is not exactly what
    ///   ``seal`` wrote for these arguments, whatever the difference; `unsupportedVersion` for an
    ///   intact header of a later version; `invalidArgument` for a wrong count.
    /// - Complexity: O(*n*); no allocation.
    package mutating func open(
        _ record: Span<UInt8>, expecting type: RecordType, suite: RecordSuite, name: Octets32,
        binding: Octets32? = nil, key: Span<UInt8>, scope: RecordScope,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        let header = try Record.verifyChecksums(record)
        guard header.type == type, header.suite == suite, header.name == name else {
            throw CoreError(.corrupted, "a record is not the one that was asked for")
        }
        guard plaintext.count == header.plaintextByteCount else {
            throw CoreError(
                .invalidArgument,
                "a record of \(header.plaintextByteCount) bytes gets room for \(plaintext.count)")
        }
        let frames = try RecordFrames(suite: suite, payloadByteCount: header.payloadByteCount)
        var coder = FrameCoder(
            header, frames, record, key: try RecordKey.key(of: header, in: record, from: key),
            scope: scope, binding: binding ?? name)
        defer { coder.wipe() }
        do throws(CoreError) {
            switch header.codec {
            case .raw: try coder.open(record, with: &cipher, into: &plaintext)
            case .lz4: try openCompressed(record, frames, &coder, into: &plaintext)
            }
        } catch {
            wipe(&plaintext)
            throw error
        }
    }

    /// Checks a record in every way and returns its plaintext as an array of its own.
    ///
    /// The same as the other form, at the price of an allocation.
    package mutating func open(
        _ record: Span<UInt8>, expecting type: RecordType, suite: RecordSuite, name: Octets32,
        binding: Octets32? = nil, key: Span<UInt8>, scope: RecordScope
    ) throws(CoreError) -> [UInt8] {
        let header = try RecordHeader(parsing: record)
        var plaintext = [UInt8](repeating: 0, count: header.plaintextByteCount)
        var span = plaintext.mutableSpan
        try open(
            record, expecting: type, suite: suite, name: name, binding: binding, key: key,
            scope: scope, into: &span)
        return plaintext
    }

    // MARK: -

    /// The number of encoded bytes in the scratch memory, or nil when compression does not pay.
    private mutating func compress(_ plaintext: Span<UInt8>) -> Int? {
        growScratch(to: plaintext.count)
        var span = scratch.mutableSpan
        return LZ4Codec.compress(plaintext, into: &span)
    }

    private mutating func openCompressed(
        _ record: Span<UInt8>, _ frames: RecordFrames, _ coder: inout FrameCoder,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        growScratch(to: frames.encodedByteCount)
        // The scratch memory no longer holds what a plan left there.
        planSerial += 1
        // Taken out while it is written, as the cipher takes all of `self`.
        var taken: [UInt8] = []
        swap(&taken, &scratch)
        defer { swap(&taken, &scratch) }
        var all = taken.mutableSpan
        var encoded = all.part(0..<frames.encodedByteCount)
        try coder.open(record, with: &cipher, into: &encoded)
        try LZ4Codec.decompress(encoded.span, into: &plaintext)
    }

    private mutating func growScratch(to byteCount: Int) {
        guard scratch.count < byteCount else { return }
        scratch = [UInt8](repeating: 0, count: byteCount)
    }

    /// Writes the nonce, or the salt and the commitment; returns the key of the frames.
    private mutating func writeSuiteField(
        _ header: RecordHeader, key: Span<UInt8>, into out: inout MutableSpan<UInt8>
    ) throws(CoreError) -> Octets32 {
        let offset = RecordHeader.suiteFieldOffset
        switch header.suite {
        case .none:
            out.zero(offset..<offset + header.suite.fieldByteCount)
            return Octets32()
        case .convergent:
            try RecordKey.check(key)
            nonces.write(to: &out, at: offset)
            return Octets32(key)
        case .committed:
            try RecordKey.check(key)
            let salt = random.octets32()
            let derived = try RecordKey.derive(from: key, salt: salt.span)
            out.copy(salt.span, to: offset)
            out.copy(derived.commitment.span, to: offset + Octets32.byteCount)
            return derived.key
        }
    }
}
