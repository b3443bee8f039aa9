// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// A child together with its id, which only the builder needs at hand.
struct IdentifiedEntry: Sendable {
    var entry: TreeEntry
    var id: ChunkID
}

/// Grows a blob's tree from left to right.
///
/// Pure: it asks for a node to be stored by returning it, and takes the stored node back as an
/// entry of the level above. It holds at most one unfinished node per level: the *spine*.
struct RecipeBuilder: Sendable {
    /// `levels[n]` holds entries of level n: children of the unfinished node of level n + 1.
    private(set) var levels: [[IdentifiedEntry]] = []

    /// The bytes of the blob in the tree so far.
    var byteCount: UInt64 {
        levels.reduce(0) { sum, level in sum + level.reduce(0) { $0 + $1.entry.byteCount } }
    }

    /// The roots of the subtrees so far, in the order of the blob's bytes.
    var forest: [IdentifiedEntry] { levels.reversed().flatMap { $0 } }

    init() {}

    /// Restores a builder from its spine, lowest level first.
    init(levels: [[IdentifiedEntry]]) { self.levels = levels }

    /// Adds an entry behind all others.
    ///
    /// - Returns: the children of a node that is now full; store it and add its entry.
    mutating func add(_ entry: IdentifiedEntry) -> [IdentifiedEntry]? {
        let level = Int(entry.entry.level)
        while levels.count <= level { levels.append([]) }
        levels[level].append(entry)
        guard levels[level].count == RecipeNode.entryCountMax else { return nil }
        defer { levels[level] = [] }
        return levels[level]
    }

    /// Ends the unfinished nodes below a level, so that an entry of that level may follow.
    ///
    /// - Returns: the children of the lowest of them; store it, add its entry and ask again. Nil
    ///   when there is none.
    mutating func close(below level: UInt8) -> [IdentifiedEntry]? {
        guard let lowest = levels.firstIndex(where: { !$0.isEmpty }), lowest < Int(level) else {
            return nil
        }
        defer { levels[lowest] = [] }
        return levels[lowest]
    }

    /// The next step towards a single root.
    enum Finish {
        /// Store a node over these children and add its entry.
        case node([IdentifiedEntry])
        /// The tree is complete.
        case root(IdentifiedEntry)
        /// Nothing was ever added.
        case empty
    }

    mutating func finish() -> Finish {
        guard let lowest = levels.firstIndex(where: { !$0.isEmpty }) else { return .empty }
        let isTop = levels[(lowest + 1)...].allSatisfy(\.isEmpty)
        if isTop, levels[lowest].count == 1 { return .root(levels[lowest][0]) }
        defer { levels[lowest] = [] }
        return .node(levels[lowest])
    }
}
