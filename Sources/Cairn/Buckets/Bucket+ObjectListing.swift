// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Bucket {
    /// Lists objects in the byte order of their keys, as S3's `ListObjectsV2` does.
    ///
    /// Objects that come or go while somebody turns pages are met or missed; all others are met
    /// once.
    ///
    /// - Parameters:
    ///   - prefix: only keys that begin with it; at most 1024 bytes, as every text here.
    ///   - delimiter: keys that have it behind the prefix are left out; what they begin with, up to
    ///     and with the first delimiter, is a common prefix. Empty means none.
    ///   - after: only keys and common prefixes behind this one, which need not exist.
    ///   - cursor: ``ObjectPage/next`` of the page before, with the same prefix and delimiter.
    ///   - limit: 1 to 1000 objects and common prefixes together.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit, or a text that is too
    ///   long), `corrupted`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    /// - Complexity: O(log *n*) for each common prefix, whatever lies behind it, and O(page).
    public func objects(
        prefix: String = "", delimiter: String = "", after: String? = nil,
        from cursor: ObjectCursor? = nil, limit: Int = 1000
    ) async throws(StoreError) -> ObjectPage {
        try Self.checkPage(limit)
        for text in [prefix, delimiter, after ?? ""] { try Self.checkListText(text) }
        let keys = try await keys()
        let scan = ObjectScan(
            bucket: bucketID.octets.bytes, prefix: Array(prefix.utf8),
            delimiter: Array(delimiter.utf8), limit: limit)
        let found = try await engine.read("listing objects") { (index) throws(IndexError) in
            try scan.run(on: index, after: after, from: cursor)
        }
        let objects = try await engine.describeObjects(found.objects, in: bucketID, keys)
        return ObjectPage(
            objects: objects, commonPrefixes: found.commonPrefixes, next: found.next)
    }
}

/// One page of a bucket's objects, found by seeking over what lies behind common prefixes.
private struct ObjectScan: Sendable {
    struct Result: Sendable {
        var objects: [(key: String, bytes: [UInt8])] = []
        var commonPrefixes: [String] = []
        var last: ObjectCursor?
        var isTruncated = false

        var count: Int { objects.count + commonPrefixes.count }
        var next: ObjectCursor? { isTruncated ? last : nil }
    }

    /// Rows read first where common prefixes are to be expected: few, for all but one of those
    /// behind a common prefix are read in vain. Doubled while keys follow that have none.
    private static let firstRowCount = 8

    let bucket: [UInt8]
    let prefix: [UInt8]
    let delimiter: [UInt8]
    let limit: Int

    func run(
        on index: any IndexReader, after: String?, from cursor: ObjectCursor?
    ) throws(IndexError) -> Result {
        var result = Result()
        guard var from = start(after, cursor), let end = firstKey(behindPrefix: bucket + prefix)
        else { return result }
        var rowCount = delimiter.isEmpty ? limit + 1 : Self.firstRowCount
        while from.lexicographicallyPrecedes(end) {
            let rows = try index.scan(Tables.objects, from: from, before: end, limit: rowCount)
            for row in rows where !row.key.lexicographicallyPrecedes(from) {
                guard result.count < limit else {
                    result.isTruncated = true
                    return result
                }
                from = add(row, to: &result)
            }
            guard rows.count == rowCount, let last = rows.last else { return result }
            let hasSkipped = last.key.lexicographicallyPrecedes(from) && from != last.key + [0]
            rowCount = hasSkipped ? Self.firstRowCount : min(2 * rowCount, limit + 1)
        }
        return result
    }

    // The first row key that may follow; nil when none can.
    private func start(_ after: String?, _ cursor: ObjectCursor?) -> [UInt8]? {
        var from = bucket + prefix
        // A common prefix follows only if it is itself behind `after` (S3, ListObjectsV2).
        let behind = after.map { key in
            commonPrefix(of: Array(key.utf8)[...]).map(ObjectCursor.init(behindPrefix:))
                ?? ObjectCursor(behindKey: key)
        }
        for cursor in [behind, cursor] {
            guard let cursor else { continue }
            guard let first = cursor.firstKey(in: bucket) else { return nil }
            if from.lexicographicallyPrecedes(first) { from = first }
        }
        return from
    }

    /// - Returns: the first key behind what was added.
    private func add(_ row: IndexEntry, to result: inout Result) -> [UInt8] {
        let key = row.key[bucket.count...]
        if let common = commonPrefix(of: key) {
            let cursor = ObjectCursor(behindPrefix: common)
            // Without a successor only if all were ones, and no UTF-8 has such a byte.
            if let next = cursor.firstKey(in: bucket) {
                result.commonPrefixes.append(common)
                result.last = cursor
                return next
            }
        }
        let text = String(decoding: key, as: UTF8.self)
        result.objects.append((text, row.value))
        result.last = ObjectCursor(behindKey: text)
        return row.key + [0]
    }

    // Nil as well for a key without the prefix asked for.
    private func commonPrefix(of key: ArraySlice<UInt8>) -> String? {
        guard let first = delimiter.first, key.starts(with: prefix) else { return nil }
        var rest = key.dropFirst(prefix.count)
        while let start = rest.firstIndex(of: first) {
            guard !rest[start...].starts(with: delimiter) else {
                return String(decoding: key[..<(start + delimiter.count)], as: UTF8.self)
            }
            rest = rest[(start + 1)...]
        }
        return nil
    }
}
