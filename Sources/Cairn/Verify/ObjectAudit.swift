// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// Compares the objects of one bucket with the blobs that they keep alive.
///
/// Every object opens; every blob that it names is in the bucket and knows of it; every blob knows
/// of as many objects as it counts, and of no others. Memory for a page of rows.
struct ObjectAudit {
    let index: VerifiedIndex
    let bucket: BucketID
    let keys: BucketKeys
    private(set) var problems: [String] = []
    private var nameCount: UInt64 = 0
    private var lockCount: UInt64 = 0
    private var referenceCount: UInt64 = 0

    /// More would say nothing new, and fill the memory.
    private static let problemCountMax = 1000

    init(index: VerifiedIndex, bucket: BucketID, keys: BucketKeys) {
        self.index = index
        self.bucket = bucket
        self.keys = keys
    }

    /// - Parameter counted: how many objects all links of the bucket together say they have.
    /// - Throws: ``StoreError``, but for damage, which is a problem.
    mutating func run(counted: UInt64) async throws(StoreError) {
        for try await rows in pages(of: Tables.objects) {
            for row in rows { try await checkObject(row) }
        }
        for try await rows in pages(of: Tables.objectVersions) {
            for row in rows { try await checkObject(row) }
        }
        var group = ReferenceGroup()
        for try await rows in pages(of: Tables.references) {
            referenceCount += UInt64(rows.count)
            for row in rows {
                let name = Array(row.key.prefix(Octets16.byteCount + Octets32.byteCount))
                if name != group.link {
                    try await check(group)
                    group = ReferenceGroup(link: name)
                }
                group.count += 1
            }
        }
        try await check(group)
        var lockRowCount: UInt64 = 0
        for try await rows in pages(of: Tables.objectLocks) { lockRowCount += UInt64(rows.count) }
        if lockRowCount != lockCount {
            add("\(lockRowCount) locks of objects are listed, there are \(lockCount)")
        }
        if referenceCount != nameCount {
            add("blobs know of \(referenceCount) references, objects have \(nameCount)")
        }
        if referenceCount != counted {
            add("blobs count \(counted) references and know of \(referenceCount)")
        }
    }

    // MARK: -

    private struct ReferenceGroup {
        var link: [UInt8] = []
        var count: UInt32 = 0
    }

    private func pages(of table: IndexTable) -> RowPages {
        index.pages(of: table, prefix: bucket.octets.bytes)
    }

    private mutating func checkObject(_ row: IndexEntry) async throws(StoreError) {
        let key = RowKey.objectKey(ofVersionName: row.key.dropFirst(Octets16.byteCount))
        do throws(StoreError) {
            let object = try Engine.decodeObject(row.value)
            let isLatest = row.key == RowKey.object(bucket, key)
            let older = RowKey.objectVersion(
                bucket, key, sequence: object.sequence, token: object.token)
            guard isLatest ? !object.isDeleteMarker : row.key == older else {
                return add("an object has a key that leads elsewhere")
            }
            if !isLatest, object.token == 0 {
                let note = RowKey.object(bucket, key)
                let sequence = try await index.get(Tables.nullVersions, note)
                if sequence != RowKey.bigEndian(object.sequence) {
                    add("the null version of an object is not found")
                }
            }
            guard !object.isDeleteMarker else { return }
            if let end = object.lock.end {
                lockCount += 1
                let lock = RowKey.objectLock(bucket, end, key, token: object.token)
                if try await index.get(Tables.objectLocks, lock) == nil {
                    add("the lock of an object is not listed")
                }
            }
            let id = object.versionID
            guard
                let found = try await index.engine.findObject(
                    key, version: id, in: bucket, keys, as: index.snapshot)
            else { return add("a version of an object is not found by its name") }
            let names = Set([found.description.digest] + found.references).map(keys.linkName)
            nameCount += UInt64(names.count)
            let bucket = bucket
            let (links, references) = try await index.read { (snapshot) throws(IndexError) in
                (
                    try snapshot.getMany(Tables.links, names.map { RowKey.link(bucket, $0) }),
                    try snapshot.getMany(
                        Tables.references,
                        names.map { RowKey.reference(bucket, $0, key, token: id.token) })
                )
            }
            if links.contains(nil) { add("an object refers to a blob that the bucket lacks") }
            if references.contains(nil) { add("a blob does not know of an object that has it") }
        } catch {
            guard error.code == .corrupted || error.code == .formatTooNew else { throw error }
            add("an object is damaged: \(error.message)")
        }
    }

    private mutating func check(_ group: ReferenceGroup) async throws(StoreError) {
        guard group.count > 0 else { return }
        let bytes = try await index.get(Tables.links, group.link)
        // A link that is damaged is reported where links are checked.
        guard let bytes, let link = try? LinkRow(decoding: bytes) else { return }
        if link.referenceCount != group.count {
            add("a blob counts \(link.referenceCount) references and knows of \(group.count)")
        }
    }

    private mutating func add(_ problem: String) {
        if problems.count < Self.problemCountMax { problems.append(problem) }
    }
}
