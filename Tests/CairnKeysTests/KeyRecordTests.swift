// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnTestSupport
import Testing

@testable import CairnKeys

/// The plaintext of a key's record, with single bytes changed: only somebody with the root secret,
/// or another version of Cairn, could write such a one.
@Suite struct KeyRecordTests {
    private static let key = CustomerKey(
        createdAt: FixedClock().time, random: SeededRandom(seed: 1))

    private static var doomed: CustomerKey {
        var key = key
        key.state = .pendingDeletion(until: FixedClock().time + .seconds(7))
        return key
    }

    /// Two tags and two grants, as in the fixture below.
    private static var labelled: CustomerKey {
        get throws {
            let materials = SecretBytes([UInt8](0..<32))
            var key = CustomerKey(
                id: Octets16([UInt8](0xa0...0xaf).span), createdAt: FixedClock().time,
                versions: [KeyVersion(createdAt: FixedClock().time, origin: .creation)],
                materials: materials)
            key.labels = try KeyLabels(text: "for b", tags: ["\u{e9}": "", "a": "bc"])
            key.grants = [
                try KeyGrant(
                    uuid: Octets16([UInt8](0xb0...0xbf).span), name: nil, granteePrincipal: "ann",
                    retiringPrincipal: nil, operations: [.decrypt, .retireGrant],
                    constraint: .none, createdAt: FixedClock().time + .seconds(1)),
                try KeyGrant(
                    uuid: Octets16([UInt8](0xc0...0xcf).span), name: "n", granteePrincipal: "bob",
                    retiringPrincipal: "eve", operations: Set(KeyOperation.allCases),
                    constraint: .contextSubset(EncryptionContext(["k": "v"])),
                    createdAt: FixedClock().time),
            ]
            return key
        }
    }

    private func code(_ key: CustomerKey, changing changes: [Int: UInt8]) -> CoreError.Code? {
        var bytes = key.encoded.bytes
        for (offset, byte) in changes { bytes[offset] = byte }
        return code(bytes)
    }

