// Part of Cairn, a content-addressed blob store.

internal import Cairn
internal import CairnCore

extension InMemoryBucket {
    /// What a writer gives beside the body.
    struct Draft {
        var key: String
        var attributes: ObjectAttributes
        var references: [Digest]
    }

    struct Object {
        var description: ObjectDescription
        var references: [Digest]
    }

    /// A value: whoever has a copy has a snapshot.
    struct State {
        private struct Blob {
            var description: BlobDescription
            var bytes: [UInt8]
            var isPinned: Bool
            /// How often objects name it, as their body or beside.
            var referenceCount = 0
        }

        // By bytes: two strings may be equal and differ in theirs.
        private var objects: [[UInt8]: Object] = [:]
        private var blobs: [Digest: Blob] = [:]

        static var conditionFailed: StoreError {
            StoreError(.preconditionFailed, "the object is not as the condition wants it")
        }

        func object(_ key: String) throws(StoreError) -> Object {
            guard let object = objects[Array(key.utf8)] else {
                throw StoreError(.objectUnknown, "the bucket has no object of this key")
            }
            return object
        }

        func blob(_ digest: Digest) throws(StoreError) -> BlobDescription {
            guard let blob = blobs[digest] else {
                throw StoreError(.blobUnknown, "the bucket has no blob \(digest)")
            }
            return blob.description
        }

        func bytes(_ digest: Digest) -> [UInt8] { blobs[digest]?.bytes ?? [] }

        // MARK: - Changes

        @discardableResult
        mutating func add(
            _ bytes: [UInt8], _ digest: Digest, isPinned: Bool, at now: Timestamp
        ) -> BlobDescription {
            let description = BlobDescription(
                digest: digest, byteCount: UInt64(bytes.count), createdAt: now)
            var blob =
                blobs[digest] ?? Blob(description: description, bytes: bytes, isPinned: isPinned)
            blob.isPinned = blob.isPinned || isPinned
            blobs[digest] = blob
            return blob.description
        }

        mutating func stat(_ digest: Digest, isPinned: Bool) throws(StoreError) -> BlobDescription {
            let description = try blob(digest)
            if isPinned { blobs[digest]?.isPinned = true }
            return description
        }

        mutating func deleteBlob(_ digest: Digest) throws(StoreError) {
            guard blobs[digest]?.referenceCount ?? 0 == 0 else {
                throw StoreError(.blobReferenced, "objects refer to the blob")
            }
            blobs[digest] = nil
        }

        mutating func put(
            _ draft: Draft, _ bytes: [UInt8], at now: Timestamp, if condition: WriteCondition
        ) throws(StoreError) -> ObjectDescription {
            let digest = Digest.sha256(of: bytes.span)
            add(bytes, digest, isPinned: false, at: now)
            return try put(draft, blob: digest, at: now, if: condition)
        }

        mutating func put(
            _ draft: Draft, blob digest: Digest, at now: Timestamp, if condition: WriteCondition
        ) throws(StoreError) -> ObjectDescription {
            try ObjectDescription.checkKey(draft.key)
            try draft.attributes.check()
            var seen: Set<Digest> = []
            let references = draft.references.filter { seen.insert($0).inserted }
            guard references.count <= ObjectDescription.referenceCountMax else {
                throw StoreError(.limitExceeded, "an object refers to too many blobs")
            }
            let key = Array(draft.key.utf8)
            guard condition.holds(for: objects[key]?.description.etag) else {
                throw Self.conditionFailed
            }
            let byteCount = try blob(digest).byteCount
            for reference in references { _ = try blob(reference) }
            let object = ObjectDescription(
                key: draft.key, etag: Self.etag(digest, draft.attributes, references),
                digest: digest, byteCount: byteCount, modifiedAt: now,
                referenceCount: references.count, attributes: draft.attributes)
            replace(key, by: Object(description: object, references: references))
            return object
        }

        mutating func update(
            _ key: String, tags: [String: String]?, references: [Digest]?
        ) throws(StoreError) -> ObjectDescription {
            let old = try object(key)
            var attributes = old.description.attributes
            attributes.tags = tags ?? attributes.tags
            return try put(
                Draft(
                    key: key, attributes: attributes, references: references ?? old.references),
                blob: old.description.digest, at: old.description.modifiedAt, if: .none)
        }

        mutating func delete(_ key: String) { replace(Array(key.utf8), by: nil) }

