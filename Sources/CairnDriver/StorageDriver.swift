// Part of Cairn, a content-addressed blob store.
public import Cairn
public import CairnCore

/// What is known of a path.
public struct FileInfo: Hashable, Sendable {
    /// The path.
    public let path: String
    /// The length of the file; 0 for a directory.
    public let byteCount: UInt64
    /// When the file was written; nil for a directory.
    public let modifiedAt: Timestamp?
    /// Whether it is there only because something is below it.
    public let isDirectory: Bool
}

/// A file tree on a bucket, in the shape of the storage driver of distribution/distribution
/// (package `registry/storage/driver`), so that a path-based registry can sit on Cairn.
///
/// A path is the key of an object behind a slash. What the contract of that driver leaves open is
/// settled here:
/// - A file and a directory may have the same path, as in S3: ``stat(_:)`` then tells of the file,
///   ``list(_:)`` of what is below. An empty directory does not exist, but for the root.
/// - What a writer has written is invisible until it commits. Closed without that, it can be gone
///   on with by ``writer(_:append:)``, also by another process after a crash, for
///   ``StoreConfiguration/multipartLifetime``.
/// - ``writer(_:append:)`` with `append` on a committed file goes on behind its bytes without
///   writing them anew; on no file it begins with nothing.
/// - ``move(_:to:)`` is atomic, costs the same for any size, and takes the place of what was there.
///   Directories are not moved.
/// - ``delete(_:)`` takes the file and all that is below the path, each object on its own: a crash
///   leaves some of them.
///
/// Everything is durable when a call returns. Thread-safe.
public struct StorageDriver: Sendable {
    /// The longest path in bytes: a key of 1024 bytes behind a slash.
    public static let pathByteCountMax = 1025
    private static let pageCount = 1000

    private let bucket: Bucket

    /// A driver on all objects of a bucket.
    public init(_ bucket: Bucket) { self.bucket = bucket }

    /// The name under which distribution would know the driver.
    public var name: String { "cairn" }

    // MARK: - Files

    /// The whole contents of a file.
    ///
    /// - Parameter limit: the most bytes that the caller is ready to take.
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `tooLarge`, `store`.
    public func contents(
        _ path: String, upTo limit: Int = 32 << 20
    ) async throws(DriverError) -> [UInt8] {
        let (_, blob) = try await open(path)
        return try await Self.mapping(path) { () throws(StoreError) in
            try await blob.readAll(upTo: limit)
        }
    }

    /// Writes a file as a whole, in place of what was there and what writers have left.
    ///
    /// - Throws: ``DriverError`` with code `pathInvalid`, `store`.
    public func putContents(_ path: String, _ bytes: Span<UInt8>) async throws(DriverError) {
        let key = try Self.key(path)
        do throws(StoreError) {
            try await bucket.putObject(key, bytes)
            try await abortAll(of: key)
        } catch {
            throw DriverError(error, at: path)
        }
    }

    /// The bytes of a file from an offset to its end, buffer by buffer.
    ///
    /// - Parameter offset: 0 to the length of the file, at which there are none.
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `offsetInvalid`, `store`.
    public func reader(_ path: String, at offset: Int64 = 0) async throws(DriverError) -> BlobBytes
    {
        let (object, blob) = try await open(path)
        guard let start = UInt64(exactly: offset), start <= object.byteCount else {
            throw DriverError(
                .offsetInvalid, "\(path) has \(object.byteCount) bytes, no offset \(offset)")
        }
        return blob.bytes(in: start..<object.byteCount)
    }

    /// Opens a file for writing.
    ///
    /// - Parameter append: whether to go on behind what a writer has left that was closed without a
    ///   commit, or behind the file. Otherwise both are given up, the file with the commit.
    /// - Throws: ``DriverError`` with code `pathInvalid`, `store`.
    public func writer(_ path: String, append: Bool) async throws(DriverError) -> FileWriter {
        let key = try Self.key(path)
        return try await Self.mapping(path) { () throws(StoreError) in
            let pending = try await pending(key).sorted { $0.startedAt > $1.startedAt }
            // The newest, should there be several.
            if append, let last = pending.first {
                let upload = try bucket.multipartUpload(last.id, of: key)
                let parts = try await allParts(of: upload)
                // Without its first part it was left while it was begun: what it would go on
                // behind is not known.
                if parts.first?.number == 1 { return FileWriter(path, upload, parts) }
            }
            for upload in pending { try await abort(upload) }
            return try await begin(path, key, behind: append ? existing(key) : nil)
        }
    }

