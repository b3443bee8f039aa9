// Part of Cairn, a content-addressed blob store.
internal import AsyncHTTPClient
public import CairnCore
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Administrates a store that a server has open, over the server's admin socket.
///
/// Whoever may open the socket may do everything: its file is readable by its owner only.
/// Safe to share between tasks. Nothing is retried.
public final class AdminClient: AdminAccess {
    /// The longest path that the kernel takes for a socket: `sun_path`, 108 bytes with its NUL
    /// (man 7 unix).
    public static let socketPathByteCountMax = 107
    /// A page of 1000 descriptions takes about 300 KB; a broken server must not fill memory.
    static let answerByteCountMax = 64 << 20
    /// What is said of an object goes ahead of its bytes, in a head of at most 80 KB.
    private static let descriptionByteCountMax = 64 << 10

    private let client: HTTPClient
    private let base: String

    /// Whether a path is short enough for a socket.
    public static func isSocketPath(_ path: String) -> Bool {
        path.utf8.count <= socketPathByteCountMax
    }

    /// Makes a client. Nothing is connected before the first call.
    ///
    /// - Throws: `invalidArgument` when the path is too long for a socket.
    public init(socketPath: String) throws(AdminError) {
        guard Self.isSocketPath(socketPath) else {
            throw AdminError(
                .invalidArgument,
                "The admin socket's path is longer than \(Self.socketPathByteCountMax) bytes.")
        }
        base = "http+unix://" + PercentCoding.encode(socketPath) + AdminPath.prefix
        var configuration = HTTPClient.Configuration()
        // Where nobody listens on a socket, nobody will in a moment.
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Ends the connections.
    public func close() async throws(AdminError) {
        do { try await client.shutdown() } catch { throw Self.unreachable(error) }
    }

    // MARK: Buckets

    /// Describes the process that has the store open.
    public func information() async throws(AdminError) -> ServerInfo {
        try await ask(.GET, .information)
    }

    /// Lists buckets in the order of their names.
    public func buckets(
        after: String?, limit: Int
    ) async throws(AdminError) -> [BucketInfo] {
        try await ask(.GET, .buckets, ["after": after, "limit": String(limit)])
    }

    /// Creates an empty bucket.
    public func createBucket(
        _ name: String, key: String?, deduplication: String?
    ) async throws(AdminError) -> BucketInfo {
        try await ask(
            .POST, .bucket, ["bucket": name, "key": key, "deduplication": deduplication])
    }

    /// Describes one bucket.
    public func bucket(_ name: String) async throws(AdminError) -> BucketInfo {
        try await ask(.GET, .bucket, ["bucket": name])
    }

    /// Deletes a bucket.
    public func deleteBucket(_ name: String, withContents: Bool) async throws(AdminError) {
        _ = try await answer(
            .DELETE, .bucket, ["bucket": name, "contents": withContents ? "delete" : nil])
    }

    // MARK: Blobs

    /// Lists the blobs of a bucket.
    public func blobs(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> BlobListing {
        try await ask(
            .GET, .blobs, ["bucket": bucket, "after": after, "limit": String(limit)])
    }

    /// Describes one blob.
    public func stat(
        _ digest: Digest, in bucket: String
    ) async throws(AdminError) -> BlobInfo {
        try await ask(.GET, .blob, ["bucket": bucket, "digest": digest.description])
    }

    /// Deletes a blob from one bucket.
    public func deleteBlob(_ digest: Digest, in bucket: String) async throws(AdminError) {
        _ = try await answer(
            .DELETE, .blob, ["bucket": bucket, "digest": digest.description])
    }

    /// Makes a blob of one bucket a blob of another.
    public func mountBlob(
        _ digest: Digest, from source: String, into bucket: String
    ) async throws(AdminError) -> BlobInfo {
        try await ask(
            .POST, .mount,
            ["bucket": bucket, "digest": digest.description, "from": source])
    }

    /// Stores one blob.
    public func put(
        into bucket: String, expecting: Digest?, expectedByteCount: UInt64?,
        from source: @escaping AdminByteSource, duplicates: (@Sendable (UInt64) -> Void)?
    ) async throws(AdminError) -> BlobInfo {
        try await send(
            source, to: .bytes,
            [
                "bucket": bucket, "expecting": expecting?.description,
                "byteCount": expectedByteCount.map { String($0) },
            ])
    }

    private func send<Value: Decodable>(
        _ source: @escaping AdminByteSource, to path: AdminPath, _ query: [String: String?]
    ) async throws(AdminError) -> Value {
        let body = SourceSequence(source: source)
        do throws(AdminError) {
            return try await ask(.POST, path, query, body: .stream(body, length: .unknown))
        } catch {
            guard let failure = body.failure.value.withLock({ $0 }) else { throw error }
            throw AdminError(.sourceFailed, "The writer's source failed.", cause: failure)
        }
    }

    /// Reads a blob or a part of it, in order.
    public func get(
        _ digest: Digest, in bucket: String, range: Range<UInt64>?,
        into sink: @escaping AdminByteSink
    ) async throws(AdminError) -> BlobInfo {
        let response = try await answer(
            .GET, .bytes,
            [
                "bucket": bucket, "digest": digest.description,
                "first": range.map { String($0.lowerBound) },
                "end": range.map { String($0.upperBound) },
            ])
        var reader = AdminFrameReader()
        var frames: [[UInt8]] = []
        do {
            for try await buffer in response.body {
                try reader.read(buffer.readableBytesUInt8Span, into: &frames)
                for frame in frames { try await Self.deliver(frame, to: sink) }
                frames.removeAll(keepingCapacity: true)
            }
        } catch let error as AdminError {
            throw error
        } catch {
            throw Self.unreachable(error)
        }
        let trailer = try reader.trailer()
        if let blob = trailer.blob { return blob }
        throw trailer.fault?.error ?? Self.malformed
    }

    // MARK: Objects

    /// Answers a call on the objects of a bucket.
    public func perform(_ request: ObjectRequest) async throws(AdminError) -> ObjectAnswer {
        try await ask(
            .POST, .objects, body: .bytes(ByteBuffer(bytes: AdminJSON.encode(request))))
    }

    /// Answers a call on quotas, usage and bills.
    public func perform(_ request: UsageRequest) async throws(AdminError) -> UsageAnswer {
        try await ask(.POST, .usage, body: .bytes(ByteBuffer(bytes: AdminJSON.encode(request))))
    }

    /// Writes one object.
    public func putObject(
        _ put: ObjectPut, from source: @escaping AdminByteSource
    ) async throws(AdminError) -> ObjectInfo {
        let text = String(decoding: AdminJSON.encode(put), as: UTF8.self)
        guard PercentCoding.encode(text).utf8.count <= Self.descriptionByteCountMax else {
            throw AdminError(
                AdminError.Code(name: "limitExceeded"),
                "That is more than can be said of an object through a server.")
        }
        return try await send(source, to: .object, ["put": text])
    }

    // MARK: Keys

    /// Answers a call on the key service, the keys of a bucket or the audit log.
    public func perform(_ request: KeyRequest) async throws(AdminError) -> KeyAnswer {
        try await ask(
            .POST, .keys, body: .bytes(ByteBuffer(bytes: AdminJSON.encode(request))))
    }

    // MARK: The store

    /// Figures about the whole store.
    public func statistics() async throws(AdminError) -> StatisticsInfo {
        try await ask(.GET, .statistics)
    }

    /// What keeps a blob alive.
    public func keepers(of digest: Digest) async throws(AdminError) -> KeepersInfo {
        try await ask(.GET, .keepers, ["digest": digest.description])
    }

    /// Reads all stored records again.
    public func scrub() async throws(AdminError) -> ScrubInfo { try await ask(.POST, .scrub) }

    /// Writes a consistent copy of the store; the server's user writes it.
    public func backUp(
        to path: String, includesKeyFile: Bool
    ) async throws(AdminError) -> BackupInfo {
        try await ask(
            .POST, .backup, ["path": path, "keyFile": includesKeyFile ? "true" : nil])
    }

    /// Frees what nothing needs, or tells what that would be.
    public func sweep(isPreview: Bool) async throws(AdminError) -> SweepInfo {
        try await ask(.POST, .sweep, ["preview": isPreview ? "true" : nil])
    }

    /// Verifies the store while it is in use.
    public func verify(
        _ depth: VerifyDepthInfo, progress: @escaping @Sendable (VerifyProgressInfo) -> Void
    ) async throws(AdminError) -> VerifyInfo {
        let response = try await answer(.POST, .verify, ["depth": depth.rawValue])
        var lines = LineReader()
        do {
            for try await buffer in response.body {
                for line in try lines.read(buffer.readableBytesView) {
                    let parsed = try AdminJSON.decode(VerifyLine.self, from: line)
                    if let report = parsed.report { return report }
                    if let fault = parsed.fault { throw fault.error }
                    if let step = parsed.progress { progress(step) }
                }
            }
        } catch let error as AdminError {
            throw error
        } catch {
            throw Self.unreachable(error)
        }
        throw AdminError(.unreachable, "The connection to the server broke off.")
    }

    // MARK: -

    static var malformed: AdminError {
        AdminError(.protocolViolation, "The server's answer is not understood.")
    }

    private static func unreachable(_ error: any Error) -> AdminError {
        AdminError(.unreachable, "The server does not answer on its admin socket.", cause: error)
    }

    func ask<Value: Decodable>(
        _ method: HTTPMethod, _ path: AdminPath, _ query: [String: String?] = [:],
        body: HTTPClientRequest.Body? = nil
    ) async throws(AdminError) -> Value {
        let response = try await answer(method, path, query, body: body)
        return try AdminJSON.decode(Value.self, from: try await Self.collect(response))
    }

    /// Sends a request; an answer that is an error is thrown as the error it tells.
    func answer(
        _ method: HTTPMethod, _ path: AdminPath, _ query: [String: String?] = [:],
        body: HTTPClientRequest.Body? = nil
    ) async throws(AdminError) -> HTTPClientResponse {
        let parameters = query.compactMap { name, value in
            value.map { name + "=" + PercentCoding.encode($0) }
        }
        var request = HTTPClientRequest(
            url: base + path.rawValue + "?" + parameters.joined(separator: "&"))
        request.method = method
        request.body = body
        let response: HTTPClientResponse
        do {
            // A verification may take hours, and so may a sink.
            response = try await client.execute(request, deadline: .distantFuture)
        } catch {
            throw Self.unreachable(error)
        }
        guard response.status.code >= 300 else { return response }
        let bytes = try await Self.collect(response)
        throw try AdminJSON.decode(AdminFault.self, from: bytes).error
    }

    private static func collect(
        _ response: HTTPClientResponse
    ) async throws(AdminError) -> [UInt8] {
        do {
            let buffer = try await response.body.collect(upTo: answerByteCountMax)
            return Array(buffer.readableBytesView)
        } catch {
            throw unreachable(error)
        }
    }

    private static func deliver(
        _ bytes: [UInt8], to sink: AdminByteSink
    ) async throws(AdminError) {
        do { try await sink(bytes) } catch {
            throw AdminError(.sinkFailed, "The reader's sink failed.", cause: error)
        }
    }
}

// MARK: -

/// A source of bytes as the body of a request; remembers what the source threw.
private struct SourceSequence: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    final class Mishap: Sendable {
        let value = Mutex<(any Error)?>(nil)
    }

    let source: AdminByteSource
    let failure = Mishap()

    func makeAsyncIterator() -> Iterator {
        Iterator(source: source, failure: failure)
    }

    struct Iterator: AsyncIteratorProtocol {
        let source: AdminByteSource
        let failure: Mishap
        var buffer = [UInt8](repeating: 0, count: LocalAccess.sourceBufferByteCount)

        mutating func next() async throws -> ByteBuffer? {
            do {
                let count = try await source(&buffer)
                guard count > 0 else { return nil }
                guard count <= buffer.count else {
                    throw AdminError(
                        .invalidArgument, "The source answered more than it was asked.")
                }
                return ByteBuffer(bytes: buffer[..<count])
            } catch {
                failure.value.withLock { $0 = error }
                throw error
            }
        }
    }
}

/// Cuts a stream into its lines.
private struct LineReader {
    private var line: [UInt8] = []

    mutating func read(_ bytes: some Sequence<UInt8>) throws(AdminError) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            lines.append(line)
            line.removeAll(keepingCapacity: true)
        }
        guard line.count <= AdminClient.answerByteCountMax else { throw AdminClient.malformed }
        return lines
    }
}