        mutating func perform(
            _ operation: ObjectBatch.Operation, at now: Timestamp
        ) throws(StoreError) -> ObjectDescription? {
            let key = operation.key
            let etag = objects[Array(key.utf8)]?.description.etag
            switch operation.action {
            case .deleteBlob(let digest):
                if blobs[digest] != nil { try deleteBlob(digest) }
                return nil
            case .leaseBlob(let digest, _):
                _ = try stat(digest, isPinned: true)
                return nil
            case .put(let body, let attributes, let references):
                let draft = Draft(key: key, attributes: attributes, references: references)
                switch body {
                case .bytes(let bytes):
                    return try put(draft, bytes, at: now, if: operation.condition)
                case .blob(let digest):
                    return try put(draft, blob: digest, at: now, if: operation.condition)
                case .session:
                    throw StoreError(
                        .invalidArgument, "a bucket in memory has no upload sessions")
                }
            case .update(let update):
                _ = try object(key)
                guard operation.condition.holds(for: etag) else { throw Self.conditionFailed }
                return try self.update(key, tags: update.tags, references: update.references)
            case .check, .delete:
                guard operation.condition.holds(for: etag) else { throw Self.conditionFailed }
                if case .delete = operation.action { delete(key) }
                return nil
            }
        }

        // MARK: -

        private mutating func replace(_ key: [UInt8], by new: Object?) {
            let old = objects[key]
            objects[key] = new
            for digest in new?.kept ?? [] { blobs[digest]?.referenceCount += 1 }
            for digest in old?.kept ?? [] {
                blobs[digest]?.referenceCount -= 1
                if let blob = blobs[digest], blob.referenceCount == 0, !blob.isPinned {
                    blobs[digest] = nil
                }
            }
        }

        // Of all that describes the object but its tags and its lock.
        private static func etag(
            _ digest: Digest, _ attributes: ObjectAttributes, _ references: [Digest]
        ) -> ETag {
            let headers = [
                attributes.contentType, attributes.cacheControl, attributes.contentDisposition,
                attributes.contentEncoding, attributes.contentLanguage, attributes.expires,
            ].map { $0 ?? "" }
            let metadata = attributes.metadata.sorted { $0.key < $1.key }.flatMap { [$0, $1] }
            let text = ([digest.description] + references.map(\.description) + headers + metadata)
                .joined(separator: "\0")
            return ETag(String(Digest.sha256(of: Array(text.utf8).span).description.suffix(32)))
        }

        // MARK: - Lists

        func list(
            _ prefix: String, _ delimiter: String, _ after: String?, _ cursor: ObjectCursor?,
            _ limit: Int
        ) -> ObjectPage {
            var found: [ObjectDescription] = []
            var common: [String] = []
            var last: ObjectCursor?
            let keys = objects.keys.sorted { $0.lexicographicallyPrecedes($1) }
            for bytes in keys where bytes.starts(with: prefix.utf8) {
                guard let object = objects[bytes]?.description else { continue }
                let group = Self.commonPrefix(bytes, prefix, delimiter)
                let name = Array((group ?? object.key).utf8)
                if let after, !Array(after.utf8).lexicographicallyPrecedes(name) { continue }
                if let cursor, !cursor.precedes(object.key) { continue }
                if let group, group == common.last { continue }
                guard found.count + common.count < limit else {
                    return ObjectPage(objects: found, commonPrefixes: common, next: last)
                }
                if let group {
                    common.append(group)
                    last = ObjectCursor(behindPrefix: group)
                } else {
                    found.append(object)
                    last = ObjectCursor(behindKey: object.key)
                }
            }
            return ObjectPage(objects: found, commonPrefixes: common)
        }

        private static func commonPrefix(
            _ key: [UInt8], _ prefix: String, _ delimiter: String
        ) -> String? {
            let delimiter = Array(delimiter.utf8)
            guard !delimiter.isEmpty else { return nil }
            var index = prefix.utf8.count
            while index + delimiter.count <= key.count {
                if key[index...].starts(with: delimiter) {
                    return String(decoding: key[..<(index + delimiter.count)], as: UTF8.self)
                }
                index += 1
            }
            return nil
        }
    }
}

extension InMemoryBucket.Object {
    /// The blobs that it keeps alive, each once.
    fileprivate var kept: Set<Digest> { Set(references + [description.digest]) }
}
