// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnTestSupport
import CairnTesting

@testable import Cairn

/// A store that goes through a history, beside what is known of it.
struct HistoryWorld {
    /// What a step showed that must not be.
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    private struct Upload {
        var id: UploadID
        var blob: Int
        var session: UploadSession?
        /// Received by the open handle.
        var count = 0
        /// At least this much survives.
        var durableCount = 0
        /// Since the store last promised to keep it for a day.
        var idleHours = 0
        /// Without a checkpoint a session does not outlive its handle, and an end that was refused
        /// may have happened.
        var isUncertain = true

        var mayBeGone: Bool { isUncertain || idleHours >= 24 }
    }

    private struct Client {
        var bucket: Bucket
        /// By blob: whether it is there. A change that was refused may have happened or not, and
        /// leaves no entry.
        var holds: [Int: Bool] = [:]
        var upload: Upload?
    }

    private var simulated: SimulatedStore
    private var store: Store
    private var clients: [Client] = []
    private var isFull = false
    private var openingCount: UInt64 = 1
    private let pool = ContentPool(seed: 1)
    private var blobs: [[UInt8]] { pool.blobs }
    private var digests: [Digest] { pool.digests }

    /// The first step that broke a promise, in words; nil when all were kept.
    static func fault(in history: History) async throws -> String? {
        var world = try await HistoryWorld()
        for (number, step) in (history.steps + [.room]).enumerated() {
            do {
                try await world.perform(step)
            } catch {
                await world.close()
                return "step \(number), \(step): \(error)"
            }
        }
        do {
            try await world.checkAll()
            await world.close()
            return nil
        } catch {
            await world.close()
            return "at the end: \(error)"
        }
    }

    private init() async throws {
        simulated = SimulatedStore(segmentByteCount: 8 << 20)
        store = try await simulated.open(seed: openingCount)
        for number in 0..<History.clientCount {
            let bucket = try await store.defaultAccount.createBucket("client/\(number)")
            let holds = blobs.indices.map { ($0, false) }
            clients.append(Client(bucket: bucket, holds: Dictionary(uniqueKeysWithValues: holds)))
        }
    }

    private mutating func perform(_ step: History.Step) async throws {
        switch step {
        case .put(let client, let blob): try await put(client, blob)
        case .delete(let client, let blob): try await delete(client, blob)
        case .read(let client, let blob): try await read(client, blob)
        case .mount(let client, let blob, let from): try await mount(client, blob, from)
        case .begin(let client, let blob): try await begin(client, blob)
        case .append(let client, let byteCount): try await append(client, byteCount)
        case .suspend(let client): try await suspend(client)
        case .resume(let client): try await resume(client)
        case .commit(let client): try await commit(client)
        case .cancel(let client): try await cancel(client)
        case .sweep: try await refusable { try await store.sweep() }
        case .compact: try await refusable { try await compact() }
        case .scrub: try await scrub()
        case .wait(let hours): wait(hours)
        case .reopen: try await reopen()
        case .cut(let seed): try await cut(seed)
        case .repair: try await repair()
        case .full(let isCommitting): fill(isCommitting)
        case .room: makeRoom()
        }
    }

    // MARK: - Blobs

    private mutating func put(_ client: Int, _ blob: Int) async throws {
        let isDone = try await refusable {
            try await clients[client].bucket.put(blobs[blob])
        }
        note(client, blob, isDone)
    }

    // A refused put or mount takes nothing away.
    private mutating func note(_ client: Int, _ blob: Int, _ isDone: Bool) {
        if isDone {
            clients[client].holds[blob] = true
        } else if clients[client].holds[blob] == false {
            clients[client].holds[blob] = nil
        }
    }