    private func code(_ bytes: [UInt8]) -> CoreError.Code? {
        do throws(CoreError) {
            _ = try CustomerKey(decoding: bytes.span)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `an unchanged record is read`() throws {
        #expect(code(Self.key, changing: [:]) == nil)
        #expect(code(Self.doomed, changing: [:]) == nil)
        #expect(Self.key.encoded.byteCount == 72)
        #expect(Self.doomed.encoded.byteCount == 72 + 1 + 16)
        let labelled = try Self.labelled
        let again = try CustomerKey(decoding: labelled.encoded.bytes.span)
        #expect(again.labels == labelled.labels)
        #expect(again.grants == labelled.grants)
    }

    @Test func `the newest form is written only for what needs it`() throws {
        let labelled = try Self.labelled
        var plain = labelled
        (plain.labels, plain.grants) = (KeyLabels(), [])
        var described = plain
        described.labels = try KeyLabels(text: "a", tags: [:])
        var tagged = plain
        tagged.labels = try KeyLabels(text: "", tags: ["a": ""])
        var granted = plain
        granted.grants = labelled.grants
        var doomed = plain
        doomed.state = .pendingDeletion(until: FixedClock().time)
        let keys = [plain, doomed, described, tagged, granted, labelled]
        #expect(keys.map { $0.encoded.bytes[25] } == [0, 1, 2, 2, 2, 2])
    }

    @Test func `a record of a later version is told from damage`() throws {
        #expect(code(Self.key, changing: [24: 4]) == .unsupportedVersion)
        #expect(code(Self.key, changing: [25: 3]) == .unsupportedVersion)
        #expect(code(Self.doomed, changing: [72: 3]) == .unsupportedVersion)
        // An operation and a constraint that there are not yet.
        let labelled = try Self.labelled
        #expect(code(labelled, changing: [Offset.operations + 1: 1]) == .unsupportedVersion)
        #expect(code(labelled, changing: [Offset.constraint: 3]) == .unsupportedVersion)
    }

    @Test func `a record that contradicts itself is refused`() throws {
        // A period of which the short form cannot say when it began.
        #expect(code(Self.key, changing: [26: 90]) == .corrupted)
        #expect(code(Self.key, changing: [27: 1]) == .corrupted)
        // A form with more than there is.
        #expect(code(Self.key, changing: [25: 1]) == .corrupted)
        #expect(code(Self.key, changing: [25: 2]) == .corrupted)
        // A key that stays and has a deletion date.
        #expect(code(Self.doomed, changing: [24: 1]) == .corrupted)
        #expect(code(Self.doomed, changing: [24: 2]) == .corrupted)
        // The begin of a period without days.
        #expect(code(Self.doomed, changing: [73: 1]) == .corrupted)
    }

    @Test func `labels and grants that contradict themselves are refused`() throws {
        let key = try Self.labelled
        #expect(code(key, changing: [Offset.text: 0xff]) == .corrupted, "no UTF-8")
        #expect(code(key, changing: [Offset.firstTag: 0xff]) == .corrupted)
        #expect(code(key, changing: [Offset.operations: 0]) == .corrupted, "no operation")
        #expect(code(key, changing: [Offset.constraint: 1]) == .corrupted, "no context")
        #expect(code(key, changing: [Offset.grantee: 0x20]) == .corrupted, "a space")
        var bytes = key.encoded.bytes
        // The context of the second grant, at the end of the record.
        let contextStart = bytes.count - 9
        #expect(code(key, changing: [contextStart: 2]) == .corrupted)
        #expect(code(key, changing: [contextStart + 1: 2]) == .corrupted)
        bytes.append(0)
        #expect(code(bytes) == .corrupted)
        // Tags in another order, and two that Unicode calls equal.
        for tags in [["b", "a"], ["a", "a"], ["\u{c5}", "\u{212b}"]] {
            #expect(code(labels: ["", tags[0], "", tags[1], ""], tagCount: 2) == .corrupted)
        }
        #expect(code(labels: ["", "a", "", "b", ""], tagCount: 2) == nil)
    }

    @Test func `counts out of range are refused before they are obeyed`() throws {
        let key = try Self.labelled
        for (offset, name) in [
            (Offset.text - 2, "text"), (Offset.firstTag - 2, "tag"), (Offset.firstTag - 4, "tags"),
            (Offset.grants, "grants"), (Offset.constraint + 1, "name"),
            (Offset.grantee - 2, "grantee"), (Offset.grantee + 3, "retiring"),
            (Offset.grantee + 5, "context"),
        ] {
            #expect(
                code(key, changing: [offset: 0xff, offset + 1: 0xff]) == .limitExceeded, "\(name)")
        }
        #expect(code(key, changing: [Offset.firstTag - 2: 0]) == .limitExceeded, "an empty tag")
        #expect(code(key, changing: [Offset.grantee - 2: 0]) == .limitExceeded, "no grantee")
        // One above the limit, with all the bytes it takes.
        let long = String(repeating: "a", count: 129)
        #expect(code(labels: [String(repeating: "d", count: 8193)]) == .limitExceeded)
        #expect(code(labels: ["", long, ""], tagCount: 1) == .limitExceeded)
        #expect(code(labels: ["", "a", long + long], tagCount: 1) == .limitExceeded)
        let tags = (10...60).flatMap { ["\($0)", ""] }
        #expect(code(labels: [""] + tags, tagCount: 51) == .limitExceeded)
        #expect(code(labels: [""] + tags.dropLast(2), tagCount: 50) == nil)
        let grants = [UInt8](repeating: 0, count: CustomerKey.grantsByteCountMax + 1)
        #expect(code(labels: [""], grantCount: 1, rest: grants) == .limitExceeded)
        #expect(code(labels: [""], grantCount: 1001) == .limitExceeded)
    }

    /// The error of a record whose labels and grants are these.
    private func code(
        labels: [String], tagCount: UInt16 = 0, grantCount: UInt16 = 0, rest: [UInt8] = []
    ) -> CoreError.Code? {
        var writer = ByteWriter()
        var start = Self.doomed.encoded.bytes
        start[25] = 2
        writer.append(start)
        writer.appendText(labels[0])
        writer.append(tagCount)
        for label in labels.dropFirst() { writer.appendText(label) }
        writer.append(grantCount)
        writer.append(rest)
        return code(writer.bytes)
    }

    // MARK: - Damage

    @Test func `a record that ends early is refused at every length`() throws {
        for key in try [Self.key, Self.doomed, Self.labelled] {
            let bytes = key.encoded.bytes
            for count in bytes.indices {
                #expect(code(Array(bytes.prefix(count))) == .corrupted, "\(count) bytes")
            }
        }
    }

    @Test func `whatever a changed record is read as, it is written as that again`() throws {
        let good = try Self.labelled.encoded.bytes
        var readCount = 0
        func check(_ bytes: [UInt8]) throws {
            guard let key = try? CustomerKey(decoding: bytes.span) else { return }
            readCount += 1
            let again = key.encoded.bytes
            // A record may be in a longer form than it needs.
            #expect(again == bytes || again[25] < bytes[25])
            let twice = try CustomerKey(decoding: again.span)
            #expect(twice.labels == key.labels)
            #expect(twice.grants == key.grants)
        }
        for index in good.indices {
            for byte in [0, 0xff, 0x20] + (0..<8).map({ good[index] ^ 1 << UInt8($0) }) {
                var bytes = good
                bytes[index] = byte
                try check(bytes)
            }
        }
        let random = SeededRandom(seed: 5)
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0...random.number(below: 4) {
                bytes[random.number(below: bytes.count)] = UInt8(random.number(below: 256))
            }
            if random.number(below: 4) == 0 {
                let start = random.number(below: bytes.count)
                bytes.removeSubrange(start..<min(bytes.count, start + random.number(below: 40)))
            }
            try check(bytes)
        }
        // Ids, times, keys and letters can be anything.
        #expect(readCount > 1000)
    }

