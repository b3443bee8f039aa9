// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// One attempt to make an object of the parts of an upload.
struct MultipartCompletion {
    let upload: MultipartName
    let bucket: Bucket
    /// The upload as it is expected to be at the end.
    let row: MultipartRow
    let expectedByteCount: UInt64?
    let expectedDigest: Digest?
    let expectedChecksums: [Checksum]
    let condition: WriteCondition

    private var engine: Engine { bucket.engine }
    private var bucketID: BucketID { bucket.bucketID }

    /// What is known of a part without opening it.
    private struct Summary: Sendable {
        var number: PartNumber
        var revision: Octets16
        var rootID: ChunkID?
        var byteCount: UInt64
    }

    /// What a list of parts is remembered by.
    static func encode(_ parts: [MultipartUpload.CompletedPart]) throws(StoreError) -> [UInt8] {
        var writer = ByteWriter(capacity: 20 * parts.count)
        for part in parts {
            writer.append(UInt32(clamping: part.number))
            writer.appendLengthPrefixed(part.etag.text)
        }
        return writer.bytes
    }

    /// - Returns: nil when the upload is not as it was: look again.
    func run(
        _ parts: [MultipartUpload.CompletedPart]?, _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription? {
        do throws(StoreError) {
            return try await attempt(parts, keys)
        } catch {
            // Of parts that were replaced or made an object meanwhile anything may be wrong.
            let now = try await engine.multipartRow(upload, in: bucketID)
            guard now?.changeCount == row.changeCount else { return nil }
            throw error
        }
    }

    // MARK: -

    // What is read here may change meanwhile; the transaction at the end tells whether it has.
    private func attempt(
        _ parts: [MultipartUpload.CompletedPart]?, _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription? {
        try await bucket.prepareForCondition(condition, on: upload.key)
        let found = try await summaries()
        let chosen = try choose(parts, of: found)
        let byteCount = chosen.reduce(0) { $0 &+ $1.byteCount }
        guard expectedByteCount ?? byteCount == byteCount else {
            throw StoreError(
                .invalidArgument,
                "the parts together have \(byteCount) bytes, not \(expectedByteCount ?? 0)")
        }
        let (contents, partKeys) = try await engine.openMultipart(upload, in: bucketID, keys)
        var assembly = PartAssembly(engine, partKeys, contents.digests)
        let result: Result<ObjectDescription?, StoreError>
        do throws(StoreError) {
            let received = try await assemble(&assembly, chosen, keys)
            result = .success(
                try await link(received, assembly, contents, chosen, found, partKeys))
        } catch {
            result = .failure(error)
        }
        assembly.tree.ledger.release(engine.inFlight)
        return try result.get()
    }

    private var pages: RowPages {
        engine.pages(
            of: Tables.parts, prefix: RowKey.parts(bucketID, upload.id),
            for: "the completion of a multipart upload")
    }

    private func summaries() async throws(StoreError) -> [Summary] {
        var found: [Summary] = []
        for try await rows in pages {
            for entry in rows {
                let part = try Engine.decodePart(entry.value)
                found.append(
                    Summary(
                        number: try RowKey.partNumber(of: entry.key), revision: part.revision,
                        rootID: part.rootID, byteCount: part.byteCount))
            }
        }
        return found
    }

    private func choose(
        _ parts: [MultipartUpload.CompletedPart]?, of found: [Summary]
    ) throws(StoreError) -> [Summary] {
        guard let parts else {
            guard !found.isEmpty else {
                throw StoreError(.invalidArgument, "the multipart upload has no part yet")
            }
            return found
        }
        guard (1...MultipartUpload.partCountMax).contains(parts.count) else {
            throw StoreError(
                .invalidArgument,
                "an object is made of 1 to \(MultipartUpload.partCountMax) parts")
        }
        let byNumber = Dictionary(
            found.map { (Int($0.number), $0) }, uniquingKeysWith: { one, _ in one })
        var chosen: [Summary] = []
        for part in parts {
            guard let summary = byNumber[part.number], ETag(summary.revision) == part.etag else {
                throw StoreError(
                    .invalidArgument, "part \(part.number) is not there, or was sent anew")
            }
            guard chosen.last.map({ $0.number < summary.number }) ?? true else {
                throw StoreError(
                    .invalidArgument, "parts are named once, in the order of their numbers")
            }
            chosen.append(summary)
        }
        return chosen
    }

    private func assemble(
        _ assembly: inout PartAssembly, _ chosen: [Summary], _ keys: BucketKeys
    ) async throws(StoreError) -> ReceivedBytes {
        // Up to here nothing was left out: the digests in the parts are those of the object.
        let isLeading = zip(chosen, 1...).prefix { Int($0.number) == $1 }
        let known = min(row.frontier, PartNumber(isLeading.count))
        let numbers = Set(chosen.map(\.number))
        for try await rows in pages {
            var wanted: [IndexEntry] = []
            for entry in rows where numbers.contains(try RowKey.partNumber(of: entry.key)) {
                wanted.append(entry)
            }
            let parts = try await engine.openParts(wanted, of: upload.id, in: bucketID, keys)
            try await assembly.add(parts, digestsKnownTo: known)
        }
        let received = try await assembly.finish()
        guard expectedDigest == nil || expectedDigest == received.digests.digest else {
            throw StoreError(.digestMismatch, "the parts together have another digest")
        }
        try ChecksumRequest.check(expectedChecksums, received.digests.checksums)
        return received
    }

    // Nil: the upload is not as it was.
    private func link(
        _ received: ReceivedBytes, _ assembly: PartAssembly, _ contents: OpenMultipart,
        _ chosen: [Summary], _ found: [Summary], _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription? {
        var blob = try await engine.prepare(received, .object, bucketID, keys)
        blob.ledger = assembly.tree.ledger
        // A retention that was over before the parts were complete keeps nothing.
        let draft = try ObjectDraft(
            upload.key, contents.attributes.withoutRetention(endingBy: engine.clock.now()),
            references: contents.references)
        let list = chosen.map {
            MultipartUpload.CompletedPart(number: Int($0.number), etag: ETag($0.revision))
        }
        let tag = try keys.objectTag(Self.encode(list))
        let object = try await engine.prepareObject(
            draft, digest: blob.description.digest, byteCount: blob.description.byteCount,
            modifiedAt: engine.clock.now(), token: engine.newToken(in: bucketID),
            checksums: received.digests.checksums, in: bucketID, keys)
        var completed = row
        completed.state = .completed
        completed.changeCount &+= 1
        completed.expiresAt = engine.clock.now() + engine.configuration.uploadLifetime
        let sealed = try await engine.sealMultipart(
            CompletedMultipart(
                object: object.description, etag: object.row.etag ?? Octets16(), parts: tag
            ).encoded(), upload, in: bucketID, keys)
        let isUsed = Set(chosen.map(\.number))
        let unused =
            found.filter { !isUsed.contains($0.number) }.compactMap(\.rootID)
            + assembly.openedRoots
        let version = try await engine.transact(needsSegments: blob.needsSegments) {
            [blob, bucketID, upload, row, completed, condition] (transaction) throws(StoreError)
                -> ObjectVersionID? in
            try transaction.checkBucket(bucketID)
            guard let now = try transaction.multipart(upload, in: bucketID), now.state == .open,
                now.changeCount == row.changeCount,
                try transaction.isCurrent(token: object.row.token, in: bucketID)
            else { return nil }
            try transaction.link(blob, in: bucketID)
            let version = try transaction.putObject(object, in: bucketID, if: condition)
            var deltas: [ChunkID: Int64] = [:]
            for root in unused { deltas[root, default: 0] -= 1 }
            try transaction.changeReferences(deltas)
            for part in found {
                try transaction.delete(
                    Tables.parts, RowKey.part(bucketID, upload.id, part.number))
                try transaction.add(
                    .inFlightBytes, of: bucketID, -Int64(clamping: part.byteCount))
            }
            try transaction.add(.uploads, of: bucketID, -1)
            var completed = completed
            completed.version = version
            try transaction.putMultipart(completed, inPlaceOf: now, upload, in: bucketID)
            try transaction.put(
                Tables.multipartContents, RowKey.parts(bucketID, upload.id), sealed)
            return version
        }
        return version.map(object.description.named)
    }
}