    private mutating func delete(_ client: Int, _ blob: Int) async throws {
        let wasThere = clients[client].holds[blob]
        let found = await code { try await clients[client].bucket.deleteBlob(digests[blob]) }
        switch found {
        case nil where wasThere != false: clients[client].holds[blob] = false
        case .blobUnknown? where wasThere != true: clients[client].holds[blob] = false
        case .outOfSpace? where isFull: clients[client].holds[blob] = nil
        default: throw Fault(description: "delete gave \(found as Any)")
        }
    }

    private mutating func read(_ client: Int, _ blob: Int) async throws {
        let isThere = clients[client].holds[blob]
        let (bucket, digest, bytes) = (clients[client].bucket, digests[blob], blobs[blob])
        var isSame = true
        let found = await code { isSame = try await bucket.contents(digest) == bytes }
        guard isSame else { throw Fault(description: "blob \(blob) of \(client) has other bytes") }
        switch found {
        case nil where isThere != false: clients[client].holds[blob] = true
        case .blobUnknown? where isThere != true: clients[client].holds[blob] = false
        default:
            throw Fault(description: "reading blob \(blob) of \(client) gave \(found as Any)")
        }
    }

    private mutating func mount(_ client: Int, _ blob: Int, _ from: Int) async throws {
        let isThere = clients[from].holds[blob]
        let (target, source) = (clients[client].bucket, clients[from].bucket)
        let found = await code { try await target.mountBlob(digests[blob], from: source) }
        switch found {
        case nil where isThere != false: note(client, blob, true)
        case .blobUnknown? where isThere != true: break
        case .outOfSpace? where isFull: note(client, blob, false)
        default: throw Fault(description: "mount gave \(found as Any)")
        }
    }

    // MARK: - Uploads

    private mutating func begin(_ client: Int, _ blob: Int) async throws {
        guard clients[client].upload == nil else { return }
        let bucket = clients[client].bucket
        var session: UploadSession?
        try await refusable { session = try await bucket.beginUpload() }
        guard let session else { return }
        clients[client].upload = Upload(id: session.id, blob: blob, session: session)
    }

    private mutating func append(_ client: Int, _ byteCount: Int) async throws {
        guard let upload = clients[client].upload, let session = upload.session else { return }
        let bytes = blobs[upload.blob]
        let end = min(upload.count + byteCount, bytes.count)
        let isDone = try await sessionCall(client) {
            try await session.append(bytes.span.extracting(upload.count..<end))
        }
        if isDone { clients[client].upload?.count = end }
    }

    private mutating func suspend(_ client: Int) async throws {
        guard let upload = clients[client].upload, let session = upload.session else { return }
        let isDone = try await sessionCall(client) { try await session.suspend() }
        guard isDone else { return }
        clients[client].upload?.session = nil
        clients[client].upload?.isUncertain = false
        clients[client].upload?.durableCount = upload.count
        clients[client].upload?.idleHours = 0
    }

    private mutating func resume(_ client: Int) async throws {
        guard let upload = clients[client].upload, upload.session == nil else { return }
        let bucket = clients[client].bucket
        var session: UploadSession?
        _ = try await sessionCall(client) { session = try await bucket.resumeUpload(upload.id) }
        guard let session else { return }
        let count = Int(session.status.receivedByteCount)
        guard count >= upload.durableCount, count <= blobs[upload.blob].count else {
            throw Fault(description: "\(count) bytes survive, not \(upload.durableCount)")
        }
        clients[client].upload?.session = session
        clients[client].upload?.count = count
        clients[client].upload?.idleHours = 0
    }

    private mutating func commit(_ client: Int) async throws {
        guard let upload = clients[client].upload, let session = upload.session else { return }
        let (bytes, digest) = (blobs[upload.blob], digests[upload.blob])
        let isAppended = try await sessionCall(client) {
            try await session.append(bytes.span.extracting(upload.count...))
        }
        guard isAppended else { return }
        let isDone = try await sessionCall(client) {
            try await session.commit(expecting: digest)
        }
        end(client, isDone)
        note(client, upload.blob, isDone)
    }

