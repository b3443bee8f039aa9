// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import Testing

@testable import Cairn

/// Rows come from a disk: whatever is in them, decoding ends in a value or a `CoreError`.
@Suite struct RowFuzzTests {
    /// Valid encodings of one kind of row, and its decoder followed by its encoder.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let samples: [[UInt8]]
        /// How many bytes at the end may be missing, all together.
        var optionalByteCount = 0
        let recode: @Sendable ([UInt8]) throws(CoreError) -> [UInt8]
    }

    @Test(arguments: rows)
    func `a valid row comes back as it was`(_ row: Row) throws {
        for sample in row.samples { #expect(try row.recode(sample) == sample) }
    }

    @Test(arguments: rows)
    func `a row that is cut or longer is refused`(_ row: Row) {
        for sample in row.samples {
            for count in 0..<sample.count
            where row.optionalByteCount == 0 || count != sample.count - row.optionalByteCount {
                #expect(throws: CoreError.self) { try row.recode(Array(sample[..<count])) }
            }
            #expect(throws: CoreError.self) { try row.recode(sample + [0]) }
        }
    }

    // A mutant that is accepted says the same when it is written again: no two readings of it.
    @Test(arguments: rows)
    func `a damaged row is refused or means what it says`(_ row: Row) {
        var generator = SeededGenerator(seed: 31)
        for round in 0..<4000 {
            var mutant = row.samples[round % row.samples.count]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: mutant.indices, using: &generator)
                mutant[index] = Self.interesting.randomElement(using: &generator) ?? 0
            }
            do throws(CoreError) {
                let again = try row.recode(mutant)
                #expect(again == mutant)
            } catch {
                #expect([.corrupted, .unsupportedVersion, .limitExceeded].contains(error.code))
            }
        }
    }

    @Test(arguments: rows)
    func `random bytes do no harm`(_ row: Row) {
        var generator = SeededGenerator(seed: 32)
        for _ in 0..<4000 {
            let count = Int.random(in: 0...400, using: &generator)
            // The first byte right, so that more than the version check is reached.
            var bytes = TestData.random(count, seed: generator.next())
            if count > 0, let first = row.samples.first?.first { bytes[0] = first }
            do throws(CoreError) { _ = try row.recode(bytes) } catch { continue }
        }
    }

    // MARK: - Samples

    private static let interesting: [UInt8] = [0, 1, 2, 3, 6, 7, 0x20, 0x7F, 0x80, 0xFE, 0xFF]
    private static let octets16 = Octets16(Array<UInt8>(1...16).span)
    private static let octets32 = Octets32(Array<UInt8>(1...32).span)
    private static let time = Timestamp(nanosecondsSinceEpoch: 1_700_000_000_000_000_007)

    static let rows =
        [
            Row(
                testDescription: "account",
                samples: [
                    AccountRow(
                        id: AccountID(octets: octets16), createdAt: time, domainSlot: 7
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try AccountRow(decoding: bytes).encoded() },
            Row(
                testDescription: "bucket",
                samples: [
                    BucketRow(
                        accountID: AccountID(octets: octets16), name: "library/alpine",
                        createdAt: time, generation: 3, dataKeySlot: 4, indexKeySlot: 5,
                        domain: DomainReference(slot: 6, id: octets16)
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try BucketRow(decoding: bytes).encoded() },
            Row(
                testDescription: "key",
                samples: [
                    KeyRow(
                        kind: .bucketData, ownerID: octets16, generation: 2, wrapped: [1, 2, 3]
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try KeyRow(decoding: bytes).encoded() },
            Row(
                testDescription: "store",
                samples: [
                    StoreRow(storeID: octets16, createdAt: time, chunker: .version1).encoded()
                ]
            ) { bytes throws(CoreError) in try StoreRow(decoding: bytes).encoded() },
            Row(
                testDescription: "link",
                samples: [
                    link(rootID: nil), link(rootID: ChunkID(octets32)),
                    link(rootID: nil, .lease(until: time)),
                ]
            ) {
                bytes throws(CoreError) in try LinkRow(decoding: bytes).encoded()
            },
            Row(
                testDescription: "object",
                samples: [
                    ObjectRow(
                        object, token: 7, etag: octets16, bodyName: LinkName(octets: octets32),
                        sealed: [9, 8, 7]
                    ).encoded(), ObjectRow(deleteMarker: 8, at: time).encoded(),
                ]
            ) { bytes throws(CoreError) in try ObjectRow(decoding: bytes).encoded() },
            Row(
                testDescription: "references of an object",
                samples: [
                    ObjectReferencesRow(
                        names: [LinkName(octets: octets32), LinkName(octets: octets32)],
                        sealed: [9, 8, 7]
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try ObjectReferencesRow(decoding: bytes).encoded() },
            Row(
                testDescription: "settings of a bucket",
                samples: [settings(nil), settings(DefaultRetention(.compliance, for: .seconds(9)))]
            ) { bytes throws(CoreError) in try BucketSettings(decoding: bytes).encoded() },
            Row(
                testDescription: "sealed object", samples: [object.encoded(etag: octets16)],
                optionalByteCount: 10 + 1 + 4 + 4
            ) { bytes throws(CoreError) in
                try ObjectDescription(key: "key", decoding: bytes, etag: octets16)
                    .encoded(etag: octets16)
            },
            Row(
                testDescription: "upload",
                samples: [
                    UploadRow(
                        checkpointID: octets16, startedAt: time, expiresAt: time,
                        receivedByteCount: 12,
                        sealedHeld: [1, 2], sealedState: [3]
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try UploadRow(decoding: bytes).encoded() },
            Row(testDescription: "node above chunks", samples: [node(level: 1)]) {
                bytes throws(CoreError) in
                try RecipeNode(decoding: bytes.span, level: 1, byteCount: 3000).encoded()
            },
            Row(testDescription: "node above nodes", samples: [node(level: 2)]) {
                bytes throws(CoreError) in
                try RecipeNode(decoding: bytes.span, level: 2, byteCount: 3000).encoded()
            },
        ] + multipartRows + eventRows

    private static var eventRows: [Row] {
        let version = ObjectVersionID(sequence: 5, token: 6)
        let name = LinkName(octets: octets32)
        var head = EventHeadRow(beginningAt: time)
        head.next = 9
        return [
            Row(
                testDescription: "event",
                samples: [
                    EventRow(
                        .objectWritten, .lifecycle, at: time,
                        .object(
                            key: "key", version, etag: octets16, byteCount: 7, body: name)
                    ).encoded(),
                    EventRow(
                        .blobRemoved, .lease, at: time,
                        .blob(name, byteCount: 7, sealedCapability: [1, 2])
                    ).encoded(),
                    EventRow(.settingsChanged, .call, at: time, .settings).encoded(),
                ]
            ) { bytes throws(CoreError) in try EventRow(decoding: bytes).encoded() },
            Row(testDescription: "head of events", samples: [head.encoded()]) {
                bytes throws(CoreError) in try EventHeadRow(decoding: bytes).encoded()
            },
        ]
    }

    private static var multipartRows: [Row] {
        var open = MultipartRow(startedAt: time, expiresAt: time)
        open.frontier = 3
        open.partCount = 4
        var digests = StreamDigests(.sha512, checksums: [.crc32c, .md5])
        digests.update(octets32.span)
        let entry = TreeEntry(
            hash: ChunkHash(octets32), storedByteCount: 99, byteCount: 20_000, level: 1)
        return [
            Row(testDescription: "multipart upload", samples: [open.encoded()]) {
                bytes throws(CoreError) in try MultipartRow(decoding: bytes).encoded()
            },
            Row(
                testDescription: "open multipart upload",
                samples: [
                    OpenMultipart(
                        domainSlot: 7, algorithm: .sha512, checksums: [.md5],
                        attributes: object.attributes,
                        references: [object.digest]
                    ).encoded(key: "key")
                ]
            ) { bytes throws(CoreError) in
                try OpenMultipart(key: "key", decoding: bytes).encoded(key: "key")
            },
            Row(
                testDescription: "completed multipart upload",
                samples: [
                    CompletedMultipart(object: object, etag: octets16, parts: octets16).encoded()
                ]
            ) { bytes throws(CoreError) in
                try CompletedMultipart(key: "key", decoding: bytes).encoded()
            },
            Row(
                testDescription: "part",
                samples: [
                    PartRow(
                        revision: octets16, byteCount: 9, modifiedAt: time,
                        rootID: ChunkID(octets32), sealed: [4, 5]
                    ).encoded()
                ]
            ) { bytes throws(CoreError) in try PartRow(decoding: bytes).encoded() },
            Row(
                testDescription: "part with bytes",
                samples: [
                    PartContents(digests: digests, body: .bytes([1, 2, 3])).encoded(),
                    PartContents(digests: nil, body: .bytes([1, 2, 3])).encoded(),
                ]
            ) { bytes throws(CoreError) in
                try PartContents(decoding: bytes, byteCount: 3).encoded()
            },
            Row(
                testDescription: "part with a tree",
                samples: [PartContents(digests: nil, body: .tree(.tar, entry)).encoded()]
            ) { bytes throws(CoreError) in
                try PartContents(decoding: bytes, byteCount: 20_000).encoded()
            },
        ]
    }

    private static func settings(_ retention: DefaultRetention?) -> [UInt8] {
        var settings = BucketSettings()
        settings.versioning = .suspended
        settings.retention = retention
        return settings.encoded()
    }

    private static var object: ObjectDescription {
        var attributes = ObjectAttributes(
            contentType: "text/plain", metadata: ["a": "b"], tags: ["c": "d", "e": ""])
        attributes.contentLanguage = "de"
        attributes.expires = "never"
        attributes.lock = ObjectLock(
            retention: Retention(.governance, until: time), hasLegalHold: true)
        return ObjectDescription(
            key: "key", etag: ETag(octets16), digest: Digest.sha256(of: [1].span), byteCount: 1,
            modifiedAt: time, referenceCount: 2, attributes: attributes,
            checksums: [Checksum(.crc32c, [1, 2, 3, 4])].compactMap(\.self))
    }

    private static func link(rootID: ChunkID?, _ hold: BlobHold = .pin) -> [UInt8] {
        LinkRow(
            hold, rootID: rootID, byteCount: 99, createdAt: time, referenceCount: 2,
            sealedCapability: [5, 6]
        ).encoded()
    }

    private static func node(level: UInt8) -> [UInt8] {
        let entries = [1000, 2000].map { (count: UInt32) in
            TreeEntry(
                hash: ChunkHash(octets32), storedByteCount: count, byteCount: UInt64(count),
                level: level - 1)
        }
        return RecipeNode(layout: .tar, level: level, entries: entries).encoded()
    }
}