    // The first part is what the file begins with, or nothing.
    private func begin(
        _ path: String, _ key: String, behind object: ObjectDescription?
    ) async throws(StoreError) -> FileWriter {
        let upload = try await bucket.beginMultipartUpload(key)
        do throws(StoreError) {
            let first =
                if let object, object.byteCount > 0 {
                    try await upload.putPart(1, blob: object.digest)
                } else {
                    try await upload.putPart(1, Span())
                }
            return FileWriter(path, upload, [first])
        } catch {
            // What cannot be given up now has no first part, and nobody goes on with it.
            do throws(StoreError) { try await upload.abort() } catch {}
            throw error
        }
    }

    // MARK: - Paths

    /// Describes a file or a directory.
    ///
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `store`.
    public func stat(_ path: String) async throws(DriverError) -> FileInfo {
        guard path != "/" else { return Self.directory(path) }
        let key = try Self.key(path)
        let object = try await Self.mapping(path) { () throws(StoreError) in
            try await existing(key)
        }
        if let object {
            return FileInfo(
                path: path, byteCount: object.byteCount, modifiedAt: object.modifiedAt,
                isDirectory: false)
        }
        let below = try await page(path, prefix: key + "/", limit: 1)
        guard !below.objects.isEmpty else { throw DriverError(.pathNotFound, path) }
        return Self.directory(path)
    }

