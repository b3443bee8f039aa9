// Part of Cairn, a content-addressed blob store.

/// Which keys the latest commits have written: what a transaction is validated against.
///
/// Keys are known by a 64-bit fingerprint, seeded anew in every process. Two keys that share one
/// can only cause a conflict that was none; no conflict is ever missed.
///
/// Memory is bounded: commits are kept in two generations, and when the younger one is full, the
/// older one is forgotten. A transaction that began before the older one did can't be validated any
/// more and conflicts.
package struct CommitWindow: Sendable {
    /// Identifies a key of a table, within this process only.
    package typealias Fingerprint = Int

    // About 9 MB for both generations at worst. A transaction stays valid while others commit at
    // least this many keys, a second and more of the fastest writing that was measured.
    package static let generationKeyCountMax = 131_072

    /// The number of the latest commit.
    package private(set) var version: UInt64 = 0
    private let keyCountMax: Int
    // Every commit since, but not including, this version is in one of the generations.
    private var floor: UInt64 = 0
    private var youngerFloor: UInt64 = 0
    private var older: [Fingerprint: UInt64] = [:]
    private var younger: [Fingerprint: UInt64] = [:]

    package init(generationKeyCountMax: Int = Self.generationKeyCountMax) {
        keyCountMax = generationKeyCountMax
    }

    /// The fingerprint of a key.
    package static func fingerprint(_ table: Int, _ key: [UInt8]) -> Fingerprint {
        var hasher = Hasher()
        hasher.combine(table)
        hasher.combine(key)
        return hasher.finalize()
    }

    /// Whether nothing in `reads` was written by a commit after `begin`.
    package func isUnchanged(_ reads: [Fingerprint], since begin: UInt64) -> Bool {
        if reads.isEmpty || begin == version { return true }
        guard begin >= floor else { return false }
        return reads.allSatisfy { read in
            (younger[read] ?? older[read] ?? 0) <= begin
        }
    }

    /// Counts a commit and the keys that it wrote; returns its number.
    package mutating func append(_ writes: [Fingerprint]) -> UInt64 {
        if !younger.isEmpty, younger.count + writes.count > keyCountMax {
            floor = youngerFloor
            older = younger
            // Not removeAll(keepingCapacity:), which would copy what `older` now shares.
            younger = Dictionary(minimumCapacity: Swift.min(writes.count, keyCountMax))
            youngerFloor = version
        }
        version += 1
        for write in writes { younger[write] = version }
        return version
    }
}
