// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// The bytes of a blob as a sequence of owned buffers, in order.
///
/// Up to four buffers are read, opened and authenticated ahead of the consumer, on the store's
/// threads; a slow consumer holds that much memory and no more. No byte of a damaged chunk is
/// ever delivered. Each iterator reads anew.
public struct BlobBytes: AsyncSequence, Sendable {
    /// One buffer of bytes: 1 byte to 1 MiB, or one chunk if that is longer.
    public typealias Element = [UInt8]
    /// Reading reports ``StoreError``: `corrupted`, `keyDisabled`, `keyUnavailable`,
    /// `bucketUnknown` (it was shredded), `io`, `closed`.
    public typealias Failure = StoreError

    static let bufferByteCount = 1 << 20
    static let bufferCountMax = 4
    /// Slices planned in one go, so that walking the tree seldom delays a read.
    private static let plannedCountMax = 16

    private let source: Blob.Source
    private let range: Range<UInt64>
    private let keys: BucketKeys
    private let engine: Engine
    private let isDelivered: Bool

    /// - Parameters:
    ///   - range: within the bytes of the source.
    ///   - isDelivered: whether they leave the store, and count as such.
    init(
        _ source: Blob.Source, _ range: Range<UInt64>, _ keys: BucketKeys, _ engine: Engine,
        isDelivered: Bool = false
    ) {
        self.isDelivered = isDelivered
        self.source = source
        self.range = range
        self.keys = keys
        self.engine = engine
    }

    /// Starts reading at the beginning of the range.
    public func makeAsyncIterator() -> Iterator {
        Iterator(source, range, keys, engine, isDelivered)
    }

    /// Reads one range of a blob from its beginning to its end.
    public struct Iterator: AsyncIteratorProtocol {
        private enum Source {
            case inline([UInt8])
            case tree(TreeCursor, ChunkReader, RootLease?)
        }

        private let keys: BucketKeys
        private let engine: Engine
        private var source: Source
        private let isDelivered: Bool
        private var planned: ArraySlice<[ChunkSlice]> = []
        private var reads: [PendingRead] = []

        fileprivate init(
            _ source: Blob.Source, _ range: Range<UInt64>, _ keys: BucketKeys, _ engine: Engine,
            _ isDelivered: Bool
        ) {
            self.isDelivered = isDelivered
            self.keys = keys
            self.engine = engine
            switch source {
            case .inline(let bytes):
                self.source = .inline(Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
            case .tree(let forest, let reader, let lease):
                self.source = .tree(TreeCursor(forest: forest, range: range), reader, lease)
            }
        }

        /// The next buffer; nil at the end of the range.
        public mutating func next() async throws(StoreError) -> [UInt8]? {
            try await next(isolation: nil)
        }

        /// The next buffer; nil at the end of the range.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(StoreError) -> [UInt8]? {
            do throws(StoreError) {
                try engine.checkOpen()
                try await engine.keys.confirm(keys)
                let buffer = try await nextBuffer()
                if isDelivered, let buffer { engine.metrics.countDelivered(buffer.count) }
                return buffer
            } catch {
                engine.metrics.count(error)
                // The end: whoever asked again would else get the buffer behind a hole.
                (source, planned, reads) = (.inline([]), [], [])
                throw error
            }
        }

        private mutating func nextBuffer() async throws(StoreError) -> [UInt8]? {
            switch source {
            case .inline(let bytes):
                source = .inline([])
                return bytes.isEmpty ? nil : bytes
            case .tree(let cursor, let reader, let lease):
                try await plan(cursor, reader, lease)
                readAhead(reader)
                guard !reads.isEmpty else { return nil }
                return try await reads.removeFirst().value()
            }
        }

        private mutating func plan(
            _ cursor: TreeCursor, _ reader: ChunkReader, _ lease: RootLease?
        ) async throws(StoreError) {
            guard planned.isEmpty, cursor.remaining > 0 else { return }
            let (slices, advanced) = try await engine.pool.run {
                (context) throws(StoreError) -> ([[ChunkSlice]], TreeCursor) in
                var cursor = cursor
                var planned: [[ChunkSlice]] = []
                while planned.count < BlobBytes.plannedCountMax, cursor.remaining > 0 {
                    planned.append(
                        try cursor.next(upTo: BlobBytes.bufferByteCount, reader, &context))
                }
                return (planned, cursor)
            }
            planned = slices[...]
            source = .tree(advanced, reader, lease)
        }

        private mutating func readAhead(_ reader: ChunkReader) {
            while reads.count < BlobBytes.bufferCountMax, let slices = planned.popFirst() {
                let read = PendingRead()
                engine.pool.submit { context in
                    do throws(StoreError) {
                        read.complete(.success(try reader.read(slices, &context)))
                    } catch {
                        read.complete(.failure(error))
                    }
                }
                reads.append(read)
            }
        }
    }
}

/// A buffer on its way. Completed once and awaited at most once.
private final class PendingRead: Sendable {
    private typealias Waiter = CheckedContinuation<Result<[UInt8], StoreError>, Never>

    private enum State {
        case running
        case awaited(Waiter)
        case done(Result<[UInt8], StoreError>)
    }

    private let state = Mutex(State.running)

    func complete(_ result: Result<[UInt8], StoreError>) {
        let waiter = state.withLock { state -> Waiter? in
            defer { state = .done(result) }
            guard case .awaited(let waiter) = state else { return nil }
            return waiter
        }
        waiter?.resume(returning: result)
    }

    func value() async throws(StoreError) -> [UInt8] {
        let result = await withCheckedContinuation { continuation in
            let done = state.withLock { state -> Result<[UInt8], StoreError>? in
                if case .done(let result) = state { return result }
                state = .awaited(continuation)
                return nil
            }
            if let done { continuation.resume(returning: done) }
        }
        return try result.get()
    }
}