    private mutating func cancel(_ client: Int) async throws {
        guard let session = clients[client].upload?.session else { return }
        end(client, try await sessionCall(client) { try await session.cancel() })
    }

    private mutating func end(_ client: Int, _ isDone: Bool) {
        if isDone {
            clients[client].upload = nil
        } else {
            clients[client].upload?.isUncertain = true
        }
    }

    /// Calls a session; without space or time its handle is finished, or all of it.
    private mutating func sessionCall(
        _ client: Int, _ body: () async throws -> Void
    ) async throws -> Bool {
        let found = await code(of: body)
        switch found {
        case nil: return true
        case .outOfSpace? where isFull: clients[client].upload?.session = nil
        case .uploadUnknown? where clients[client].upload?.mayBeGone == true,
            .uploadExpired? where clients[client].upload?.mayBeGone == true:
            clients[client].upload = nil
        default: throw Fault(description: "the session gave \(found as Any)")
        }
        return false
    }

    // MARK: - The store

    private func compact() async throws {
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0.05
        configuration.smallSegmentCountMax = 2
        try await store.compact(configuration)
    }

    private func scrub() async throws {
        try await refusable {
            let report = try await store.scrub()
            guard report.damagedChunkCount == 0 else {
                throw Fault(description: "the scrub found \(report.damagedChunkCount) damaged")
            }
        }
    }

    private mutating func wait(_ hours: Int) {
        simulated.clock.advance(by: .seconds(3600 * hours))
        for client in clients.indices { clients[client].upload?.idleHours += hours }
    }

    private mutating func reopen() async throws {
        dropHandles()
        let found = await code { try await store.close() }
        guard found == nil || found == .outOfSpace && isFull else {
            throw Fault(description: "closing gave \(found as Any)")
        }
        try await open()
    }

    private mutating func cut(_ seed: Int) async throws {
        let after = simulated.afterPowerCut(seed: UInt64(seed))
        dropHandles()
        await close()
        simulated = after
        try await open()
    }

    // Upload sessions are known to the index alone.
    private mutating func repair() async throws {
        makeRoom()
        dropHandles()
        try await compact()
        try await store.close()
        simulated.loseIndex()
        let report = try await simulated.repair()
        guard report.isComplete, report.lostBlobs.isEmpty else {
            throw Fault(description: "the repair lost \(report.lostBlobs)")
        }
        for client in clients.indices { clients[client].upload = nil }
        try await open()
    }

    private mutating func open() async throws {
        makeRoom()
        // Each with random numbers of its own: identifiers must not repeat.
        openingCount += 1
        store = try await simulated.open(seed: openingCount)
        for client in clients.indices {
            let name = clients[client].bucket.name
            clients[client].bucket = try await store.defaultAccount.bucket(name)
        }
        try await checkAll()
    }

    private mutating func fill(_ isCommitting: Bool) {
        isFull = true
        simulated.index.setFault { operation in
            let isRefused = operation == .sync || isCommitting && operation == .commit
            return isRefused ? IndexError(.outOfSpace, "full") : nil
        }
    }

    private mutating func makeRoom() {
        isFull = false
        simulated.index.setFault(nil)
    }

    private mutating func dropHandles() {
        for client in clients.indices { clients[client].upload?.session = nil }
    }

    private func close() async { try? await store.close() }

    /// Compares everything that is known, and lets the store look for itself.
    private mutating func checkAll() async throws {
        for client in clients.indices {
            for blob in blobs.indices { try await read(client, blob) }
        }
        let problems = try await store.verify(.full).problems
        guard problems.isEmpty else { throw Fault(description: "\(problems)") }
    }

    /// Calls something that may be refused on a full disk; answers whether it was not.
    @discardableResult
    private func refusable(_ body: () async throws -> Void) async throws -> Bool {
        do {
            try await body()
            return true
        } catch let error as StoreError where isFull && error.code == .outOfSpace {
            return false
        }
    }
}
