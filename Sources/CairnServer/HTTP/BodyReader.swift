// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// How slowly a body may come.
struct BodyPace: Sendable {
    /// The time within which ``byteCountMin`` bytes, or the end, must come.
    var window: Duration = .seconds(30)
    /// Enough that a client cannot hold a session with a byte now and then; little enough for
    /// the slowest line.
    var byteCountMin: UInt64 = 1024
}

/// Reads the body of a request buffer by buffer, within a limit of bytes and a pace.
struct BodyReader: Sendable {
    let request: Request
    let byteCountMax: UInt64
    let pace: BodyPace
    /// Set when the body has been read to its end.
    let isRead: Shared<Bool>

    /// The size that the client has announced; nil when the body comes in HTTP chunks.
    var announcedByteCount: UInt64? {
        request.headers[.contentLength].flatMap { ByteRange.decimal($0) }
    }

    /// Whether the request has a body at all (RFC 9112 6.3).
    var isEmpty: Bool {
        request.headers[.transferEncoding] == nil && (announcedByteCount ?? 0) == 0
    }

    /// Hands out the body, one buffer after the other.
    ///
    /// Time that `take` needs does not count against the client.
    ///
    /// - Returns: the number of bytes.
    /// - Throws: ``Failure`` when the body is too large, too slow or ends early; what `take`
    ///   throws.
    func forEach(
        _ take: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) async throws -> UInt64 {
        if isEmpty { return 0 }
        if let announced = announcedByteCount, announced > byteCountMax {
            throw Failure.tooLarge(byteCountMax)
        }
        let progress = Shared(Progress())
        return try await withThrowingTaskGroup(of: UInt64.self) { group in
            group.addTask { try await read(progress: progress, take) }
            group.addTask { try await watch(progress: progress) }
            defer { group.cancelAll() }
            return try await group.next() ?? 0
        }
    }

    /// The whole body.
    func collect() async throws -> [UInt8] {
        let bytes = Shared<[UInt8]>([])
        _ = try await forEach { buffer in
            bytes.value.withLock { $0 += buffer.readableBytesView }
        }
        return bytes.value.withLock { $0 }
    }

    // MARK: -

    private struct Progress {
        var byteCount: UInt64 = 0
        /// Whether the last window was, at least in part, ours and not the client's.
        var isTaking = false
    }

    private func read(
        progress: Shared<Progress>,
        _ take: @Sendable (ByteBuffer) async throws -> Void
    ) async throws -> UInt64 {
        var byteCount: UInt64 = 0
        do {
            for try await buffer in request.body {
                byteCount += UInt64(buffer.readableBytes)
                guard byteCount <= byteCountMax else { throw Failure.tooLarge(byteCountMax) }
                progress.value.withLock {
                    $0.byteCount = byteCount
                    $0.isTaking = true
                }
                try await take(buffer)
                progress.value.withLock { $0.isTaking = false }
            }
        } catch let error as HTTPParserError {
            throw Failure.sizeInvalid("The body ended early or is malformed.", cause: error)
        }
        // A connection that is lost may look like the end.
        try Task.checkCancellation()
        if let announced = announcedByteCount, announced != byteCount {
            throw Failure.sizeInvalid("The body has fewer bytes than its Content-Length.")
        }
        isRead.value.withLock { $0 = true }
        return byteCount
    }

    private func watch(progress: Shared<Progress>) async throws -> UInt64 {
        var before: UInt64 = 0
        while true {
            try await Task.sleep(for: pace.window)
            let (now, isTaking) = progress.value.withLock { ($0.byteCount, $0.isTaking) }
            if !isTaking, now - before < pace.byteCountMin { throw Failure.tooSlow }
            before = now
        }
    }
}

/// A value that several tasks share.
final class Shared<Value: Sendable>: Sendable {
    let value: Mutex<Value>

    init(_ initial: sending Value) { value = Mutex(initial) }
}
