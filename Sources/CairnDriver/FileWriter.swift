// Part of Cairn, a content-addressed blob store.
public import Cairn

/// Writes a file from its beginning or its end on; nothing of it is visible before
/// ``commit()``.
///
/// One call at a time. What was written survives a crash up to the last part of
/// ``partByteCount``, and all of it after ``close()``.
public actor FileWriter {
    /// The bytes that are held in memory before they become a part of the file.
    public static let partByteCount = 8 << 20

    /// The file.
    public nonisolated let path: String
    private let upload: MultipartUpload
    private var parts: [PartDescription]
    private var buffer: [UInt8] = []
    private var isOpen = true

    init(_ path: String, _ upload: MultipartUpload, _ parts: [PartDescription]) {
        self.path = path
        self.upload = upload
        self.parts = parts
    }

    /// How long the file is so far, with what it began with.
    public var byteCount: UInt64 {
        parts.reduce(UInt64(buffer.count)) { $0 + $1.byteCount }
    }

    /// Appends bytes.
    ///
    /// A file has at most 10,000 parts, one for each 8 MiB and for each time that it was closed and
    /// gone on with.
    ///
    /// - Throws: ``DriverError`` with code `closed`, `store`.
    public func write(_ bytes: [UInt8]) async throws(DriverError) {
        guard isOpen else { throw Self.closed(path) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = min(rest.count, Self.partByteCount - buffer.count)
            buffer += rest.prefix(count)
            rest = rest.dropFirst(count)
            if buffer.count == Self.partByteCount { try await flush() }
        }
    }

    /// Keeps what was written for a later writer, and ends this one.
    ///
    /// - Throws: ``DriverError`` with code `closed`, `store`.
    public func close() async throws(DriverError) {
        guard isOpen else { throw Self.closed(path) }
        try await flush()
        isOpen = false
    }

    /// Gives up what was written, and ends the writer.
    ///
    /// - Throws: ``DriverError`` with code `closed`, `store`.
    public func cancel() async throws(DriverError) {
        guard isOpen else { throw Self.closed(path) }
        isOpen = false
        try await StorageDriver.mapping(path) { () throws(StoreError) in try await upload.abort() }
    }

    /// Makes what was written the file, in place of what was there, and ends the writer.
    ///
    /// - Throws: ``DriverError`` with code `closed`, `store`.
    @discardableResult
    public func commit() async throws(DriverError) -> ObjectDescription {
        guard isOpen else { throw Self.closed(path) }
        try await flush()
        let list = parts.map { MultipartUpload.CompletedPart(number: $0.number, etag: $0.etag) }
        let object = try await StorageDriver.mapping(path) { () throws(StoreError) in
            try await upload.complete(parts: list)
        }
        isOpen = false
        return object
    }

    // MARK: -

    private func flush() async throws(DriverError) {
        guard !buffer.isEmpty else { return }
        let number = (parts.last?.number ?? 0) + 1
        let bytes = buffer
        let part: PartDescription
        do throws(StoreError) {
            part = try await upload.putPart(number, bytes.span)
        } catch {
            throw DriverError(error, at: path)
        }
        parts.append(part)
        buffer.removeAll(keepingCapacity: true)
    }

    private static func closed(_ path: String) -> DriverError {
        DriverError(.closed, "the writer of \(path) has ended")
    }
}
