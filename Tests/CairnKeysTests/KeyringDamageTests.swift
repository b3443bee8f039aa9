// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

/// Offsets of the header, as `Formats/Keyring.md` has them.
private enum Offset {
    static let version = 8
    static let derivation = 10
    static let log2N = 11
    static let r = 12
    static let p = 16
    static let recordCount = 20
    static let checksum = 128
    static let records = 136
}

@Suite struct KeyringDamageTests {
    @Test(arguments: ProtectionKind.allCases)
    func `every flipped bit is found without the passphrase`(
        _ protection: ProtectionKind
    ) throws {
        let good = try protection.makeKeyring().encoded()
        try Keyring.verifyChecksums(good)
        for bit in 0..<good.count * 8 {
            var bytes = good
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            // A higher version is believed before anything behind it is read.
            let isVersion = (Offset.version..<Offset.version + 2).contains(bit / 8)
            let codes: Set<KeyError.Code?> =
                isVersion ? [.unsupportedVersion, .corrupted] : [.corrupted]
            #expect(codes.contains(code { try Keyring.verifyChecksums(bytes) }), "bit \(bit)")
        }
    }

    @Test(arguments: ProtectionKind.allCases, [false, true])
    func `every flipped bit is found although all checksums were made to fit`(
        _ protection: ProtectionKind, _ isDecorated: Bool
    ) throws {
        let plain = try protection.makeKeyring()
        let good = try (isDecorated ? plain.decorating(.default) : plain).encoded()
        let expected: Set<KeyError.Code?> = [
            .corrupted, .wrongPassphrase, .unsupportedVersion, .limitExceeded,
        ]
        var undoneCount = 0
        for bit in 0..<good.count * 8 {
            var bytes = good
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            fitChecksums(&bytes, layout: good)
            guard bytes != good else {
                undoneCount += 1
                continue
            }
            #expect(expected.contains(code { _ = try protection.open(bytes) }), "bit \(bit)")
        }
        // The bits of the checksums themselves: one in the header, two in each of two records.
        #expect(undoneCount == 5 * 32)
    }

    @Test func `a file that ends early or late is found at every length`() throws {
        let good = try ProtectionKind.passphrase.makeKeyring().decorating(.default).encoded()
        for count in good.indices {
            let error = code { _ = try ProtectionKind.passphrase.open(Array(good.prefix(count))) }
            #expect(error == .corrupted, "\(count) bytes")
        }
        for more in [[0], [UInt8](repeating: 0, count: 8), good] {
            #expect(code { _ = try ProtectionKind.passphrase.open(good + more) } == .corrupted)
        }
    }

