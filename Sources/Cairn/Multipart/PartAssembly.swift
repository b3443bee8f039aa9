// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Makes one blob of the parts of a multipart upload, in their order.
///
/// Trees of parts become subtrees of the blob's: only the nodes above them are new, so no byte is
/// written twice but those of parts too small for a segment. Bytes are read only for digests that
/// are not known yet. Memory: the nodes of one path, and the small ones of a page of parts.
struct PartAssembly: Sendable {
    private let engine: Engine
    private let keys: BucketKeys
    private let placer: ChunkPlacer
    private(set) var digests: StreamDigests
    private(set) var tree = UploadTree()
    private(set) var byteCount: UInt64 = 0
    /// Roots of parts that are not in the tree, but what is below them: the reference that the part
    /// has is to be taken back.
    private(set) var openedRoots: [ChunkID] = []
    private var layout: BlobLayout?
    // The last tree, if it has more than one level: what follows decides how it is added.
    private var last: (root: IdentifiedEntry, layout: BlobLayout)?
    // Of consecutive small parts, not in the tree yet.
    private var pending: [UInt8] = []

    /// Opening a root takes a reference to each of up to a thousand nodes, and all of them are in
    /// one transaction.
    private static let openedRootCountMax = 64

    /// - Parameters:
    ///   - keys: with the domain of the parts.
    ///   - digests: of no bytes.
    init(_ engine: Engine, _ keys: BucketKeys, _ digests: StreamDigests) {
        self.engine = engine
        self.keys = keys
        placer = ChunkPlacer(keys.domain, engine)
        self.digests = digests
    }

    /// Adds parts behind all others.
    ///
    /// - Parameter known: up to which part the digests in the parts are those of the blob.
    mutating func add(_ parts: [OpenPart], digestsKnownTo known: PartNumber)
        async throws(StoreError)
    {
        for part in parts {
            let (count, overflow) = byteCount.addingReportingOverflow(part.row.byteCount)
            guard !overflow else {
                throw StoreError(.limitExceeded, "the parts together have 2^64 bytes or more")
            }
            byteCount = count
            guard part.number > known else {
                // Those before it are overtaken.
                if part.number == known {
                    guard let behind = part.contents.digests else {
                        throw StoreError(.corrupted, "a part lacks the digests that it counts")
                    }
                    digests = behind
                }
                continue
            }
            digests = try await engine.digests(behind: part, digests, keys)
        }
        try await grow { (assembly, context) throws(StoreError) in
            for part in parts { try assembly.place(part, &context) }
        }
    }

    /// The blob.
    mutating func finish() async throws(StoreError) -> ReceivedBytes {
        guard byteCount > UInt64(Engine.smallBlobByteCountMax) else {
            // So few bytes are all in small parts: larger ones have a tree.
            return ReceivedBytes(body: .small(pending), digests: digests)
        }
        let layout = layout ?? .other
        let root = try await grow { (assembly, context) throws(StoreError) in
            try assembly.flush(leaving: 0, &context)
            try assembly.settle(before: .max, &context)
            return try assembly.tree.finish(layout: layout, assembly.placer, &context)
        }
        guard let root, root.entry.byteCount == byteCount else {
            throw StoreError(.corrupted, "the tree of an upload is not as long as its parts")
        }
        return ReceivedBytes(
            body: .tree(
                FinishedTree(digests: digests, byteCount: byteCount, layout: layout, root: root)),
            digests: digests)
    }

    // MARK: -

    // The holds of a step that fails are in the tree's ledger all the same.
    private mutating func grow<R: Sendable>(
        _ body: @escaping @Sendable (inout Self, inout WorkerContext) throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        let (grown, result) = await engine.pool.run {
            [self] (context) -> (Self, Result<R, StoreError>) in
            var copy = self
            do throws(StoreError) {
                let value = try body(&copy, &context)
                return (copy, .success(value))
            } catch {
                return (copy, .failure(error))
            }
        }
        self = grown
        return try result.get()
    }

    private mutating func place(
        _ part: OpenPart, _ context: inout WorkerContext
    ) throws(StoreError) {
        switch part.contents.body {
        case .bytes(let bytes):
            pending += bytes
            try flush(leaving: engine.chunker.maxByteCount, &context)
        case .tree(let partLayout, _):
            guard let root = part.root else {
                throw StoreError(.corrupted, "a part lacks the root of its tree")
            }
            try flush(leaving: 0, &context)
            note(partLayout)
            try settle(before: root.entry.level, &context)
            guard root.entry.level > 1 else {
                return try tree.add(tree: root, layout: partLayout, placer, &context)
            }
            last = (root, partLayout)
        }
    }

    // Adds the last tree, before something of a level. What is lower would be lifted to its height,
    // and a file that is appended to again and again would grow a level each time: hence it goes on
    // where the tree is not full.
    private mutating func settle(
        before level: UInt8, _ context: inout WorkerContext
    ) throws(StoreError) {
        guard let (root, partLayout) = last else { return }
        last = nil
        guard root.entry.level > level, openedRoots.count < Self.openedRootCountMax else {
            return try tree.add(tree: root, layout: partLayout, placer, &context)
        }
        openedRoots.append(root.id)
        try open(root.entry, partLayout, &context)
    }

    // Adds what is below a node, and what is below the last node there.
    private mutating func open(
        _ entry: TreeEntry, _ partLayout: BlobLayout, _ context: inout WorkerContext
    ) throws(StoreError) {
        let domain = keys.domain.keys
        let node = try ChunkReader(engine: engine, domain: domain).node(entry, &context)
        for (index, child) in node.entries.enumerated() {
            if child.level > 0, index == node.entries.count - 1 {
                try open(child, partLayout, &context)
            } else {
                let id = domain.chunkID(child.hash, byteCount: child.storedByteCount)
                try tree.add(
                    existing: IdentifiedEntry(entry: child, id: id), layout: partLayout, placer,
                    &context)
            }
        }
    }

    private mutating func note(_ partLayout: BlobLayout) {
        layout = (layout ?? partLayout) == partLayout ? partLayout : .other
    }

    // Small parts become chunks of the largest size, but for the last before a tree.
    private mutating func flush(
        leaving rest: Int, _ context: inout WorkerContext
    ) throws(StoreError) {
        while pending.count > rest, byteCount > UInt64(Engine.smallBlobByteCountMax) {
            let count = min(pending.count, engine.chunker.maxByteCount)
            let bytes = Array(pending.prefix(count))
            pending.removeFirst(count)
            let hash = keys.domain.keys.chunkHash(of: bytes.span)
            let chunk = CutChunk(hash: hash, range: 0..<count)
            try settle(before: 0, &context)
            let placed = try placer.place([chunk], of: bytes, compress: true, &context)
            note(.other)
            try tree.add([chunk], placed, layout: .other, placer, &context)
        }
    }
}
