// Part of Cairn, a content-addressed blob store.

/// Seals and opens the frames of one record; holds the record's key, so wipe it afterwards.
struct FrameCoder {
    private let header: RecordHeader
    private let frames: RecordFrames
    private var associated: AssociatedData
    private var key: Octets32
    private let randomNonce: InlineArray<12, UInt8>

    /// Prepares a record whose header, up to its checksum, is at the beginning of `record`.
    ///
    /// - Parameter key: The key from which ``RecordKey`` made the record's own.
    init(
        _ header: RecordHeader, _ frames: RecordFrames, _ record: Span<UInt8>, key: Octets32,
        scope: RecordScope, binding: Octets32
    ) {
        self.header = header
        self.frames = frames
        self.key = key
        let end = header.byteCount - RecordHeader.checksumByteCount
        associated = AssociatedData(record.extracting(0..<end), scope, binding)
        // Suite 0 has zeros here.
        randomNonce = InlineArray { record[RecordHeader.suiteFieldOffset + $0] }
    }

    mutating func wipe() {
        var span = key.mutableSpan
        CairnCore.wipe(&span)
    }

    /// Writes the payload and all tags.
    mutating func seal(
        _ encoded: Span<UInt8>, with cipher: inout AES256GCM, into out: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        for index in 0..<frames.count {
            associated.setFrame(index)
            let plaintext = encoded.extracting(frames.encodedRange(index))
            let range = Record.frameRange(header, frames, index)
            var tag = InlineArray<16, UInt8>(repeating: 0)
            var tagSpan = tag.mutableSpan
            if header.suite == .none {
                out.copy(plaintext, to: range.lowerBound)
                try authenticate(plaintext, with: &cipher, tag: &tagSpan)
            } else {
                var ciphertext = out.part(range)
                try cipher.seal(
                    plaintext, key: key.span, nonce: nonce(index).span,
                    associated: associated.span, into: &ciphertext, tag: &tagSpan)
            }
            out.copy(tag.span, to: Record.tagRange(header, frames, index).lowerBound)
        }
    }

    /// Reads the payload into `encoded`, which takes exactly the encoded bytes.
    ///
    /// After an error `encoded` may hold frames that are authentic by themselves: the caller
    /// drops them.
    mutating func open(
        _ record: Span<UInt8>, with cipher: inout AES256GCM,
        into encoded: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        for index in 0..<frames.count {
            associated.setFrame(index)
            let ciphertext = record.extracting(Record.frameRange(header, frames, index))
            let tag = record.extracting(Record.tagRange(header, frames, index))
            if header.suite == .none {
                var computed = InlineArray<16, UInt8>(repeating: 0)
                var computedSpan = computed.mutableSpan
                try authenticate(ciphertext, with: &cipher, tag: &computedSpan)
                guard constantTimeEqual(computed.span, tag) else {
                    throw CoreError(.corrupted, "a record does not match its checksum")
                }
                encoded.copy(ciphertext)
            } else {
                var plaintext = encoded.part(frames.encodedRange(index))
                try cipher.open(
                    ciphertext, tag: tag, key: key.span, nonce: nonce(index).span,
                    associated: associated.span, into: &plaintext)
            }
        }
    }

    // MARK: -

    /// A record's own key makes counting safe; the last frame is marked, so that a record cut
    /// after a frame does not open.
    private func nonce(_ index: Int) -> InlineArray<12, UInt8> {
        guard header.suite == .committed else { return randomNonce }
        // nonce := frame:u32 isLast:u8 zero[7]
        var nonce = InlineArray<12, UInt8>(repeating: 0)
        var span = nonce.mutableSpan
        span.setLittleEndian(UInt32(index), at: 0)
        span[4] = index == frames.count - 1 ? 1 : 0
        return nonce
    }

    /// Suite 0: GMAC under a key and a nonce of zeros, known to all.
    ///
    /// As a checksum of 128 bits it runs at the speed of the cipher, and it covers the scope and
    /// the binding too.
    private mutating func authenticate(
        _ payload: Span<UInt8>, with cipher: inout AES256GCM, tag: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        var nothing = MutableSpan<UInt8>()
        try cipher.seal(
            Span(), key: Octets32().span, nonce: randomNonce.span,
            associated: associated.span, payload, into: &nothing, tag: &tag)
    }
}

/// The key of one record and what its header says about it.
enum RecordKey {
    // suite 2: HKDF-SHA-512(secret: key, salt: salt[32], info: derivationLabel)
    //          = record's key[32] ‖ commitment[32].          On disk: never change.
    private static let derivationLabel: [UInt8] = Array("cairn record 2: key, commitment".utf8)

    /// Derives the record's key and the commitment to it.
    static func derive(
        from key: Span<UInt8>, salt: Span<UInt8>
    ) throws(CoreError) -> (key: Octets32, commitment: Octets32) {
        var derived = InlineArray<64, UInt8>(repeating: 0)
        defer { wipe(&derived) }
        var span = derived.mutableSpan
        try hkdfSHA512(secret: key, salt: salt, info: derivationLabel.span, into: &span)
        return (
            Octets32(derived.span.extracting(0..<32)), Octets32(derived.span.extracting(32..<64))
        )
    }

    static func check(_ key: Span<UInt8>) throws(CoreError) {
        guard key.count == AES256GCM.keyByteCount else {
            throw CoreError(.invalidArgument, "a record's key has 32 bytes, not \(key.count)")
        }
    }

    /// The record's key, if the header commits to it.
    static func key(
        of header: RecordHeader, in record: Span<UInt8>, from key: Span<UInt8>
    ) throws(CoreError) -> Octets32 {
        guard header.suite != .none else { return Octets32() }
        try check(key)
        guard header.suite == .committed else { return Octets32(key) }
        let offset = RecordHeader.suiteFieldOffset
        let derived = try derive(from: key, salt: record.extracting(offset..<offset + 32))
        let commitment = record.extracting(offset + 32..<offset + 64)
        guard constantTimeEqual(derived.commitment.span, commitment) else {
            throw CoreError(.corrupted, "a record is committed to another key")
        }
        return derived.key
    }
}

/// Random nonces, drawn from the source 64 at a time: a call of it costs as much as sealing several
/// kilobytes.
struct NonceSupply: Sendable {
    private let random: any RandomSource
    private var supply = InlineArray<768, UInt8>(repeating: 0)
    private var offset = 768

    init(_ random: any RandomSource) { self.random = random }

    /// Writes the next nonce to `position` of `out`; none is ever given twice.
    mutating func write(to out: inout MutableSpan<UInt8>, at position: Int) {
        if offset == supply.count {
            let random = random
            var span = supply.mutableSpan
            random.fill(&span)
            offset = 0
        }
        let end = offset + AES256GCM.nonceByteCount
        out.copy(supply.span.extracting(offset..<end), to: position)
        offset = end
    }
}
