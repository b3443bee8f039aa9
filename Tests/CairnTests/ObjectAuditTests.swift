// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnTestSupport
import Testing

@testable import Cairn

/// What the verification says of objects whose rows were changed behind the store's back.
@Suite struct ObjectAuditTests {
    enum Damage: String, CaseIterable, CustomTestStringConvertible {
        case objectFlipped, objectOfAnotherKey, referencesMissing, referencesFlipped
        case referencesOfAnotherObject, backReferenceMissing, backReferenceInvented
        case countTooHigh, blobMissing

        var testDescription: String { rawValue }
    }

    @Test(arguments: Damage.allCases)
    func `verification finds what does not belong together`(_ damage: Damage) async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let blobs = [try await bucket.put([1]).digest, try await bucket.put([2]).digest]
        for (key, blob) in zip(["a", "b"], blobs) {
            try await bucket.putObject(key, Array(key.utf8).span, references: [blob])
        }
        try await check(store)
        let names = try await blobs.map(bucket.keys().linkName)
        let id = bucket.bucketID
        let (a, b) = (RowKey.object(id, "a"), RowKey.object(id, "b"))
        try await store.engine.transact { (transaction) throws(StoreError) in
            switch damage {
            case .objectFlipped: try transaction.flip(Tables.objects, a)
            case .objectOfAnotherKey: try transaction.copy(Tables.objects, from: b, to: a)
            case .referencesMissing: try transaction.delete(Tables.objectReferences, a)
            case .referencesFlipped: try transaction.flip(Tables.objectReferences, a)
            case .referencesOfAnotherObject:
                try transaction.copy(Tables.objectReferences, from: b, to: a)
            case .backReferenceMissing:
                try transaction.delete(Tables.references, RowKey.reference(id, names[0], "a"))
            case .backReferenceInvented:
                try transaction.put(Tables.references, RowKey.reference(id, names[0], "c"), [])
            case .countTooHigh:
                guard var link = try transaction.link(id, names[0]) else { return }
                link.referenceCount += 1
                try transaction.put(link, id, names[0])
            case .blobMissing:
                guard let link = try transaction.link(id, names[0]) else { return }
                try transaction.unlink(link, id, names[0])
            }
        }
        let report = try await store.verify(.structure)
        #expect(!report.isSound)
        #expect(!report.problems.isEmpty)
        // Nobody gets to see what is not the object's own.
        let seen = await code { _ = try await bucket.references(of: "a") }
        switch damage {
        case .objectFlipped, .objectOfAnotherKey, .referencesMissing, .referencesFlipped,
            .referencesOfAnotherObject:
            #expect(seen == .corrupted)
        default: #expect(seen == nil)
        }
        try await store.close()
    }

    enum MultipartDamage: String, CaseIterable, CustomTestStringConvertible {
        case uploadMissing, expiryMissing, contentsMissing, contentsFlipped, contentsInvented
        case countTooHigh, sizeTooHigh, frontierTooHigh, partMissing, partFlipped
        case partOfAnotherNumber, completedKeepsPart, dueMissing

        var testDescription: String { rawValue }
    }

    @Test(arguments: MultipartDamage.allCases)
    func `verification finds uploads and rules that would be forgotten`(
        _ damage: MultipartDamage
    ) async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        var rule = LifecycleRule("old")
        rule.expiration = .after(days: 9)
        try await bucket.setLifecycle([rule])
        let upload = try await bucket.beginMultipartUpload("open")
        for number in 1...3 { _ = try await upload.put(number, [UInt8(number)]) }
        // One that is beyond the frontier.
        _ = try await upload.put(5, [5])
        let other = try await bucket.beginMultipartUpload("done")
        _ = try await other.put(1, [1])
        _ = try await other.complete()
        try await check(store)
        let id = bucket.bucketID
        let name = MultipartName(key: upload.key, id: upload.id)
        let rowKey = RowKey.multipartUpload(id, name)
        let contents = RowKey.parts(id, name.id)
        try await store.engine.transact { (transaction) throws(StoreError) in
            guard let row = try transaction.multipart(name, in: id),
                let due = try transaction.lifecycleDue(of: "done", in: id)
            else { throw StoreError(.objectUnknown, "") }
            var changed = row
            switch damage {
            case .uploadMissing: try transaction.delete(Tables.multipartUploads, rowKey)
            case .expiryMissing:
                try transaction.delete(
                    Tables.multipartExpiry, RowKey.multipartExpiry(row.expiresAt, id, name))
            case .contentsMissing: try transaction.delete(Tables.multipartContents, contents)
            case .contentsFlipped: try transaction.flip(Tables.multipartContents, contents)
            case .contentsInvented:
                try transaction.copy(
                    Tables.multipartContents, from: contents,
                    to: RowKey.parts(id, MultipartUploadID(octets: Octets16())))
            case .countTooHigh: changed.partCount += 1
            case .sizeTooHigh: changed.byteCount += 1
            case .frontierTooHigh: changed.frontier += 1
            case .partMissing: try transaction.delete(Tables.parts, RowKey.part(id, name.id, 5))
            case .partFlipped: try transaction.flip(Tables.parts, RowKey.part(id, name.id, 5))
            case .partOfAnotherNumber:
                try transaction.copy(
                    Tables.parts, from: RowKey.part(id, name.id, 1),
                    to: RowKey.part(id, name.id, 2))
            case .completedKeepsPart:
                try transaction.copy(
                    Tables.parts, from: RowKey.part(id, name.id, 1),
                    to: RowKey.part(id, other.id, 1))
            case .dueMissing:
                try transaction.delete(
                    Tables.lifecycleDue, RowKey.lifecycleDue(due, id, "done"))
            }
            if changed.encoded() != row.encoded() {
                try transaction.put(Tables.multipartUploads, rowKey, changed.encoded())
            }
        }
        #expect(try await store.verify(.structure).problemCount > 0)
        try await store.close()
    }
}

extension Transaction {
    fileprivate func flip(_ table: IndexTable, _ key: [UInt8]) throws(StoreError) {
        guard var value = try get(table, key) else { throw StoreError(.objectUnknown, "") }
        value[value.count - 20] ^= 1
        try put(table, key, value)
    }

    fileprivate func copy(
        _ table: IndexTable, from source: [UInt8], to target: [UInt8]
    ) throws(StoreError) {
        guard let value = try get(table, source) else { throw StoreError(.objectUnknown, "") }
        try put(table, target, value)
    }
}