    /// The paths right below a directory, in byte order.
    ///
    /// - Throws: ``DriverError`` with code `pathNotFound` (also for a file that nothing is below),
    ///   `pathInvalid`, `store`.
    public func list(_ path: String) async throws(DriverError) -> [String] {
        let prefix = try Self.prefix(path)
        var found: Set<String> = []
        var cursor: ObjectCursor?
        repeat {
            let page = try await page(path, prefix: prefix, delimiter: "/", from: cursor)
            found.formUnion(page.objects.map { "/" + $0.key })
            // A directory is named without the slash behind it.
            found.formUnion(page.commonPrefixes.map { "/" + $0.dropLast() })
            cursor = page.next
        } while cursor != nil
        guard !found.isEmpty || path == "/" else { throw DriverError(.pathNotFound, path) }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Gives a file another path, in place of what was there. What writers have left at either path
    /// is given up.
    ///
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `store`.
    public func move(_ path: String, to target: String) async throws(DriverError) {
        let (key, targetKey) = (try Self.key(path), try Self.key(target))
        _ = try await Self.mapping(path) { () throws(StoreError) in
            try await bucket.renameObject(key, to: targetKey)
            for key in [key, targetKey] { try await abortAll(of: key) }
        }
    }

    /// Deletes a file and everything below the path.
    ///
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `store`.
    public func delete(_ path: String) async throws(DriverError) {
        var isFound = false
        if path != "/" {
            let key = try Self.key(path)
            do throws(StoreError) {
                try await bucket.deleteObject(key)
                isFound = true
            } catch {
                guard error.code == .objectUnknown else { throw DriverError(error, at: path) }
            }
        }
        let prefix = try Self.prefix(path)
        try await Self.mapping(path) { () throws(StoreError) in
            if path != "/", try await abortAll(of: String(prefix.dropLast())) { isFound = true }
            try await abortAll(below: prefix)
        }
        while true {
            let page = try await page(path, prefix: prefix)
            guard !page.objects.isEmpty else { break }
            isFound = true
            let failures = try await Self.mapping(path) { () throws(StoreError) in
                try await bucket.deleteObjects(page.objects.map { ($0.key, nil) })
            }
            if let (key, error) = failures.first { throw DriverError(error, at: "/" + key) }
        }
        guard isFound || path == "/" else { throw DriverError(.pathNotFound, path) }
    }

    /// What becomes of a directory in a walk.
    public enum WalkStep: Hashable, Sendable {
        /// What is below it comes next.
        case enter
        /// Nothing of what is below it is visited; of a file nothing else in its directory.
        case skip
        /// The walk is over.
        case stop
    }

    /// Visits everything below a path, each directory before what is below it, in byte order.
    ///
    /// - Throws: ``DriverError`` with code `pathNotFound`, `pathInvalid`, `store`, and what `visit`
    ///   throws.
    public func walk(
        _ path: String, visiting visit: (FileInfo) async throws -> WalkStep
    ) async throws {
        _ = try await walkBelow(path, list(path), visit)
    }

    // MARK: -

    // False when the walk is over.
    private func walkBelow(
        _ path: String, _ children: [String], _ visit: (FileInfo) async throws -> WalkStep
    ) async throws -> Bool {
        for child in children {
            let info: FileInfo
            do throws(DriverError) { info = try await stat(child) } catch {
                // Deleted since it was listed.
                guard error.code == .pathNotFound else { throw error }
                continue
            }
            switch try await visit(info) {
            case .stop: return false
            case .skip where !info.isDirectory: return true
            case .skip: continue
            case .enter:
                // A file may be a directory as well; what was one may be deleted by now.
                let below: [String]
                do throws(DriverError) { below = try await list(child) } catch {
                    guard error.code == .pathNotFound else { throw error }
                    continue
                }
                guard try await walkBelow(child, below, visit) else { return false }
            }
        }
        return true
    }

    private func open(_ path: String) async throws(DriverError) -> (ObjectDescription, Blob) {
        let key = try Self.key(path)
        return try await Self.mapping(path) { () throws(StoreError) in
            try await bucket.openObject(key)
        }
    }

    private func existing(_ key: String) async throws(StoreError) -> ObjectDescription? {
        do throws(StoreError) { return try await bucket.headObject(key) } catch {
            guard error.code == .objectUnknown else { throw error }
            return nil
        }
    }

    private func page(
        _ path: String, prefix: String, delimiter: String = "", from cursor: ObjectCursor? = nil,
        limit: Int = Self.pageCount
    ) async throws(DriverError) -> ObjectPage {
        // Nothing is below a key that has as many bytes as there can be.
        guard prefix.utf8.count < Self.pathByteCountMax else { return ObjectPage(objects: []) }
        return try await Self.mapping(path) { () throws(StoreError) in
            try await bucket.objects(
                prefix: prefix, delimiter: delimiter, from: cursor, limit: limit)
        }
    }

    // Uploads of exactly this key that somebody may go on with.
    private func pending(_ key: String) async throws(StoreError) -> [MultipartUploadDescription] {
        var found: [MultipartUploadDescription] = []
        var cursor: MultipartCursor?
        repeat {
            let page = try await bucket.multipartUploads(prefix: key, from: cursor)
            found += page.uploads.filter { $0.key.utf8.elementsEqual(key.utf8) }
            // Those of the key itself come first of all that begin with it.
            cursor = page.uploads.last?.key == key ? page.next : nil
        } while cursor != nil
        return found
    }

    // What writers have left would bring back what was there before. False: there was nothing.
    @discardableResult
    private func abortAll(of key: String) async throws(StoreError) -> Bool {
        let uploads = try await pending(key)
        for upload in uploads { try await abort(upload) }
        return !uploads.isEmpty
    }

    private func abortAll(below prefix: String) async throws(StoreError) {
        guard prefix.utf8.count < Self.pathByteCountMax else { return }
        while true {
            let page = try await bucket.multipartUploads(prefix: prefix)
            for upload in page.uploads { try await abort(upload) }
            if !page.isTruncated { return }
        }
    }

    private func abort(_ pending: MultipartUploadDescription) async throws(StoreError) {
        do throws(StoreError) {
            try await bucket.multipartUpload(pending.id, of: pending.key).abort()
        } catch {
            // Somebody else has ended it.
            guard error.code == .uploadUnknown else { throw error }
        }
    }

    private func allParts(of upload: MultipartUpload) async throws(StoreError) -> [PartDescription]
    {
        var parts: [PartDescription] = []
        while true {
            let page = try await upload.parts(after: parts.last?.number ?? 0)
            parts += page
            if page.count < Self.pageCount { return parts }
        }
    }

    private static func directory(_ path: String) -> FileInfo {
        FileInfo(path: path, byteCount: 0, modifiedAt: nil, isDirectory: true)
    }

    // The path expression of distribution: (/[A-Za-z0-9._-]+)+
    private static func key(_ path: String) throws(DriverError) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = parts.dropFirst().allSatisfy { part in
            !part.isEmpty && part != "." && part != ".." && part.utf8.allSatisfy(isAllowed)
        }
        guard parts.count > 1, parts[0].isEmpty, isPlain, path.utf8.count <= pathByteCountMax else {
            throw DriverError(.pathInvalid, "\(path.prefix(80)) is no path of a file")
        }
        return String(path.dropFirst())
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    // What the keys below a directory begin with.
    private static func prefix(_ path: String) throws(DriverError) -> String {
        path == "/" ? "" : try key(path) + "/"
    }

    static func mapping<R>(
        _ path: String, _ body: () async throws(StoreError) -> R
    ) async throws(DriverError) -> R {
        do throws(StoreError) {
            return try await body()
        } catch {
            if error.code == .limitExceeded { throw DriverError(.tooLarge, path, cause: error) }
            throw DriverError(error, at: path)
        }
    }
}