    // MARK: - Fixture

    /// Offsets in the record of ``labelled``.
    private enum Offset {
        static let text = 91
        static let firstTag = 100
        static let grants = 111
        static let operations = 137
        static let constraint = 139
        static let grantee = 144
    }

    // The bytes were put together after `Formats/Keyring.md` by other means than this module.
    @Test func `a record of form 2 is read and written as it was first`() throws {
        let fixture = Self.fixture
        let key = try CustomerKey(decoding: fixture.span)
        let labelled = try Self.labelled
        #expect(key.id == labelled.id)
        #expect(key.createdAt == labelled.createdAt)
        #expect(key.state == .enabled)
        #expect(key.versions == labelled.versions)
        #expect(key.materials.bytes == labelled.materials.bytes)
        #expect(key.labels == labelled.labels)
        #expect(key.grants == labelled.grants)
        #expect(labelled.encoded.bytes == fixture)
    }

    private static let fixture: [UInt8] = {
        let digits = """
            a0a1a2a3a4a5a6a7a8a9aaabacadaeaf00002a36fe9c9717010200000100000000002a36fe9c9717
            000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0000000000000000
            0000000000000000000500666f7220620200010061020062630200c3a900000200b0b1b2b3b4b5b6
            b7b8b9babbbcbdbebf00cac471fe9c971782000000000300616e6e00000000c0c1c2c3c4c5c6c7c8
            c9cacbcccdcecf00002a36fe9c9717ff000201006e0300626f620300657665090001010001006b01
            0076
            """
        let values = digits.compactMap(\.hexDigitValue)
        return stride(from: 0, to: values.count, by: 2).map {
            UInt8(values[$0] << 4 | values[$0 + 1])
        }
    }()
}