    @Test func `hostile parameters are refused before they are obeyed`() throws {
        let good = try ProtectionKind.passphrase.makeKeyring().encoded()
        let costs: [(log2N: UInt8, r: UInt32, p: UInt32)] = [
            (0, 8, 1), (17, 0, 1), (17, 8, 0), (40, 8, 1), (63, 8, 1), (64, 8, 1), (255, 8, 1),
            (20, 8, 1), (17, 64, 1), (17, .max, 1), (17, 8, .max), (4, 8, 1 << 20),
            (17, 8, 64), (24, .max, .max),
        ]
        for cost in costs {
            var bytes = good
            bytes[Offset.log2N] = cost.log2N
            bytes.set(cost.r, at: Offset.r)
            bytes.set(cost.p, at: Offset.p)
            fitChecksums(&bytes, layout: good)
            #expect(code { try Keyring.verifyChecksums(bytes) } == .limitExceeded, "\(cost)")
            #expect(throws: KeyError.with(.limitExceeded)) {
                try PassphraseCost(log2N: cost.log2N, r: cost.r, p: cost.p)
            }
        }
        for count: UInt32 in [0, 10_002, .max] {
            var bytes = good
            bytes.set(count, at: Offset.recordCount)
            fitChecksums(&bytes, layout: good)
            #expect(code { try Keyring.verifyChecksums(bytes) } == .limitExceeded, "\(count)")
        }
    }

    @Test func `a file of a newer version is told as such`() throws {
        let good = try ProtectionKind.passphrase.makeKeyring().encoded()
        for version: UInt8 in [2, 255] {
            // Nothing but the magic and the version needs to be as it is now.
            let rest = [UInt8](repeating: 7, count: 9)
            let future = good.prefix(Offset.version) + [version, 0] + rest
            #expect(
                code { _ = try ProtectionKind.passphrase.open(Array(future)) }
                    == .unsupportedVersion)
        }
        var derivation = good
        derivation[Offset.derivation] = 3
        fitChecksums(&derivation, layout: good)
        #expect(
            code { _ = try ProtectionKind.passphrase.open(derivation) } == .unsupportedVersion)
    }

    @Test func `records do not trade places`() throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring().addingKey(alias: "alias/b")
        let good = try keyring.encoded()
        let records = records(of: good)
        #expect(records.count == 3)
        for order in [[0, 2, 1], [1, 0, 2], [0, 1, 1], [0, 2, 2], [0, 0, 1]] {
            for adjustsSlots in [false, true] {
                var bytes = Array(good.prefix(Offset.records))
                for (slot, index) in order.enumerated() {
                    var record = Array(good[records[index]])
                    if adjustsSlots {
                        record.set(UInt32(slot), at: 8)
                    }
                    bytes += record
                }
                fitChecksums(&bytes, layout: bytes)
                #expect(code { _ = try ProtectionKind.keyFile.open(bytes) } == .corrupted)
            }
        }
    }

    @Test func `a record cannot be left out`() throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring().addingKey(alias: "alias/b")
        let good = try keyring.encoded()
        var bytes = Array(good[..<records(of: good)[2].lowerBound])
        bytes.set(UInt32(2), at: Offset.recordCount)
        fitChecksums(&bytes, layout: bytes)
        #expect(code { _ = try ProtectionKind.keyFile.open(bytes) } == .corrupted)
    }

    @Test func `records of another edition of the same keyring do not fit in`() throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring()
        let rotated = try keyring.rotatingKey(.default)
        let pairs = try [
            // Two writings of one revision, an older revision, and a sibling of one parent.
            (keyring.encoded(), keyring.encoded()),
            (rotated.encoded(), keyring.encoded()),
            (rotated.encoded(), keyring.settingRotation(periodDays: 90, of: .default).encoded()),
        ]
        for (left, right) in pairs {
            let record = records(of: right)[1]
            let bytes = Array(left[..<records(of: left)[1].lowerBound]) + right[record]
            #expect(code { _ = try ProtectionKind.keyFile.open(bytes) } == .corrupted)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `a file of random damage never opens and never stops the process`(
        _ seed: UInt64
    ) throws {
        let random = SeededRandom(seed: seed)
        let good = try ProtectionKind.keyFile.makeKeyring().decorating(.default).encoded()
        for _ in 0..<2000 {
            var bytes = good
            for _ in 0...random.number(below: 8) {
                bytes[random.number(below: bytes.count)] = UInt8(random.number(below: 256))
            }
            if random.number(below: 2) == 0 {
                fitChecksums(&bytes, layout: good)
            }
            guard bytes != good else { continue }
            #expect(code { _ = try ProtectionKind.keyFile.open(bytes) } != nil)
        }
    }

    // MARK: -

    private func code(_ body: () throws -> Void) -> KeyError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? KeyError)?.code
        }
    }

    private func records(of file: [UInt8]) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var offset = Offset.records
        while offset < file.count,
            let header = try? RecordHeader(parsing: file.span.extracting(offset...))
        {
            ranges.append(offset..<offset + header.recordByteCount)
            offset += header.recordByteCount
        }
        return ranges
    }

    /// Does what an attacker would: makes all checksums right again.
    ///
    /// - Parameter layout: An undamaged file with the records in the same places.
    private func fitChecksums(_ file: inout [UInt8], layout: [UInt8]) {
        let checksum = CRC32C.checksum(file.span.extracting(0..<Offset.checksum))
        file.set(checksum, at: Offset.checksum)
        for record in records(of: layout) {
            // Suite 2, as Formats/Record.md has it: header 116 bytes and its checksum.
            let headerEnd = record.lowerBound + 116
            file.set(
                CRC32C.checksum(file.span.extracting(record.lowerBound..<headerEnd)), at: headerEnd)
            let payloadByteCount = Int(
                layout.span.littleEndian(UInt32.self, at: record.lowerBound + 16))
            let payload = headerEnd + 4..<headerEnd + 4 + payloadByteCount + 16
            file.set(CRC32C.checksum(file.span.extracting(payload)), at: payload.upperBound)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func set(_ value: UInt32, at offset: Int) {
        for index in 0..<4 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
        }
    }
}
