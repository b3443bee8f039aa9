// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// The room that one upload session is promised.
///
/// It grows with the bytes that arrive, before they are taken. A checkpoint turns what is durable
/// into bytes in flight, which the index counts; a commit turns all of it into a blob. Given back
/// when the session ends in any other way. Thread-safe.
final class Reservation: Sendable {
    private struct Held {
        /// Bytes received or announced.
        var byteCount: UInt64
        /// Of these, what the index counts.
        var durableByteCount: UInt64
        var blobCount: Int64
        /// Not counted by the index yet.
        var uploadCount: Int64
        var isOver = false

        var promised: PromisedUsage {
            isOver
                ? .none
                : PromisedUsage(
                    byteCount: Int64(clamping: byteCount - min(byteCount, durableByteCount)),
                    blobCount: blobCount, uploadCount: uploadCount)
        }
    }

    /// What a transaction does to it.
    enum Step: Sendable {
        /// So many bytes are durable.
        case checkpoint(UInt64)
        /// All of it is something else now.
        case end
    }

    let node: UsageNode
    private let ledger: UsageLedger
    private let held: Mutex<Held>

    /// - Parameters:
    ///   - node: of the bucket; held for this by the ledger.
    ///   - byteCount: announced.
    ///   - durableByteCount: of a session that goes on from a checkpoint; nil for a new one.
    ///   - isPart: whether the session is one of a multipart upload.
    /// - Throws: ``StoreError`` with code `quotaExceeded`.
    init(
        _ node: UsageNode, _ ledger: UsageLedger, byteCount: UInt64,
        durableByteCount: UInt64? = nil, isPart: Bool
    ) throws(StoreError) {
        let held = Held(
            byteCount: max(byteCount, durableByteCount ?? 0),
            durableByteCount: durableByteCount ?? 0, blobCount: isPart ? 0 : 1,
            uploadCount: isPart || durableByteCount != nil ? 0 : 1)
        self.node = node
        self.ledger = ledger
        self.held = Mutex(held)
        do throws(StoreError) {
            try Self.check(held.byteCount)
            try node.promise(held.promised, blobByteCount: held.byteCount)
        } catch {
            ledger.letGo(node)
            throw error
        }
    }

    /// Promises room for bytes that are about to be taken.
    ///
    /// - Parameter byteCount: of the session with them.
    /// - Throws: ``StoreError`` with code `quotaExceeded`: it is as it was.
    func grow(to byteCount: UInt64) throws(StoreError) {
        try held.withLock { (held) throws(StoreError) in
            guard byteCount > held.byteCount, !held.isOver else { return }
            try Self.check(byteCount)
            let more = PromisedUsage(byteCount: Int64(clamping: byteCount - held.byteCount))
            try node.promise(more, blobByteCount: byteCount)
            held.byteCount = byteCount
        }
    }

    // Sums of several must have 63 bits.
    private static func check(_ byteCount: UInt64) throws(StoreError) {
        guard byteCount <= 1 << 61 else {
            throw StoreError(.limitExceeded, "an upload has at most 2^61 bytes")
        }
    }

    /// Gives back what is not durable. Idempotent.
    func end() {
        let promised = held.withLock { held -> PromisedUsage? in
            guard !held.isOver else { return nil }
            defer { held.isOver = true }
            return held.promised
        }
        guard let promised else { return }
        node.giveBack(promised)
        ledger.letGo(node)
    }

    /// What a transaction changes in the promises of its bucket.
    func change(_ step: Step) -> PromisedUsage {
        held.withLock { held in
            let before = held.promised
            var after = held
            Self.make(step, &after)
            return after.promised + -before
        }
    }

    /// Notes that the transaction took place.
    func perform(_ step: Step) {
        let isOver = held.withLock { held in
            let wasOver = held.isOver
            Self.make(step, &held)
            return held.isOver && !wasOver
        }
        if isOver { ledger.letGo(node) }
    }

    private static func make(_ step: Step, _ held: inout Held) {
        switch step {
        case .checkpoint(let byteCount):
            held.durableByteCount = byteCount
            held.uploadCount = 0
        case .end: held.isOver = true
        }
    }
}
