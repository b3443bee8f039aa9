// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// The bytes of a whole keyring file; `KeyringHeader` has the grammar.
enum KeyringFile {
    /// The most bytes of a keyring file: far above ten thousand keys with a few versions each.
    static let byteCountMax = 64 << 20

    /// Seals everything anew, under the key that the keyring was opened with.
    ///
    /// - Throws: ``KeyError`` with code `limitExceeded`.
    static func encode(
        _ contents: KeyringContents, _ seal: KeyringSeal, random: any RandomSource
    ) throws(KeyError) -> [UInt8] {
        let header = KeyringHeader(
            derivation: seal.derivation, recordCount: UInt32(contents.keys.count + 1),
            revision: contents.revision, keyringID: contents.id,
            editionID: random.octets16(), salt: seal.salt, verifier: seal.verifier)
        let binding = header.binding
        let directory = KeyringDirectory(
            createdAt: contents.createdAt, aliases: contents.aliases)
        var bytes = header.encoded
        do throws(CoreError) {
            try seal.recordKey.withSpan { key throws(CoreError) in
                bytes += try SealedRecord.seal(
                    directory.encoded.span, as: label(header, 0, binding), with: key,
                    random: random)
                for (index, customerKey) in contents.keys.enumerated() {
                    bytes += try customerKey.encoded.withSpan { plaintext throws(CoreError) in
                        try SealedRecord.seal(
                            plaintext, as: label(header, index + 1, binding), with: key,
                            random: random)
                    }
                }
            }
        } catch {
            throw KeyError(.limitExceeded, "the keyring cannot be sealed", cause: error)
        }
        guard bytes.count <= byteCountMax else {
            throw KeyError(
                .limitExceeded, "a keyring file has at most \(byteCountMax >> 20) MiB")
        }
        return bytes
    }

    /// Checks everything that can be checked without the passphrase.
    ///
    /// After this only intent explains what does not open.
    ///
    /// - Throws: ``KeyError`` with code `corrupted`, `unsupportedVersion` or `limitExceeded`.
    static func check(_ bytes: Span<UInt8>) throws(KeyError) -> (KeyringHeader, [Range<Int>]) {
        guard bytes.count <= byteCountMax else {
            throw KeyError(
                .limitExceeded,
                "a keyring file has at most \(byteCountMax >> 20) MiB, not \(bytes.count) bytes")
        }
        let header = try KeyringHeader(decoding: bytes)
        do throws(CoreError) {
            return (header, try records(in: bytes, header))
        } catch {
            throw KeyError(keyring: error)
        }
    }

    /// Opens a checked file.
    ///
    /// - Throws: ``KeyError`` with code `wrongPassphrase`, `corrupted` or `unsupportedVersion`.
    static func decode(
        _ bytes: Span<UInt8>, protection: KeyringProtection, random: any RandomSource
    ) throws(KeyError) -> (KeyringContents, KeyringSeal) {
        let (header, records) = try check(bytes)
        let seal = try KeyringSeal(protection, derivation: header.derivation, salt: header.salt)
        guard constantTimeEqual(seal.verifier.span, header.verifier.span) else {
            throw KeyError(
                .wrongPassphrase,
                seal.derivation == .keyFile
                    ? "this key file does not open the keyring"
                    : "this passphrase does not open the keyring")
        }
        do throws(CoreError) {
            return (try open(bytes, header, records, seal, random), seal)
        } catch {
            throw KeyError(keyring: error)
        }
    }

    // MARK: -

    /// Finds the records, in order and to the last byte of the file.
    private static func records(
        in bytes: Span<UInt8>, _ header: KeyringHeader
    ) throws(CoreError) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var offset = KeyringHeader.byteCount
        for slot in 0..<header.recordCount {
            let record = try RecordHeader(parsing: bytes.extracting(offset...))
            guard record.recordByteCount <= bytes.count - offset else {
                throw CoreError(.corrupted, "the file ends within record \(slot)")
            }
            let range = offset..<offset + record.recordByteCount
            _ = try Record.verifyChecksums(bytes.extracting(range))
            guard record.keySlot == slot else {
                throw CoreError(.corrupted, "record \(record.keySlot) in place of \(slot)")
            }
            ranges.append(range)
            offset = range.upperBound
        }
        guard offset == bytes.count else {
            throw CoreError(.corrupted, "bytes after the last record")
        }
        return ranges
    }

    private static func open(
        _ bytes: Span<UInt8>, _ header: KeyringHeader, _ records: [Range<Int>],
        _ seal: KeyringSeal, _ random: any RandomSource
    ) throws(CoreError) -> KeyringContents {
        let binding = header.binding
        func plaintext(_ slot: Int) throws(CoreError) -> SecretBytes {
            try seal.recordKey.withSpan { key throws(CoreError) in
                try SealedRecord.open(
                    bytes.extracting(records[slot]), as: label(header, slot, binding), with: key,
                    random: random)
            }
        }
        let directory = try plaintext(0).withSpan { span throws(CoreError) in
            try KeyringDirectory(decoding: span)
        }
        var keys: [CustomerKey] = []
        for slot in records.indices.dropFirst() {
            keys.append(
                try plaintext(slot).withSpan { span throws(CoreError) in
                    try CustomerKey(decoding: span)
                })
        }
        return try KeyringContents(
            id: header.keyringID, createdAt: directory.createdAt, revision: header.revision,
            keys: keys, aliases: directory.aliases)
    }

    /// The place of a record: it opens nowhere else, in this file or in another.
    private static func label(
        _ header: KeyringHeader, _ slot: Int, _ binding: Octets32
    ) -> SealedRecordLabel {
        SealedRecordLabel(
            type: slot == 0 ? .metadata : .wrappedKey, name: Octets32(), slot: UInt32(slot),
            scope: RecordScope(storeID: header.keyringID, ownerID: header.keyringID),
            binding: binding)
    }
}
