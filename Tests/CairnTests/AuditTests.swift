// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnKeys
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// The audit log tells what was done with keys, and that nobody changed what it tells.
@Suite struct AuditTests {
    private static let file = AuditFormat.path(1)

    @Test func `each use of a key and each act is in the log, over restarts`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey(alias: "alias/a").id)
        let bucket = try await store.bucket("audited", under: key)
        try await bucket.put([1])
        try await bucket.rotateDataKey()
        try await keys.disable(key)
        _ = await code { _ = try await bucket.keys() }
        _ = await code { try await keys.enable(KeyReference("alias/none")) }
        try await keys.enable(key)
        try await bucket.setEncryption(.storeManaged)
        try await store.rewrapKeys()
        _ = try await store.defaultAccount.shredBucket("audited")
        try await store.close()
        store = try await simulated.open(seed: 2)
        let entries = try await store.auditEntries()
        let acts = entries.filter { $0.context.pairs.isEmpty }.map { "\($0.action) \($0.outcome)" }
        #expect(
            acts == [
                "CreateKey ok", "RotateDataKey ok", "DisableKey ok", "EnableKey keyUnknown",
                "EnableKey ok", "SetBucketEncryption ok", "RewrapKeys ok", "ShredBucket ok",
            ])
        let denied = try #require(entries.first { $0.outcome == "keyDisabled" })
        #expect(denied.action == "Decrypt")
        #expect(denied.key == key.text)
        #expect(
            denied.context.pairs.map(\.key) == [
                "cairn:generation", "cairn:owner", "cairn:purpose", "cairn:store",
            ])
        #expect(entries.map(\.sequence) == Array(1...UInt64(entries.count)))
        let page = try await store.auditEntries(after: 3, limit: 2)
        #expect(page == Array(entries[3..<5]))
        let report = try await store.verifyAudit()
        #expect(report.problems == [])
        #expect(report.entryCount == UInt64(entries.count))
        #expect(report.firstSequence == 1)
        #expect(report.head.sequence == UInt64(entries.count))
        #expect(AuditHead(report.head.description) == report.head)
        #expect(AuditHead("1:00") == nil)
        try await store.close()
    }

    @Test func `a changed byte, wherever it is, is found`() async throws {
        let simulated = try await Self.simulated()
        let bytes = try simulated.disk.readAll(Self.file, upTo: 1 << 20)
        #expect(bytes.count > 1000)
        for offset in stride(from: 0, to: bytes.count, by: 23) {
            var changed = bytes
            changed[offset] ^= 1
            let copy = simulated.copy()
            try copy.disk.replace(Self.file, with: changed.span)
            #expect(try await !Self.isSound(copy), "byte \(offset)")
            // Going on with the log hides nothing.
            #expect(try await !Self.isSound(copy), "byte \(offset), the second time")
        }
        #expect(try await Self.isSound(simulated))
    }

    @Test func `a log that was cut off, emptied or taken away is found`() async throws {
        let simulated = try await Self.simulated()
        let bytes = try simulated.disk.readAll(Self.file, upTo: 1 << 20)
        for count in [bytes.count - 1, bytes.count - 400, 600, AuditFormat.headerByteCount, 5, 0] {
            let copy = simulated.copy()
            try copy.disk.replace(Self.file, with: Array(bytes[..<count]).span)
            #expect(try await !Self.isSound(copy), "\(count) bytes are left")
            #expect(try await !Self.isSound(copy), "\(count) bytes are left, the second time")
        }
        try simulated.disk.remove(Self.file)
        #expect(try await !Self.isSound(simulated))
    }

    @Test func `what a power cut tears is no fraud, and what was acknowledged is there`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        var ids: [KeyID] = []
        for number in 0..<12 {
            ids.append(try await keys.createKey().id)
            // Uses are not synced: a cut may take them.
            try await store.bucket("b\(number)", under: KeyReference(ids[number]))
            for seed in 0..<4 {
                let cut = simulated.afterPowerCut(seed: UInt64(number * 10 + seed))
                let again = try await cut.open(seed: 9)
                let report = try await again.verifyAudit()
                #expect(report.problems == [])
                let created = try await again.auditEntries().count { $0.action == "CreateKey" }
                #expect(created == number + 1)
                try await again.keyService?.createKey()
                #expect(try await again.verifyAudit().problems == [])
                try await again.close()
            }
        }
        try await store.close()
    }

    @Test func `a full disk stops acts, not uses, and the log says what it lost`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let bucket = try await store.bucket("used", under: key)
        let digest = try await bucket.put([1, 2, 3]).digest
        simulated.disk.fail(.write, at: 1, count: 1_000_000, .error(.outOfSpace))
        store.flushKeys()
        #expect(try await bucket.contents(digest) == [1, 2, 3])
        #expect(await code { try await keys.disable(key) } == .outOfSpace)
        #expect(try await keys.describe(key).state == .enabled)
        simulated.disk.heal()
        try await keys.disable(key)
        let entries = try await store.auditEntries()
        #expect(entries.contains { $0.action == "AuditEntriesLost" && $0.detail != "0" })
        #expect(entries.last?.action == "DisableKey")
        #expect(try await store.verifyAudit().problems == [])
        try await store.close()
    }

    @Test func `text of callers, of whatever length and kind, spoils nothing`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let long = String(repeating: "\u{e9}", count: 9000)
        #expect(await code { try await keys.createAlias(long, for: .default) } == .invalidArgument)
        #expect(await code { try await keys.deleteAlias("a\nb\u{1b}") } == .keyUnknown)
        try await keys.createKey()
        let entries = try await store.auditEntries()
        #expect(entries.last?.action == "CreateKey")
        #expect(entries.contains { $0.detail.hasPrefix("\u{e9}") && $0.detail.utf8.count < 2100 })
        #expect(try await store.verifyAudit().problems == [])
        #expect(try await store.auditEntries(after: .max).isEmpty)
        #expect(try await store.auditEntries(after: .max - 1).isEmpty)
        try await store.close()
    }

    @Test func `files and notes that somebody planted or took keep no store closed`()
        async throws
    {
        let simulated = try await Self.simulated()
        let garbage = [UInt8](repeating: 7, count: 500)
        for name in ["audit/ffffffff.audit", "audit/fffffffe.audit", "audit/00000002.audit"] {
            let copy = simulated.copy()
            try copy.disk.replace(name, with: garbage.span)
            let store = try await copy.open(seed: 5)
            try await store.defaultAccount.createBucket("still-works")
            try await store.close()
        }
        for key in [MetaKey.auditHead, MetaKey.keyringRevision] {
            let copy = simulated.copy()
            var store = try await copy.open(seed: 5)
            try await store.engine.transact { (transaction) throws(StoreError) in
                try transaction.delete(Tables.meta, key)
            }
            // Without closing, which would make a new note.
            try await Store.shutDown(store.engine).get()
            store = try await copy.found(copy.disk.crash(.keepAll), copy.index.copy()).open(seed: 6)
            #expect(try await !store.verifyAudit().isSound)
            try await store.close()
        }
    }

    @Test func `old files go, and what is left is sound`() async throws {
        let disk = SimulatedDisk()
        let secret = SecretBytes(copying: [UInt8](repeating: 7, count: 32).span)
        let storeID = Octets16()
        let format = try AuditFormat(storeKey: secret, storeID: storeID)
        func open() throws -> AuditLog {
            try AuditLog(
                disk, format: format, storeID: storeID, clock: ManualClock(), known: .start,
                byteCountMax: 2 * AuditLog.fileByteCount)
        }
        var log = try open()
        let event = AuditEvent(action: "Filling", detail: String(repeating: "x", count: 2000))
        for number in 1...14_000 {
            try log.append(event, durably: number.isMultiple(of: 500))
            if number.isMultiple(of: 3000) { log = try open() }
        }
        #expect(try log.numbers().count <= 3)
        let head = try log.sync()
        let report = try log.check(containing: [head])
        #expect(report.problems == [])
        #expect(report.firstSequence > 1000)
        #expect(report.head == head)
        // An end that was noted long ago is gone with its file, which is no fraud.
        #expect(try log.check(containing: [AuditHead(sequence: 5, code: Octets32())]).isSound)
        #expect(try !log.check(containing: [AuditHead(sequence: 13_900, code: Octets32())]).isSound)
    }

    // MARK: -

    // A store with a log of a few entries, closed.
    private static func simulated() async throws -> SimulatedStore {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        for number in 0..<12 { try await keys.createKey(alias: "alias/\(number)") }
        try await store.close()
        return simulated
    }

    private static func isSound(_ simulated: SimulatedStore) async throws -> Bool {
        let store = try await simulated.open(seed: 5)
        let report = try await store.verifyAudit()
        try await store.close()
        return report.isSound
    }
}

extension SimulatedStore {
    /// The same store somewhere else; closed.
    fileprivate func copy() -> SimulatedStore { found(disk.copy(), index.copy()) }
}
