// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnSegments

/// Chunks that upload sessions have placed but not yet committed to the index.
///
/// Two sessions that bring the same bytes at the same time store them once: the first to claim a
/// chunk looks it up and writes it; others wait for that outcome. An entry lives from the first
/// claim until the last session that holds it has committed or ended, so its number is bounded
/// by sessions × chunks per checkpoint. Thread-safe.
///
/// Whoever claims chunks must settle all of its claims before it waits for anybody else's: then
/// two sessions can never wait for each other.
final class InFlightChunks: Sendable {
    enum Claim {
        /// The caller must look the chunk up, or write it, and then call `settle`.
        case own
        /// The chunk lies here.
        case placed(Placement)
        /// Another session is placing it; `wait` for the outcome.
        case pending
    }

    private enum State {
        case pending
        case placed(Placement)
    }

    private struct Entry {
        var state: State
        var holderCount: Int
    }

    // Contention stays low: a claim is a fraction of a microsecond under one of 64 locks.
    private static let shardCount = 64
    private let shards: [Monitor<[ChunkID: Entry]>]

    init() {
        shards = (0..<Self.shardCount).map { _ in Monitor([:]) }
    }

    /// Takes one hold on a chunk.
    func claim(_ id: ChunkID) -> Claim {
        shard(id).withLock { entries in
            guard var entry = entries[id] else {
                entries[id] = Entry(state: .pending, holderCount: 1)
                return .own
            }
            switch entry.state {
            case .pending: return .pending
            case .placed(let placement):
                entry.holderCount += 1
                entries[id] = entry
                return .placed(placement)
            }
        }
    }

    /// Tells where an owned chunk lies; nil gives the claim up, and a waiter takes it over.
    func settle(_ id: ChunkID, _ placement: Placement?) {
        shard(id).update { entries in
            guard let placement else { return entries[id] = nil }
            entries[id]?.state = .placed(placement)
        }
    }

    /// Blocks until a pending chunk is settled, and takes one hold on it.
    ///
    /// - Returns: where the chunk lies; nil when its owner gave up, and the caller owns it now.
    func wait(_ id: ChunkID) -> Placement? {
        shard(id).wait { entries -> Placement?? in
            guard var entry = entries[id] else {
                entries[id] = Entry(state: .pending, holderCount: 1)
                return .some(nil)
            }
            guard case .placed(let placement) = entry.state else { return nil }
            entry.holderCount += 1
            entries[id] = entry
            return placement
        }
    }

    /// Where a chunk lies that is placed and perhaps not in the index yet; nil for all others.
    func placement(_ id: ChunkID) -> Placement? {
        shard(id).withLock { entries in
            guard case .placed(let placement)? = entries[id]?.state else { return nil }
            return placement
        }
    }

    /// Gives back `count` holds.
    func release(_ id: ChunkID, count: Int) {
        shard(id).withLock { entries in
            guard var entry = entries[id] else { return }
            entry.holderCount -= count
            entries[id] = entry.holderCount > 0 ? entry : nil
        }
    }

    /// Whether an upload relies on a record of this segment.
    func refers(to segment: SegmentNumber) -> Bool {
        shards.contains { shard in
            shard.withLock { entries in
                entries.values.contains { entry in
                    guard case .placed(let placement) = entry.state else { return false }
                    return placement.location.segment == segment
                }
            }
        }
    }

    /// How many chunks are in flight; for tests and statistics.
    var count: Int { shards.reduce(0) { sum, shard in sum + shard.withLock { $0.count } } }

    private func shard(_ id: ChunkID) -> Monitor<[ChunkID: Entry]> {
        // Ids are uniformly distributed: any byte will do.
        shards[Int(id.octets.span[0]) % Self.shardCount]
    }
}
